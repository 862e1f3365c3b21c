"""Reads `experiment` of a step: its arms, each a whole block, checked as the step's own is."""

from collections.abc import Callable
from dataclasses import replace
from typing import cast

from bridge.json_types import JsonObject, JsonValue
from flows.diagnostics import Diagnostics
from flows.node_schemas import config_schema, output_schema
from flows.schema_reader import SchemaReader
from flows.spec import ArmSpec, ExperimentSpec, StepSpec
from flows.yaml_nodes import MapNode, ScalarNode, YamlNode, scalars_of, to_json

CheckByClass = Callable[[StepSpec, YamlNode], None]


def read_experiment(step: StepSpec, problems: Diagnostics, check_by_class: CheckByClass) -> None:
    """Fill `step.experiment`. The shape of the keys was checked before."""
    node, key = step.node.get("experiment"), step.node.key("experiment")
    if not isinstance(node, MapNode) or step.node_class is None or step.config_node is None:
        return
    if step.is_control or step.node_class.can_wait:
        message = f"a `{step.kind}` step takes no `experiment`"
        problems.error(key or node, "not_allowed_here", message, "put it on a step that does the work")
        return
    name, arms, unit = node.get("id"), node.get("arms"), node.get("unit")
    if not isinstance(name, ScalarNode) or not isinstance(arms, MapNode):
        return
    found = tuple(_arm(step, arm, value, problems, check_by_class) for arm, (_, value) in arms.entries.items())
    if not any(arm.weight > 0 for arm in found):
        problems.error(node.key("arms") or arms, "invalid_value", "no arm has a weight above 0", "give one a weight")
    step.experiment = ExperimentSpec(name.text, to_json(unit) if unit is not None else None, found)


def _arm(step: StepSpec, name: str, node: YamlNode, problems: Diagnostics, check_by_class: CheckByClass) -> ArmSpec:
    value = to_json(node)
    if not isinstance(node, MapNode):
        return ArmSpec(name, _weight(value), None)
    weight, own = _weight(to_json(node.get("weight") or node)), node.get("with")
    if not isinstance(own, MapNode):
        return ArmSpec(name, weight, None)
    assert step.node_class is not None
    assert step.config_node is not None
    for _, scalar in scalars_of(own):
        if "${{" in scalar.text:
            hint = "read it in the step's own `with`; an arm holds plain values"
            problems.error(scalar, "not_allowed_here", "an arm of an experiment holds no expressions", hint)
            return ArmSpec(name, weight, None)
    schema = config_schema(step.node_class)
    relaxed = {key: part for key, part in schema.items() if key != "required"}
    trial = Diagnostics(problems.file)
    given = SchemaReader(trial, schema, what=f"field of {step.kind}").read(own, relaxed, node.key("with"))
    problems.extend(trial)
    config = {**step.config, **cast("JsonObject", given)}
    entries = {**step.config_node.entries, **own.entries}
    whole = MapNode(own.line, own.column, entries, step.config_node.is_incomplete)
    varied = replace(step, config=config, config_node=whole, experiment=None)
    if output_schema(step.node_class, config) != output_schema(step.node_class, step.config):
        message = f"arm `{name}` changes what the step gives; the steps that read it rely on the step's own block"
        problems.error(node.key("with") or own, "invalid_value", message, "leave such fields out of the arms")
    is_literal = not any("${{" in scalar.text for _, scalar in scalars_of(whole))
    if not trial.has_errors and is_literal:
        check_by_class(varied, node.key("with") or own)
    return ArmSpec(name, weight, varied)


def _weight(value: JsonValue) -> float:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else 0.0
