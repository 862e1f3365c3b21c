"""A flow as a step: which plan, with which inputs, and what of its end the parent sees."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import cast

from bridge.json_types import JsonObject, JsonValue
from bridge.money import usd_number
from flows.errors import InvalidInputsError
from flows.inputs import check_inputs
from flows.plan import Plan, PlanStep
from flows.runs import StepError, StepRun
from flows.scopes import Scope
from flows.step_errors import with_place
from flows.walk import Frame, Walk
from nodes.errors import InvalidInputError, NodeError


async def child_plan(walk: Walk, plan: Plan, step: PlanStep) -> Plan:
    """The plan the step names: one that came with its parent, else a published version. Raises NodeError."""
    ref = step.config.get("ref")
    if not isinstance(ref, str):
        raise InvalidInputError("ref must name a flow")
    return plan.children.get(ref) or await walk.services.load_plan(walk.run.org_id, ref)


def child_scope(walk: Walk, plan: Plan, step: PlanStep, frame: Frame) -> Scope:
    """What the child sees: its own inputs, checked by its schema; nothing of the parent's steps. Raises NodeError."""
    given = walk.services.expressions.render(step.config.get("inputs") or {}, frame.roots(), step.places)
    if not isinstance(given, Mapping):
        raise InvalidInputError("inputs must be a map")
    try:
        inputs = check_inputs(plan.inputs_schema, cast("JsonObject", given))
    except InvalidInputsError as error:
        raise InvalidInputError(f"inputs of {plan.flow}: {error}") from error
    roots = {name: value for name, value in frame.scope.roots.items() if name in ("run", "tenant")}
    return Scope(roots={**roots, "inputs": inputs})


def outputs_of(
    walk: Walk, plan: Plan, scope: Mapping[str, JsonValue], *, may_lack: bool
) -> tuple[JsonObject, tuple[StepError, ...]]:
    """The outputs of a flow and what kept some from being computed; those are null. With `may_lack` that is fine."""
    values: dict[str, JsonValue] = {}
    problems: list[StepError] = []
    for name, expression in plan.outputs.items():
        try:
            values[name] = walk.services.expressions.render(expression, scope, plan.output_places)
        except NodeError as error:
            values[name] = None
            if not may_lack:
                problems.append(
                    StepError("validation", f"outputs.{name}: {with_place(error)}", node="", path=f"outputs.{name}")
                )
    return values, tuple(problems)


def child_outcome(
    walk: Walk, step: PlanStep, frame: Frame, ended: Sequence[StepRun], errors: Sequence[StepError]
) -> StepRun:
    """The step's outcome before its output is known. It fails with the class of the child's first error."""
    costs = [one.cost_nano_usd for one in ended]
    cost = None if any(one is None for one in costs) else sum(one or 0 for one in costs)
    outcome = StepRun(
        path=frame.path,
        step=step.id,
        type=step.type,
        status="succeeded",
        attempts=1,
        cost_nano_usd=cost,
        model=next((one.model for one in reversed(ended) if one.model), None),
        provider=next((one.provider for one in reversed(ended) if one.provider), None),
        call_ids=tuple(call_id for one in ended for call_id in one.call_ids),
        fingerprint=step.fingerprint,
    )
    if errors:
        first = replace(errors[0], node=step.id, item_index=frame.item_index)
        return replace(outcome, status="failed", error=first)
    return outcome


def child_output(walk: Walk, outcome: StepRun, outputs: JsonObject) -> JsonValue:
    """What `nodes.<id>.output` of a flow step holds."""
    return {"outputs": outputs, "run_id": walk.run.id, "cost_usd": usd_number(outcome.cost_nano_usd)}
