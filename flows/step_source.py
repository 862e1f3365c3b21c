"""Who answers steps instead of the world: the recording of a run, or the mocks of a test."""

from dataclasses import dataclass
from typing import Protocol

from flows.plan import PlanStep
from flows.recordings import Given
from flows.runs import StepRun
from nodes.context import ModelCaller


@dataclass(frozen=True, slots=True)
class Recalculation:
    """The step's node runs, and what it asks models is answered by `models`; it gets `attempts` attempts."""

    models: ModelCaller
    attempts: int


class StepSource(Protocol):
    """Asked at every step of a walk. What it does not answer is executed."""

    async def whole(self, step: PlanStep, path: str) -> StepRun | None:
        """The outcome of a step and all that is inside it, whatever it was given; None: look at it first."""
        ...

    def answer(self, step: PlanStep, path: str, given: Given) -> StepRun | Recalculation | None:
        """What stands for executing a step that costs or has effects; None: execute it."""
        ...

    async def settled(self, outcome: StepRun) -> StepRun:
        """The outcome as it is to be known, once others may see it."""
        ...

    def ended(self, outcome: StepRun) -> None:
        """The step has ended for those that wait for it."""
        ...
