"""May a step start, must it be skipped, or does it wait? Pure: from a step's dependencies and the ends reached so far.

Decisions do not depend on which upstream ended first (except under `first`): a step waits until all of them ended.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, assert_never

from flows.plan import Dependency, PlanStep
from flows.runs import FINAL_STEP, StepRun

Reason = Literal["upstream_failed", "upstream_skipped", "switch", "goto"]
Ends = Mapping[str, StepRun]
"""Step id -> its end; a step that has not ended is missing."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do with a step now. `reason` is set on skip."""

    verdict: Literal["wait", "start", "skip"]
    reason: Reason | None = None


WAIT = Decision("wait")
START = Decision("start")


def counts_as_succeeded(end: StepRun) -> bool:
    """Succeeded, or failed with an error that was handled (FLOWS rule 1)."""
    return end.status == "succeeded" or (end.status == "failed" and end.is_error_handled)


def decide(step: PlanStep, ends: Ends, goto_sources: Sequence[str] = ()) -> Decision:
    """What the ends so far mean for `step`. `goto_sources` are the steps whose on_error may lead here."""
    gate = _goto_gate(step, ends, goto_sources)
    if gate is not START:
        return gate
    for dependency in step.depends_on:
        if dependency.reads == "switch" and (gate := _switch_gate(step, ends.get(dependency.step))) is not START:
            return gate
    if any(dependency.reads == "state" and dependency.step not in ends for dependency in step.depends_on):
        return WAIT
    return _join(step, ends)


def can_no_longer_start(step: PlanStep, ends: Ends) -> Reason | None:
    """Why the ends so far rule the step out for good, whatever the others do; None when they do not."""
    reached = [(d, ends[d.step]) for d in step.depends_on if d.reads in ("needs", "output") and d.step in ends]
    if step.join == "all_succeeded":
        return _why_not(_blockers(reached, _blocks_all_succeeded))
    if step.join == "none_failed":
        return _why_not(_blockers(reached, _blocks_none_failed))
    return None


def _goto_gate(step: PlanStep, ends: Ends, sources: Sequence[str]) -> Decision:
    if not step.goto_only:
        return START
    if any(source in ends and step.id in (ends[source].taken or ()) for source in sources):
        return START
    return Decision("skip", "goto") if all(source in ends for source in sources) else WAIT


def _switch_gate(step: PlanStep, end: StepRun | None) -> Decision:
    if end is None:
        return WAIT
    if counts_as_succeeded(end):
        return START if step.id in (end.taken or ()) else Decision("skip", "switch")
    return Decision("skip", "upstream_skipped" if end.status == "skipped" else "upstream_failed")


def _join(step: PlanStep, ends: Ends) -> Decision:
    waited = [dependency for dependency in step.depends_on if dependency.reads in ("needs", "output")]
    reached = [(dependency, ends[dependency.step]) for dependency in waited if dependency.step in ends]
    if step.join == "first" and any(counts_as_succeeded(end) for _, end in reached):
        return START
    if len(reached) < len(waited):
        return WAIT
    match step.join:
        case "all_succeeded":
            reason = _why_not(_blockers(reached, _blocks_all_succeeded))
        case "none_failed":
            reason = _why_not(_blockers(reached, _blocks_none_failed))
        case "all_done":
            reason = None
        case "any_succeeded" | "first":
            has_success = not waited or any(counts_as_succeeded(end) for _, end in reached)
            reason = None if has_success else _why_not([end for _, end in reached])
        case _:
            assert_never(step.join)
    return START if reason is None else Decision("skip", reason)


def _blockers(
    reached: Sequence[tuple[Dependency, StepRun]], blocks: Callable[[Dependency, StepRun], bool]
) -> list[StepRun]:
    return [end for dependency, end in reached if blocks(dependency, end)]


def _blocks_all_succeeded(dependency: Dependency, end: StepRun) -> bool:
    if end.status == "skipped":
        return not (dependency.reads == "output" and dependency.is_coalesced)
    return not counts_as_succeeded(end)


def _blocks_none_failed(dependency: Dependency, end: StepRun) -> bool:
    del dependency
    return end.status in FINAL_STEP and end.status != "skipped" and not counts_as_succeeded(end)


def _why_not(blockers: Sequence[StepRun]) -> Reason | None:
    if not blockers:
        return None
    return "upstream_skipped" if all(end.status == "skipped" for end in blockers) else "upstream_failed"
