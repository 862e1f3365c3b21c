"""What calls turned out to be: how long answers are, and how much of the input came from a provider's cache."""

from dataclasses import dataclass

from bridge.chat import Usage
from bridge.decision import DeploymentState

ENOUGH = 5
"""Fewer samples than this say nothing."""
FOLLOWS = 0.05
"""Past 20 samples an average follows the last 20 or so."""
MAX_TASKS = 10_000


@dataclass(slots=True)
class _Average:
    count: int = 0
    value: float = 0.0

    def add(self, sample: float) -> None:
        self.count += 1
        self.value += max(1 / self.count, FOLLOWS) * (sample - self.value)

    def known(self) -> float | None:
        return self.value if self.count >= ENOUGH else None


class ObservedUsage:
    """Averages by deployment and task, in memory."""

    def __init__(self) -> None:
        self._cached: dict[str, _Average] = {}
        self._input: dict[str, _Average] = {}
        self._answers: dict[tuple[str, str], _Average] = {}
        self._tasks: dict[str, _Average] = {}
        self._told: dict[tuple[str, str], tuple[DeploymentState, DeploymentState]] = {}
        """By deployment and task: a state, and the same with what is known here. A new answer makes a new state."""

    def add(self, deployment: str, task: str, usage: Usage) -> None:
        """Take in what one successful attempt used."""
        if usage.is_estimated:
            return
        if len(self._tasks) >= MAX_TASKS:
            self._tasks.clear()
            self._answers.clear()
            self._told.clear()
        self._cached.setdefault(deployment, _Average()).add(min(usage.cached_tokens, usage.input_tokens))
        self._input.setdefault(deployment, _Average()).add(usage.input_tokens)
        self._answers.setdefault((deployment, task), _Average()).add(usage.output_tokens)
        self._tasks.setdefault(task, _Average()).add(usage.output_tokens)
        self._told.pop((deployment, task), None)

    def output_tokens(self, task: str) -> int | None:
        """How long answers to the task are on average, over all deployments."""
        average = self._tasks.get(task)
        known = None if average is None else average.known()
        return None if known is None else max(1, round(known))

    def cached_share(self, deployment: str) -> float | None:
        """Tokens read from the provider's cache over all input tokens."""
        cached, total = self._cached.get(deployment), self._input.get(deployment)
        if cached is None or total is None or total.known() is None or total.value <= 0:
            return None
        return cached.value / total.value

    def told(self, deployment: str, task: str, state: DeploymentState) -> DeploymentState:
        """The state with what is known here."""
        known = self._told.get((deployment, task))
        if known is not None and known[0] is state:
            return known[1]
        answers = self._answers.get((deployment, task))
        output_tokens = None if answers is None else answers.known()
        share = self.cached_share(deployment)
        told = state if share is None and output_tokens is None else state.observed(share, output_tokens)
        self._told[deployment, task] = state, told
        return told
