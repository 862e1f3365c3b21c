"""Child flows: read, checked, and their calls checked by their inputs."""

import posixpath
from collections.abc import Callable
from dataclasses import dataclass

from bridge.json_types import JsonObject
from flows.diagnostics import Checked, Diagnostics
from flows.plan import Plan
from flows.schema_reader import SchemaReader
from flows.spec import FlowSpec, StepSpec
from flows.yaml_nodes import MapNode, ScalarNode, YamlNode

MAX_DEPTH = 8

ReadRef = Callable[[str], str]
"""Reference (paths seen from the folder of the first document) -> document text. Raises LookupError or OSError when
there is none, NotImplementedError when it cannot be known here; then the call is checked when it runs."""


@dataclass(frozen=True, slots=True)
class ChildReader:
    """Reads the flows that a document refers to. `trail` are the references that led here."""

    read_ref: ReadRef | None
    check: Callable[[str, str, tuple[str, ...]], Checked]
    """Text, file name and trail -> the checked child."""
    trail: tuple[str, ...] = ()

    def read_all(self, spec: FlowSpec, problems: Diagnostics) -> tuple[dict[str, Plan], dict[str, JsonObject]]:
        """Plans by reference, and output schemas by step id."""
        plans: dict[str, Plan] = {}
        outputs: dict[str, JsonObject] = {}
        for step in spec.walk():
            node = step.config_node.get("ref") if step.kind == "flow" and step.config_node is not None else None
            if not isinstance(node, ScalarNode) or self.read_ref is None or "${{" in node.text:
                continue
            if node.text not in plans:
                plan = self._read(node, problems)
                if plan is None:
                    continue
                plans[node.text] = plan
            outputs[step.id] = _output_schema(plans[node.text])
            _check_call(step, plans[node.text], problems)
        return plans, outputs

    def _read(self, node: ScalarNode, problems: Diagnostics) -> Plan | None:
        assert self.read_ref is not None
        reference = resolve_reference(node.text, self.trail[-1] if self.trail else "")
        if reference in self.trail or len(self.trail) >= MAX_DEPTH:
            shown = " -> ".join((*self.trail, reference))
            problems.error(node, "cycle", f"these flows call each other: {shown}", "a flow cannot contain itself")
            return None
        try:
            text = self.read_ref(reference)
        except NotImplementedError:
            return None
        except (LookupError, OSError, ValueError) as error:
            problems.error(node, "unknown_flow", f"the flow `{reference}` cannot be read: {error}")
            return None
        checked = self.check(text, reference, (*self.trail, reference))
        errors = [d for d in checked.diagnostics if d.severity == "error"]
        if errors:
            message = f"the flow `{reference}` has {len(errors)} errors; the first: {errors[0].to_text()}"
            problems.error(node, "bad_child_flow", message, f"validate {reference}")
        return checked.plan


def resolve_reference(reference: str, parent: str) -> str:
    """A path seen from the first document's folder; names of published flows stay as they are."""
    if not reference.startswith("."):
        return reference
    return "./" + posixpath.normpath(posixpath.join(posixpath.dirname(parent), reference))


def _check_call(step: StepSpec, plan: Plan, problems: Diagnostics) -> None:
    assert step.config_node is not None
    given: YamlNode = step.config_node.get("inputs") or MapNode(step.config_node.line, step.config_node.column)
    if not isinstance(given, MapNode):
        return
    at = step.config_node.key("inputs") or step.node.key("with") or step.key
    reader = SchemaReader(problems, plan.inputs_schema, are_expressions_allowed=True, what=f"input of {plan.flow}")
    value = reader.read(given, plan.inputs_schema, at)
    if given.entries:
        step.config = {**step.config, "inputs": value}


def _output_schema(plan: Plan) -> JsonObject:
    outputs: JsonObject = {
        "type": "object",
        "properties": {name: {} for name in plan.outputs},
        "additionalProperties": False,
    }
    return {
        "type": "object",
        "properties": {"outputs": outputs, "run_id": {"type": "string"}, "cost_usd": {"type": ["number", "null"]}},
        "additionalProperties": False,
    }
