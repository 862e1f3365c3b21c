"""Checks of loops: bounded, able to end, and fed by a body that gives state values of the right type."""

from collections.abc import Iterable, Mapping
from typing import cast

from bridge.json_types import JsonObject
from flows.block_scopes import ScopeTree, final_steps
from flows.cost_bound import most_passes
from flows.diagnostics import Diagnostics
from flows.expressions_schemas import kinds_of
from flows.expressions_uses import Use
from flows.node_schemas import properties_of
from flows.spec import StepSpec
from flows.suggestions import did_you_mean
from flows.yaml_nodes import ScalarNode
from nodes.loop import MAX_PASSES


def check_loops(tree: ScopeTree, uses: Iterable[Use], problems: Diagnostics) -> None:
    """Report loops that nothing bounds, that end only at their bound, or whose body does not fit their state."""
    untils = {use.step.id: use for use in uses if use.where == "with.until" and use.step is not None}
    for step in tree.spec.walk():
        if step.kind == "loop" and step.config_node is not None:
            _check_bound(tree, step, problems)
            _check_until(step, untils.get(step.id), problems)
            _check_final(tree, step, problems)


def _check_bound(tree: ScopeTree, step: StepSpec, problems: Diagnostics) -> None:
    node = step.config_node.get("max") if step.config_node is not None else None
    if not isinstance(node, ScalarNode):
        return  # missing, or of a wrong type: reported where the block is read
    most = most_passes(step.config.get("max"), tree.spec.inputs_schema)
    if most is None:
        message = f"nothing bounds this loop: `max` must be a number up to {MAX_PASSES}, or an input with a `maximum`"
        problems.error(node, "unbounded_loop", message, "give the input a `maximum`, or write a number")
    elif not 1 <= most <= MAX_PASSES:
        problems.error(node, "unbounded_loop", f"`max` may be 1 to {MAX_PASSES}, it is up to {most}")


def _check_until(step: StepSpec, use: Use | None, problems: Diagnostics) -> None:
    """An `until` that no pass can change."""
    node = step.config_node.get("until") if step.config_node is not None else None
    if node is None:
        return
    if use is None:
        is_fixed = isinstance(node, ScalarNode) and node.boolean is not None
    else:
        is_fixed = use.facts is not None and all(read.root != "state" for read in use.facts.reads)
    if is_fixed and step.config.get("on_max") != "continue":
        message = f"`until` of `{step.id}` does not read `state`: no pass can change it"
        problems.warning(node, "endless_loop", message, "compare a state value that the body gives")


def _check_final(tree: ScopeTree, step: StepSpec, problems: Diagnostics) -> None:
    """The fields that the body's final step surely gives are state values of the same type."""
    final = final_steps(step.body) if step.body is not None else []
    if len(final) != 1:
        return
    output, state = tree.output_of(final[0]), properties_of(tree.state_schema(step))
    if (kinds := kinds_of(output)) and "object" not in kinds:
        message = f"`{final[0].id}` is the final step of a loop: its output must be a map of state values"
        problems.error(final[0].key, "bad_body", message, "end the body with a `transform` that maps them")
        return
    for name, schema in properties_of(output).items():
        if name not in state:
            message = f"`{final[0].id}` gives `{name}`, which is no state value of `{step.id}`"
            hint = did_you_mean(name, state) or "end the body with a `transform` that maps the state values"
            problems.error(final[0].key, "bad_body", message, hint)
            return
        if (clash := _clash(schema, state[name])) is not None:
            message = f"`{final[0].id}` gives {clash[0]} for `{name}`, which began as {clash[1]}"
            problems.error(final[0].key, "bad_body", message, "types of state values never change")


def _clash(given: object, kept: object) -> tuple[str, str] | None:
    """The two type names when one cannot stand for the other."""
    if not isinstance(given, Mapping) or not isinstance(kept, Mapping):
        return None
    new, old = kinds_of(cast("JsonObject", given)), kinds_of(cast("JsonObject", kept))
    is_widened = old == frozenset({"number"}) and new == frozenset({"integer"})
    if not new or not old or new & old or is_widened:
        return None
    return " or ".join(sorted(new)), " or ".join(sorted(old))
