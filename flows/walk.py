"""What all blocks of one walk share: the run, its services, its pen, earlier outcomes, and how a step is called."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from bridge.json_types import JsonValue
from flows.budgets import is_ceiling
from flows.engine_services import EngineServices
from flows.plan import Plan, PlanStep
from flows.recorder import Recorder
from flows.runs import Run, StepRun
from flows.scopes import Scope
from nodes.context import FlowCaller
from nodes.node import Node

Work = Callable[[], Awaitable[StepRun]]
REUSABLE = frozenset({"succeeded", "failed"})
STOPS_OF_RUNS = frozenset({"cancelled", "timeout"})
"""Reasons for which a recorded run was stopped from outside."""


class StepCaller(Protocol):
    """How a lane calls a step: directly, or as something a workflow engine sees."""

    @property
    def fan_out_limit(self) -> int | None:
        """From how many items on a fan-out is called in chunks; None: never."""
        ...

    async def call(self, path: str, after: Sequence[str], work: Work) -> StepRun:
        """Do `work`, known as `path`, which follows the steps `after`. Raises what `work` raises."""
        ...


class DirectCaller:
    """Calls a step by awaiting it."""

    fan_out_limit: int | None = None

    async def call(self, path: str, after: Sequence[str], work: Work) -> StepRun:
        del path, after
        return await work()


class LeaseGuard(Protocol):
    """Knows whether the run is still ours."""

    async def ensure(self) -> None:
        """Return when the lease is alive, renewing it when it may have lapsed. Raises StaleOwnerError."""
        ...


@dataclass(slots=True)
class Walk:
    """One walk over one plan. Blocks, bodies and child flows share it."""

    services: EngineServices
    plan: Plan
    run: Run
    recorder: Recorder
    lease: LeaseGuard
    stored: Mapping[str, StepRun] = field(default_factory=dict[str, StepRun])
    """Outcomes of an earlier walk over the same run, by path."""
    steps: dict[str, StepRun] = field(default_factory=dict[str, StepRun])
    """Outcomes of this walk, by path, nested ones included, in the order they came."""
    stop_run: Callable[[str], None] = lambda _reason: None
    """Stops the main block for a reason that comes from outside of it."""
    fixed_nodes: dict[int, Node[Any]] = field(default_factory=dict[int, Node[Any]])
    """Validated nodes of steps without expressions, by the identity of their PlanStep."""

    def reusable(self, path: str, step: PlanStep) -> StepRun | None:
        """The stored outcome that makes running `step` again unnecessary, if there is one."""
        stored = self.stored.get(path)
        if stored is None or stored.status not in REUSABLE or stored.fingerprint != step.fingerprint:
            return None
        return stored

    def waiting_since(self, path: str, step: PlanStep) -> datetime | None:
        """When the step began to wait, if it did so in an earlier walk."""
        stored = self.stored.get(path)
        cls = self.services.node_types.get(step.type)
        if stored is None or cls is None or not cls.can_wait or stored.status not in {"waiting", "running"}:
            return None
        return stored.started_at

    def adopt(self, path: str) -> None:
        """Make the stored outcomes inside a reused step part of this walk's record."""
        for stored_path, stored in self.stored.items():
            if stored_path.startswith((f"{path}[", f"{path}.")):
                self.steps.setdefault(stored_path, stored)

    def stop_reason(self, outcome: StepRun) -> str | None:
        """Why the whole block stops after this outcome; None when the others go on."""
        if outcome.status != "failed" or outcome.is_error_handled:
            return None
        if self.is_budget_stop(outcome):
            return "budget"
        return "fail_fast" if self.plan.fail_fast else None

    def is_budget_stop(self, outcome: StepRun) -> bool:
        """Did the step meet the run's ceiling, and does that end the run?"""
        return outcome.error is not None and outcome.error.error_class == "budget" and is_ceiling(self.plan.budget)


@dataclass(frozen=True, slots=True)
class Frame:
    """Where one execution of a step stands."""

    path: str
    scope: Scope
    caller: StepCaller
    after: tuple[str, ...] = ()
    item_index: int | None = None
    flows: FlowCaller | None = None
    """Runs flows inside this execution of the step."""

    def roots(self) -> dict[str, JsonValue]:
        """Everything expressions may read here."""
        return self.scope.everything()
