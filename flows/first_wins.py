"""Which steps a `first` join cancels once it starts: the slower upstreams, and what only they needed."""

from collections.abc import Mapping, Sequence

from flows.plan import PlanStep
from flows.runs import StepRun


def losers_of(
    winner: PlanStep,
    steps: Mapping[str, PlanStep],
    ends: Mapping[str, StepRun],
    dependents: Mapping[str, Sequence[PlanStep]],
) -> tuple[str, ...]:
    """Ids of steps that have not ended and that nobody but `winner` still needs, nearest first."""
    losers: dict[str, None] = {}
    waiting = [one.step for one in winner.depends_on if one.reads in ("needs", "output")]
    while waiting:
        step_id = waiting.pop(0)
        if step_id in losers or step_id in ends or step_id not in steps:
            continue
        others = [step.id for step in dependents.get(step_id, ()) if step.id != winner.id]
        if any(other not in losers and other not in ends for other in others):
            continue
        losers[step_id] = None
        waiting += [one.step for one in steps[step_id].depends_on]
    return tuple(losers)
