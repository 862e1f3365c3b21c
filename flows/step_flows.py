"""Flows that run inside a step, because its node asks for them: the tools of an agent."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Protocol

from bridge.json_types import JsonObject, JsonValue
from flows.child_flow import outputs_of
from flows.errors import InvalidInputsError
from flows.inputs import check_inputs
from flows.plan import Block, Plan
from flows.runs import StepRun
from flows.scopes import Scope
from flows.walk import Frame, Walk
from nodes.context import FlowEnd, FlowFacts
from nodes.errors import InvalidInputError, NodeError


class EndOfFlow(Protocol):
    """How the block of a flow ended."""

    @property
    def ended(self) -> Mapping[str, StepRun]: ...
    @property
    def views(self) -> Mapping[str, JsonValue]: ...
    @property
    def failures(self) -> tuple[StepRun, ...]: ...


class StepFlows:
    """`nodes.context.FlowCaller` of one step. Its flows' steps are recorded below the step's own path.

    A walk after a loss begins the step anew, and what its node asks for may differ: paths are never used twice, so
    that no outcome of the earlier try is taken for the new one's.
    """

    def __init__(self, walk: Walk, frame: Frame, walk_flow: Callable[[Plan, Frame], Awaitable[EndOfFlow]]) -> None:
        self._walk = walk
        self._frame = frame
        self._walk_flow = walk_flow
        self._count = 0

    async def known(self, ref: str) -> FlowFacts:
        """Raises NodeError: there is none, or one of its steps may wait."""
        plan = await self._walk.services.load_plan(self._walk.run.org_id, ref)
        if self._may_wait(plan, plan.block):
            raise NodeError(f"{ref} may wait, which a flow inside a step cannot", error_class="invalid_request")
        return FlowFacts(plan.description, plan.inputs_schema)

    async def run(self, ref: str, inputs: JsonObject, *, name: str) -> FlowEnd:
        """How it ended; its error has the class of the flow's first one. Raises InvalidInputError."""
        await self.known(ref)
        plan = await self._walk.services.load_plan(self._walk.run.org_id, ref)
        try:
            given = check_inputs(plan.inputs_schema, inputs)
        except InvalidInputsError as error:
            raise InvalidInputError(f"inputs of {plan.flow}: {error}") from error
        roots = {key: value for key, value in self._frame.scope.roots.items() if key in ("run", "tenant")}
        scope = Scope(roots={**roots, "inputs": given})
        inner = replace(self._frame, path=self._path(name), scope=scope, after=(), item_index=None)
        end = await self._walk_flow(plan, inner)
        errors = [step.error for step in end.failures if step.error is not None]
        visible = scope.with_all(end.views, {}).everything()
        outputs, problems = outputs_of(self._walk, plan, visible, may_lack=bool(errors))
        first = next(iter((*errors, *problems)), None)
        costs = [step.cost_nano_usd for step in end.ended.values()]
        return FlowEnd(
            outputs=outputs,
            cost_nano_usd=None if any(cost is None for cost in costs) else sum(cost or 0 for cost in costs),
            error=NodeError(f"{plan.flow}: {first.message}", error_class=first.error_class) if first else None,
        )

    def _path(self, name: str) -> str:
        while True:
            self._count += 1
            path = f"{self._frame.path}.{name}_{self._count}."
            if not any(known.startswith(path) for known in (*self._walk.stored, *self._walk.steps)):
                return path

    def _may_wait(self, plan: Plan, block: Block) -> bool:
        for step in block.steps:
            cls = self._walk.services.node_types.get(step.type)
            child = plan.children.get(str(step.config.get("ref"))) if step.type == "flow" else None
            if (
                (cls is not None and cls.can_wait)
                or (step.body is not None and self._may_wait(plan, step.body))
                or (child is not None and self._may_wait(child, child.block))
            ):
                return True
        return False
