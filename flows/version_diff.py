"""What changed between two versions of a flow, as it matters: not lines of text, but steps, inputs, limits and cost."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Literal, cast

from bridge.json_types import JsonObject, JsonValue
from bridge.money import usd_number
from flows.cost_bound import CostBound, cost_bound
from flows.plan import Block, Plan, PlanStep
from flows.validate_nodes import ModelNames

_STEP_PARTS = ("type", "join", "when", "foreach", "retry", "timeout_s", "deadline_s", "cache", "on_error", "task")
_FLOW_PARTS = ("description", "budget", "concurrency", "timeout_s", "fail_fast", "engine", "schedules", "triggers")


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One value that differs; null where it was not there. `path` is `with.model`, `inputs.ticket.maxLength`, ..."""

    path: str
    before: JsonValue
    after: JsonValue


@dataclass(frozen=True, slots=True)
class StepDifference:
    """A step that was added, removed or changed; of a changed one, what. Costs are of one run, null when unknown."""

    path: str
    change: Literal["added", "removed", "changed"]
    fields: tuple[FieldChange, ...]
    worst_usd_before: float | None
    worst_usd_after: float | None


@dataclass(frozen=True, slots=True)
class VersionDiff:
    """The differences of two versions. Nothing in it: they do the same."""

    flow: tuple[FieldChange, ...]
    """Of inputs, outputs, limits and triggers."""
    steps: tuple[StepDifference, ...]
    expected_usd_before: float | None
    expected_usd_after: float | None
    worst_usd_before: float | None
    worst_usd_after: float | None

    @property
    def is_empty(self) -> bool:
        """Do both do the same?"""
        return not self.flow and not self.steps

    def to_json(self) -> JsonObject:
        """The difference for programs."""
        return cast("JsonObject", asdict(self))


def diff_versions(before: Plan, after: Plan, catalog: ModelNames) -> VersionDiff:
    """What is different in `after`. Steps in its order, removed ones last; texts that only look different are equal."""
    old_cost, new_cost = cost_bound(before, catalog), cost_bound(after, catalog)
    return VersionDiff(
        flow=tuple(_changes("", _flow_parts(before), _flow_parts(after))),
        steps=tuple(_steps(before, after, old_cost, new_cost)),
        expected_usd_before=usd_number(old_cost.expected_nano_usd),
        expected_usd_after=usd_number(new_cost.expected_nano_usd),
        worst_usd_before=usd_number(old_cost.worst_nano_usd),
        worst_usd_after=usd_number(new_cost.worst_nano_usd),
    )


def _steps(before: Plan, after: Plan, old_cost: CostBound, new_cost: CostBound) -> Iterator[StepDifference]:
    old, new = dict(_paths(before)), dict(_paths(after))
    costs = [{step.path: usd_number(step.worst_nano_usd) for step in bound.steps} for bound in (old_cost, new_cost)]
    for path, step in new.items():
        changed = tuple(_changes("", _step_parts(old[path]), _step_parts(step))) if path in old else ()
        if path not in old or changed:
            change = "changed" if path in old else "added"
            yield StepDifference(path, change, changed, costs[0].get(path), costs[1].get(path))
    for path in old:
        if path not in new:
            yield StepDifference(path, "removed", (), costs[0].get(path), None)


def _paths(plan: Plan) -> Iterator[tuple[str, PlanStep]]:
    for block in (plan.block, Block(plan.on_failure), Block(plan.finally_steps)):
        yield from _within(block, "")


def _within(block: Block, prefix: str) -> Iterator[tuple[str, PlanStep]]:
    for step in block.steps:
        yield prefix + step.id, step
        if step.body is not None:
            yield from _within(step.body, f"{prefix}{step.id}.")


def _step_parts(step: PlanStep) -> JsonObject:
    """What a step is, without where it stands."""
    needs = sorted({one.step for one in step.depends_on if one.reads == "needs"})
    parts = {name: _plain(getattr(step, name)) for name in _STEP_PARTS}
    return {**parts, "needs": list[JsonValue](needs), "with": step.config}


def _flow_parts(plan: Plan) -> JsonObject:
    parts = {name: _plain(getattr(plan, name)) for name in _FLOW_PARTS}
    for name in ("schedules", "triggers"):
        listed = cast("list[JsonObject]", parts[name])
        parts[name] = {str(one["id"]): one for one in listed}
    required = dict.fromkeys(cast("list[str]", plan.inputs_schema.get("required") or []), True)
    inputs = cast("JsonObject", plan.inputs_schema.get("properties") or {})
    return {**parts, "inputs": inputs, "required": required, "outputs": plan.outputs}


def _plain(value: object) -> JsonValue:
    """Rules as JSON."""
    if isinstance(value, tuple):
        return [_plain(part) for part in cast("tuple[object, ...]", value)]
    if hasattr(value, "__dataclass_fields__"):
        return {one.name: _plain(getattr(value, one.name)) for one in fields(cast("PlanStep", value))}
    return cast("JsonValue", value)


def _changes(path: str, before: JsonValue, after: JsonValue) -> Iterator[FieldChange]:
    """The smallest values that differ: maps are compared entry by entry, everything else as a whole."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for name in dict.fromkeys((*before, *after)):
            yield from _changes(f"{path}.{name}" if path else name, before.get(name), after.get(name))
    elif before != after or isinstance(before, bool) != isinstance(after, bool):
        yield FieldChange(path, before, after)
