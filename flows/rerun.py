"""Which outcomes of a run a new run of the same or another version may keep, so that nothing is paid for twice.

A step is done again when it is asked for, when it did not come to an end that others could go on from, when it is
another step now, or when something it follows is done again. Of a step that failed and is not itself asked for, the
items, passes and inner steps that succeeded are kept.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from flows.plan import Block, Plan, PlanStep
from flows.replay_source import RecordedRun
from flows.runs import StepRun

REUSED = "reused"
"""Reason of a step whose outcome came from another run. It has cost nothing in this one."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What a rerun begins with."""

    steps: tuple[StepRun, ...]
    saved_nano_usd: int
    """What the kept steps had cost where their price is known."""


def kept_steps(recorded: RecordedRun, plan: Plan, *, start: str | None = None, before: Plan | None = None) -> Kept:
    """The outcomes that a new run of `plan` begins with. `start` is the path of a step to do again, with what follows.

    `before` is the plan that was recorded: child flows that differ from it are done again.

    Raises:
        LookupError: The flow has no step `start`.
    """
    if start is not None and not _has_step(plan, start):
        names = ", ".join(step.id for step in plan.block.steps)
        raise LookupError(f"flow {plan.flow} has no step {start!r}; its steps are {names}")
    keeper = _Keeper(recorded, plan, start, _changed_children(before, plan))
    keeper.block(plan.block, "")
    return Kept(tuple(keeper.kept.values()), keeper.saved)


class _Keeper:
    def __init__(self, recorded: RecordedRun, plan: Plan, start: str | None, changed: frozenset[str]) -> None:
        self._recorded = recorded
        self._plan = plan
        self._start = start
        self._changed = changed
        self.kept: dict[str, StepRun] = {}
        self.saved = 0

    def block(self, block: Block, prefix: str) -> bool:
        """Keep what may be kept of a block; is anything of it done again?"""
        fresh = set[str]()
        for step in block.steps:
            path = f"{prefix}{step.id}"
            if self._follows(step, block, fresh) or path == self._start:
                fresh.add(step.id)
            elif self._is_settled(step, path) and not self._holds_start(path):
                self._keep(path)
            else:
                fresh.add(step.id)
                self._inside(step, path)
        return bool(fresh)

    def _follows(self, step: PlanStep, block: Block, fresh: set[str]) -> bool:
        if any(one.step in fresh for one in step.depends_on):
            return True
        return any(rule.goto == step.id for other in block.steps if other.id in fresh for rule in other.on_error)

    def _is_settled(self, step: PlanStep, path: str) -> bool:
        was = self._recorded.steps.get(path)
        if was is None or was.fingerprint != step.fingerprint or step.id in self._changed:
            return False
        return was.status in {"succeeded", "skipped"} or (was.status == "failed" and was.is_error_handled)

    def _holds_start(self, path: str) -> bool:
        return self._start is not None and self._start.startswith((f"{path}[", f"{path}."))

    def _keep(self, path: str) -> None:
        """A step with all that is inside it. What was skipped is decided again: that costs nothing."""
        was = self._recorded.steps[path]
        if was.status == "skipped":
            return
        self.saved += was.cost_nano_usd or 0
        for inner, step in self._recorded.steps.items():
            if inner == path or inner.startswith((f"{path}[", f"{path}.")):
                self.kept[inner] = self._as_reused(step)

    def _as_reused(self, step: StepRun) -> StepRun:
        recording = self._recorded.recordings.get(step.path)
        reason = step.reason if step.status in {"skipped", "cancelled"} else REUSED
        return replace(step, reason=reason, cost_nano_usd=0, call_ids=(), recording=recording)

    def _inside(self, step: PlanStep, path: str) -> None:
        """Of a step that is done again for its own sake: what had succeeded in it."""
        was = self._recorded.steps.get(path)
        if was is None or was.fingerprint != step.fingerprint or step.id in self._changed:
            return
        if step.type == "flow":
            child = self._plan.children.get(str(step.config.get("ref")))
            if child is not None:
                self.block(child.block, f"{path}.")
            return
        for index in self._indices(path):
            item = f"{path}[{index}]"
            if step.body is None:
                if item != self._start and self._is_settled(step, item):
                    self._keep(item)
            elif self.block(step.body, f"{item}.") and step.type == "loop":
                return  # later passes begin with what this one gives

    def _indices(self, path: str) -> list[int]:
        pattern = re.compile(re.escape(path) + r"\[(\d+)\]")
        return sorted({int(found[1]) for one in self._recorded.steps if (found := pattern.match(one))})


def _has_step(plan: Plan, path: str) -> bool:
    wanted = re.sub(r"\[\d+\]", "", path).split(".")
    return _is_there(plan, plan.block.steps, wanted)


def _is_there(plan: Plan, steps: Sequence[PlanStep], wanted: Sequence[str]) -> bool:
    step = next((one for one in steps if one.id == wanted[0]), None)
    if step is None or len(wanted) == 1:
        return step is not None
    child = plan.children.get(str(step.config.get("ref"))) if step.type == "flow" else None
    inner = step.body.steps if step.body is not None else child.block.steps if child is not None else ()
    return _is_there(child or plan, inner, wanted[1:])


def _changed_children(before: Plan | None, after: Plan) -> frozenset[str]:
    """Ids of `flow` steps whose child is not what it was."""
    if before is None:
        return frozenset()
    return frozenset(
        step.id
        for step in _flow_steps(after.block)
        for ref in (str(step.config.get("ref")),)
        if ref in before.children
        and ref in after.children
        and before.children[ref].content_hash != after.children[ref].content_hash
    )


def _flow_steps(block: Block) -> Iterator[PlanStep]:
    for step in block.steps:
        if step.type == "flow":
            yield step
        if step.body is not None:
            yield from _flow_steps(step.body)
