"""A body again and again over a state: the first values, what a pass changes, when it ends, what comes out."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace

from bridge.json_types import JsonObject, JsonValue
from flows.control import evaluate_at
from flows.plan import PlanStep
from flows.runs import StepRun
from flows.scopes import Scope
from flows.step_errors import Failure, failure_of
from flows.walk import DirectCaller, Frame, Walk
from nodes.errors import InvalidInputError, NodeError
from nodes.loop import MAX_PASSES

LOOP_TYPE = "loop"

RunPass = Callable[[Frame], Awaitable[StepRun]]
"""Walks the body once in the given frame; the output is that of the body's final step."""


async def repeat(walk: Walk, step: PlanStep, frame: Frame, run_pass: RunPass) -> StepRun:
    """Run passes until `until` holds, `max` is used up or one fails; cost is the sum of all of them.

    Raises NodeError when the first values or `max` cannot be had; nothing has run then.
    """
    state = _first_state(walk, step, frame)
    most = _max_passes(walk, step, frame)
    passes: list[StepRun] = []
    while len(passes) < most:
        ended = await run_pass(_frame_of_pass(step, frame, len(passes), state))
        passes.append(ended)
        if ended.status != "succeeded":
            return replace(_folded(step, frame, passes), status=ended.status, error=ended.error)
        try:
            state = next_state(state, ended.output)
            is_done = _is_done(walk, step, frame, state)
        except NodeError as error:
            return _failed(step, frame, passes, failure_of(error, frame.path))
        if is_done:
            break
    else:
        if step.config.get("on_max") != "continue":
            message = f"`until` did not hold after {most} passes, the most that `max` allows"
            return _failed(step, frame, passes, Failure("user", message))
    return replace(_folded(step, frame, passes), output={"state": state, "iterations": len(passes)})


def next_state(state: JsonObject, given: JsonValue) -> JsonObject:
    """The state after a pass that gave `given`; a final step that was skipped changes nothing.

    Raises InvalidInputError when it is no map, names what is no state, or changes a type.
    """
    if given is None:
        return state
    if not isinstance(given, Mapping):
        raise InvalidInputError(f"the final step of a loop gives a map of state values, it gave {_kind(given)}")
    unknown = [name for name in given if name not in state]
    if unknown:
        known = ", ".join(f"`{name}`" for name in state) or "empty"
        raise InvalidInputError(f"the final step gave `{unknown[0]}`, which is no state value; state is {known}")
    return {**state, **{name: _kept_type(name, state[name], value) for name, value in given.items()}}


def _kept_type(name: str, before: JsonValue, after: JsonValue) -> JsonValue:
    """The new value in the type of the old one; a value that was null takes any type."""
    was, now = _kind(before), _kind(after)
    if before is None or was == now:
        return after
    if was == "a number" and isinstance(after, int) and now == "a whole number":
        return float(after)
    hint = "; begin with a number like 0.0" if (was, now) == ("a whole number", "a number") else ""
    raise InvalidInputError(f"state.{name} was {was} and became {now}; types of state values never change{hint}")


def _kind(value: JsonValue) -> str:
    """What a value is, for people; also what may not change."""
    if value is None:
        return "null"
    names = ((bool, "true or false"), (int, "a whole number"), (float, "a number"), (str, "a text"), (Mapping, "a map"))
    return next((name for kind, name in names if isinstance(value, kind)), "a list")


def _first_state(walk: Walk, step: PlanStep, frame: Frame) -> JsonObject:
    state = walk.services.expressions.render(step.config.get("state") or {}, frame.roots(), step.places)
    if not isinstance(state, Mapping):
        raise InvalidInputError(f"state must be a map of first values, it is {_kind(state)}")
    return state


def _max_passes(walk: Walk, step: PlanStep, frame: Frame) -> int:
    most = walk.services.expressions.render(step.config.get("max"), frame.roots(), step.places)
    if not isinstance(most, int) or isinstance(most, bool) or not 1 <= most <= MAX_PASSES:
        raise InvalidInputError(f"max must be a whole number from 1 to {MAX_PASSES}, it is {most!r}")
    return most


def _is_done(walk: Walk, step: PlanStep, frame: Frame, state: JsonObject) -> bool:
    until = step.config.get("until")
    if isinstance(until, str):
        until = evaluate_at(step, walk.services.expressions, until, {**frame.roots(), "state": state})
    if not isinstance(until, bool):
        raise InvalidInputError(f"`until` must be true or false, it is {until!r}")
    return until


def _frame_of_pass(step: PlanStep, frame: Frame, number: int, state: JsonObject) -> Frame:
    """The frame of pass `number`. Passes beyond what the lane shows as single steps are called directly."""
    limit = frame.caller.fan_out_limit
    steps = len(step.body.steps) if step.body is not None else 1
    is_shown = limit is None or (number + 1) * steps <= limit
    return replace(
        frame,
        path=f"{frame.path}[{number}]",
        scope=Scope(roots={**frame.scope.roots, "state": state}, outer=frame.scope.outer),
        caller=frame.caller if is_shown else DirectCaller(),
        after=(),
    )


def _folded(step: PlanStep, frame: Frame, passes: Sequence[StepRun]) -> StepRun:
    costs = [one.cost_nano_usd for one in passes]
    return StepRun(
        path=frame.path,
        step=step.id,
        type=step.type,
        status="succeeded",
        attempts=1,
        cost_nano_usd=None if any(cost is None for cost in costs) else sum(cost or 0 for cost in costs),
        model=next((one.model for one in reversed(passes) if one.model), None),
        provider=next((one.provider for one in reversed(passes) if one.provider), None),
        call_ids=tuple(call_id for one in passes for call_id in one.call_ids),
        fingerprint=step.fingerprint,
    )


def _failed(step: PlanStep, frame: Frame, passes: Sequence[StepRun], failure: Failure) -> StepRun:
    error = failure.at(step.id, frame.path, 1, frame.item_index)
    return replace(_folded(step, frame, passes), status="failed", error=error)
