"""How good a model is at a task: the port that own scores come through, priors, and the estimate from scores.

The estimate is an empirical-Bayes mean: a model's mean at one task is drawn toward its mean at all tasks, and that
toward the catalogue's prior, the more the fewer scores there are. Scores fade with a half-life, and a new version of
a model starts afresh. Sources: Efron, "Large-Scale Inference" (2010), chapter 1; Kish's effective sample size.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from bridge.catalog.entries import ModelEntry
from bridge.clock import Clock
from bridge.decision import QualityEstimate

HALF_LIFE_S = 7 * 86_400.0
PRIOR_SCORES = 5.0
"""The catalogue's prior counts like so many scores."""
TASK_SCORES = 10.0
"""How many scores of the task itself weigh as much as the other tasks, until the tasks show how far they differ."""
LEAST_TASK_SCORES, MOST_TASK_SCORES = 2.0, 50.0
UNKNOWN_PRIOR = 0.5
Z_LOWER = 1.645
"""One-sided 95 % bound."""


class QualitySource(Protocol):
    """Who knows the scores of a tenant. Called on the hot path: answers from memory."""

    def estimate(self, org_id: str, task: str, entry: ModelEntry) -> QualityEstimate | None:
        """None: nothing is known, not even a prior."""
        ...


class PriorQuality:
    """The catalogue's tier for every task, until there are scores."""

    def estimate(self, org_id: str, task: str, entry: ModelEntry) -> QualityEstimate | None:
        del org_id, task
        return None if entry.quality is None else QualityEstimate(entry.quality, entry.quality)


@dataclass(frozen=True, slots=True)
class QualityScore:
    """One score of one answer, in [0, 1]. `version` is what the provider said answered; a new one starts afresh."""

    org_id: str
    task: str
    model: str
    value: float
    at: datetime
    version: str = ""


@dataclass(slots=True)
class _Faded:
    """Sums over scores that fade: weights, their squares, weighted values and squares of values."""

    weight: float = 0.0
    weight_squares: float = 0.0
    values: float = 0.0
    value_squares: float = 0.0
    at_s: float = 0.0

    def add(self, value: float, at_s: float) -> None:
        self.fade(at_s)
        own = _faded(self.at_s - at_s)
        self.weight += own
        self.weight_squares += own * own
        self.values += own * value
        self.value_squares += own * value * value

    def fade(self, at_s: float) -> None:
        """Move the sums to a later moment; an earlier one changes nothing."""
        if at_s <= self.at_s:
            return
        keep = _faded(at_s - self.at_s)
        self.weight *= keep
        self.weight_squares *= keep * keep
        self.values *= keep
        self.value_squares *= keep
        self.at_s = at_s

    @property
    def mean(self) -> float:
        return self.values / self.weight

    @property
    def variance(self) -> float:
        return max(self.value_squares / self.weight - self.mean**2, 0.0)

    @property
    def count(self) -> float:
        """Kish's effective sample size, times how fresh the scores are."""
        if self.weight_squares == 0.0:
            return 0.0
        return min(self.weight, self.weight**2 / self.weight_squares)


def _faded(age_s: float) -> float:
    return 0.5 ** (max(age_s, 0.0) / HALF_LIFE_S)


@dataclass(slots=True)
class _ModelScores:
    version: str
    tasks: dict[str, _Faded] = field(default_factory=dict[str, _Faded])


class ScoredQuality:
    """QualitySource over scores held in memory. Feed it with `add`; what it is not told, it answers from priors."""

    def __init__(self, clock: Clock, *, prior: QualitySource | None = None) -> None:
        self._clock = clock
        self._prior = prior or PriorQuality()
        self._models: dict[tuple[str, str], _ModelScores] = {}
        self._orgs: set[str] = set()

    def add(self, scores: Iterable[QualityScore]) -> None:
        """Take scores in, in any order. One outside [0, 1] or of an older version than the newest is ignored."""
        for score in scores:
            if not 0.0 <= score.value <= 1.0:
                continue
            key = (score.org_id, score.model)
            self._orgs.add(score.org_id)
            known = self._models.get(key)
            if known is None or (score.version and known.version and score.version != known.version):
                known = self._models[key] = _ModelScores(score.version)
            known.version = known.version or score.version
            known.tasks.setdefault(score.task, _Faded(at_s=score.at.timestamp())).add(score.value, score.at.timestamp())

    def forget(self, org_id: str) -> None:
        """Drop everything of a tenant; its scores will be told again."""
        self._orgs.discard(org_id)
        for key in [key for key in self._models if key[0] == org_id]:
            del self._models[key]

    def estimate(self, org_id: str, task: str, entry: ModelEntry) -> QualityEstimate | None:
        prior = self._prior.estimate(org_id, task, entry)
        known = self._models.get((org_id, entry.name))
        if known is None or not known.tasks:
            return prior if prior is None or org_id not in self._orgs else _doubted(prior)
        now_s = self._clock.now().timestamp()
        for sums in known.tasks.values():
            sums.fade(now_s)
        start = UNKNOWN_PRIOR if prior is None else prior.mean
        return _estimate(known.tasks, task, start)


def _doubted(prior: QualityEstimate) -> QualityEstimate:
    """A prior beside models with scores: it is worth a few scores and no more, so its bound is as low as theirs."""
    doubt = Z_LOWER * math.sqrt(prior.mean * (1 - prior.mean) / PRIOR_SCORES)
    return QualityEstimate(prior.mean, max(prior.mean - doubt, 0.0), source=prior.source)


def _estimate(tasks: dict[str, _Faded], task: str, prior: float) -> QualityEstimate:
    """Two steps of shrinkage: all tasks toward the prior, the task toward all tasks."""
    total = sum(sums.weight for sums in tasks.values())
    overall = (sum(sums.values for sums in tasks.values()) + PRIOR_SCORES * prior) / (total + PRIOR_SCORES)
    own = tasks.get(task)
    strength = _task_strength(tasks)
    count = 0.0 if own is None else own.count
    mean = overall if own is None else (count * own.mean + strength * overall) / (count + strength)
    spread = max(mean * (1 - mean), own.variance if own is not None else 0.0)
    weight = count + min(strength, total + PRIOR_SCORES)
    bound = mean - Z_LOWER * math.sqrt(spread / max(weight, 1.0))
    return QualityEstimate(
        mean=mean,
        lower_bound=min(max(bound, 0.0), mean),
        n_scores=round(count),
        source="scores" if count else "other tasks",
    )


def _task_strength(tasks: dict[str, _Faded]) -> float:
    """Within-task variance over between-task variance: how many scores a task needs to speak for itself."""
    known = [sums for sums in tasks.values() if sums.count >= 2]
    if len(known) < 3:
        return TASK_SCORES
    within = sum(sums.variance for sums in known) / len(known)
    grand = sum(sums.mean for sums in known) / len(known)
    noise = sum(sums.variance / sums.count for sums in known) / len(known)
    between = sum((sums.mean - grand) ** 2 for sums in known) / (len(known) - 1) - noise
    if between <= 0:
        return MOST_TASK_SCORES
    return min(max(within / between, LEAST_TASK_SCORES), MOST_TASK_SCORES)
