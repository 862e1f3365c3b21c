"""What a run may cost before it starts: expected and at worst, per step and in total."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bridge.json_types import JsonObject, JsonValue
from bridge.money import NANO_PER_USD
from flows.block_scopes import sole_chain
from flows.diagnostics import Diagnostics
from flows.expressions_schemas import Miss, follow
from flows.plan import Block, Plan, PlanStep
from flows.spec import FlowSpec
from flows.validate_nodes import ModelNames
from flows.yaml_nodes import MapNode
from nodes.loop import MAX_PASSES
from nodes.node import ModelUse, Node, node_types

NodeTypes = Mapping[str, type[Node[Any]]]


@dataclass(frozen=True, slots=True)
class StepCost:
    """The bound of one step. None where a price is unknown."""

    step: str
    path: str
    expected_nano_usd: int | None
    worst_nano_usd: int | None
    max_runs: int
    """Attempts times items times passes, those of enclosing bodies included."""


@dataclass(frozen=True, slots=True)
class CostBound:
    """The bound of a run. A total is None as soon as one price is unknown."""

    steps: tuple[StepCost, ...]
    expected_nano_usd: int | None
    worst_nano_usd: int | None


def cost_bound(plan: Plan, catalog: ModelNames) -> CostBound:
    """Worst case: every step runs, every attempt and every item is used up. Expected: one attempt of each item."""
    steps = tuple(_Walk(catalog, node_types()).plan(plan, "", items=1, attempts=1))
    return CostBound(steps, _total([s.expected_nano_usd for s in steps]), _total([s.worst_nano_usd for s in steps]))


def uses_of_step(node_class: type[Node[Any]] | None, config: Mapping[str, JsonValue]) -> Sequence[ModelUse]:
    """The model uses of one attempt; none for an unknown type or a block with mistakes."""
    if node_class is None:
        return ()
    try:
        return node_class.model_uses(config)
    except (TypeError, ValueError, KeyError, AttributeError):
        return ()


def check_budget(spec: FlowSpec, catalog: ModelNames, problems: Diagnostics) -> None:
    """A budget below what one attempt of every step will likely cost cannot be kept.

    Judged by the expected cost: the worst case assumes the biggest inputs and is shown by `plan`.
    """
    budget_node = spec.root.get("budget")
    if spec.budget is None or budget_node is None:
        return
    needed = 0
    for step in spec.block.walk():
        for use in uses_of_step(step.node_class, step.config):
            needed += (catalog.expected_nano_usd(use) or 0) if catalog.knows(use.model) else 0
    if needed <= round(spec.budget.usd * NANO_PER_USD):
        return
    at = (budget_node.get("usd") if isinstance(budget_node, MapNode) else None) or budget_node
    shown = _dollars(needed / NANO_PER_USD)
    message = f"one attempt of every step costs about {shown}, more than the budget of {_dollars(spec.budget.usd)}"
    hint = f"raise the budget above {shown}, set `max_tokens`, or use a cheaper model"
    if spec.budget.on_exceed == "stop":
        problems.error(at, "budget_below_cost", message, hint)
    else:
        problems.warning(at, "budget_below_cost", message, hint)


class _Walk:
    def __init__(self, catalog: ModelNames, types: NodeTypes) -> None:
        self._catalog = catalog
        self._types = types

    def plan(self, plan: Plan, prefix: str, *, items: int, attempts: int) -> list[StepCost]:
        found: list[StepCost] = []
        for steps in (plan.block.steps, plan.on_failure, plan.finally_steps):
            for step in steps:
                found += self._step(plan, step, prefix, items, attempts)
        return found

    def _block(self, plan: Plan, block: Block, prefix: str, items: int, attempts: int) -> list[StepCost]:
        return [cost for step in block.steps for cost in self._step(plan, step, prefix, items, attempts)]

    def _step(self, plan: Plan, step: PlanStep, prefix: str, items: int, attempts: int) -> list[StepCost]:
        path = f"{prefix}{step.id}"
        items *= item_count(step, plan.inputs_schema)
        attempts *= step.retry.attempts * pass_count(step, plan.inputs_schema)
        if step.body is not None:
            return self._block(plan, step.body, f"{path}.", items, attempts)
        child = plan.children.get(str(step.config.get("ref"))) if step.type == "flow" else None
        if child is not None:
            return self.plan(child, f"{path}.", items=items, attempts=attempts)
        arms = step.experiment.arms if step.experiment is not None else ()
        configs = [step.config, *(arm.step.config for arm in arms if arm.step is not None)]
        varieties = [uses for config in configs if (uses := uses_of_step(self._types.get(step.type), config))]
        if not varieties:
            return []
        expected = _most([_total([self._catalog.expected_nano_usd(use) for use in uses]) for uses in varieties])
        worst = _most([_total([self._catalog.worst_case_nano_usd(use) for use in uses]) for uses in varieties])
        runs = items * attempts
        return [
            StepCost(
                step.id,
                path,
                None if expected is None else expected * items,
                None if worst is None else worst * runs,
                runs,
            )
        ]


def item_count(step: PlanStep, inputs_schema: JsonObject) -> int:
    """The most items a step may run over: those of a literal list, what an input's `maxItems` allows, or max_items."""
    rule = step.foreach
    if rule is None:
        return 1
    if rule.is_matrix and isinstance(rule.items, Mapping):
        counts = [_length(values, inputs_schema, rule.max_items) for values in rule.items.values()]
        return min(math.prod(counts), rule.max_items)
    return _length(rule.items, inputs_schema, rule.max_items)


def pass_count(step: PlanStep, inputs_schema: JsonObject) -> int:
    """The most passes of a loop; 1 for other steps."""
    return (most_passes(step.config.get("max"), inputs_schema) or MAX_PASSES) if step.type == "loop" else 1


def most_passes(value: JsonValue, inputs_schema: JsonObject) -> int | None:
    """What `max` of a loop comes to at most: a number, or the `maximum` of an input; None when nothing bounds it."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    read = sole_chain(value)
    if read is None or read.root != "inputs":
        return None
    found = follow(inputs_schema, read.fields)
    most = None if isinstance(found, Miss) else found.get("maximum")
    return int(most) if isinstance(most, int | float) else None


def _length(items: JsonValue, inputs_schema: JsonObject, otherwise: int) -> int:
    if not isinstance(items, str):
        return len(items) if isinstance(items, Sequence) else otherwise
    read = sole_chain(items)
    if read is None or read.root != "inputs":
        return otherwise
    found = follow(inputs_schema, read.fields)
    most = None if isinstance(found, Miss) else found.get("maxItems")
    return min(most, otherwise) if isinstance(most, int) else otherwise


def _dollars(usd: float) -> str:
    return f"${usd:.9f}".rstrip("0").rstrip(".")


def _most(costs: Sequence[int | None]) -> int | None:
    """The dearest; None when one of them is unknown."""
    known = [cost for cost in costs if cost is not None]
    return max(known, default=0) if len(known) == len(costs) else None


def _total(costs: Sequence[int | None]) -> int | None:
    known = [cost for cost in costs if cost is not None]
    return sum(known) if len(known) == len(costs) else None
