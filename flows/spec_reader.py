"""Reads a document into a FlowSpec, reporting every structural problem: keys, types, names, `with:` blocks."""

from collections.abc import Mapping
from typing import Any, Literal, cast

from bridge.json_types import JsonObject, JsonValue
from flows import unsupported
from flows.diagnostics import Diagnostics
from flows.inputs_reader import read_inputs
from flows.language_schema import structure_schema
from flows.plan import BudgetRule, ConcurrencyRule, OnFull
from flows.schedules import read_triggers
from flows.schema_reader import SchemaReader
from flows.spec import BlockSpec, FlowSpec, Section, StepSpec
from flows.step_reader import StepReader
from flows.yaml_nodes import ListNode, MapNode, ScalarNode, YamlNode
from nodes.durations import seconds
from nodes.node import Node

MAX_STEPS = 1000


def read_spec(
    root: YamlNode, text: str, problems: Diagnostics, types: Mapping[str, type[Node[Any]]]
) -> FlowSpec | None:
    """The spec of a parsed document; None when it is no map at all. Problems go to `problems`."""
    if not isinstance(root, MapNode):
        problems.error(root, "wrong_type", "a flow is a map of keys: flow, inputs, nodes, outputs")
        return None
    schema = structure_schema()
    value = cast("JsonObject", SchemaReader(problems, schema).read(root, schema))
    spec = FlowSpec(file=problems.file, text=text, root=root)
    _Reader(spec, value, problems, StepReader(problems, types, _defaults(value))).read()
    return spec


class _Reader:
    def __init__(self, spec: FlowSpec, value: JsonObject, problems: Diagnostics, steps: StepReader) -> None:
        self._spec = spec
        self._value = value
        self._problems = problems
        self._steps = steps
        self._ids: dict[str, ScalarNode] = {}

    def read(self) -> None:
        spec, root = self._spec, self._spec.root
        spec.name = _string(self._value.get("flow"))
        spec.description = _string(self._value.get("description"))
        engine = self._value.get("engine")
        spec.engine = engine if engine in ("auto", "inline", "prefect") else "auto"
        spec.fail_fast = self._value.get("fail_fast") is True
        spec.timeout_s = _seconds(self._value.get("timeout"))
        spec.inputs_schema, spec.inputs = read_inputs(root.get("inputs"), self._problems)
        spec.block = self._read_map_block(root.get("nodes"), root.key("nodes"), "main")
        spec.on_failure = self._read_list_block(root.get("on_failure"), "on_failure")
        spec.finally_steps = self._read_list_block(root.get("finally"), "finally")
        self._read_rest()
        if len(self._ids) > MAX_STEPS:
            self._problems.error(
                root.key("nodes") or root, "too_many_steps", f"{len(self._ids)} steps; {MAX_STEPS} are allowed"
            )

    def _read_rest(self) -> None:
        spec, root = self._spec, self._spec.root
        self._read_budget(root.get("budget"))
        self._read_concurrency(self._value.get("concurrency"))
        spec.schedules, spec.triggers = read_triggers(
            root.get("triggers"), spec.name, spec.inputs_schema, self._problems
        )
        outputs = root.get("outputs")
        if isinstance(outputs, MapNode):
            spec.outputs_node = outputs
            spec.outputs = cast("JsonObject", self._value.get("outputs") or {})
        spec.evaluations = self._value.get("evaluations")
        spec.tests = self._value.get("tests")
        for name in sorted(unsupported.SECTIONS):
            key = root.key(name)
            if key is not None:
                self._problems.error(key, "not_supported_yet", unsupported.message(f"`{name}`"), "remove it for now")

    def _read_budget(self, node: YamlNode | None) -> None:
        value = self._value.get("budget")
        if not isinstance(node, MapNode) or not isinstance(value, Mapping):
            return
        usd = cast("JsonObject", value).get("usd")
        on_exceed = cast('Literal["stop", "degrade", "ask"]', cast("JsonObject", value).get("on_exceed", "stop"))
        if on_exceed in unsupported.ON_EXCEED:
            at = node.get("on_exceed") or node
            what = f"`on_exceed: {on_exceed}`"
            self._problems.error(at, "not_supported_yet", unsupported.message(what), "use `stop` or `degrade`")
        if isinstance(usd, int | float):
            self._spec.budget = BudgetRule(float(usd), on_exceed)

    def _read_concurrency(self, value: JsonValue) -> None:
        if isinstance(value, Mapping) and isinstance(limit := value.get("limit"), int):
            on_full = cast("OnFull", value.get("on_full", "queue"))
            self._spec.concurrency = ConcurrencyRule(limit, key=value.get("key"), on_full=on_full)

    # blocks

    def _read_map_block(self, node: YamlNode | None, key: YamlNode | None, section: Section) -> BlockSpec:
        block = BlockSpec(key=key)
        if isinstance(node, MapNode):
            for name, (step_key, value) in node.entries.items():
                if isinstance(value, MapNode):
                    self._enter(block, name, step_key, value, section)
        return block

    def _read_list_block(self, node: YamlNode | None, section: Section) -> BlockSpec:
        block = BlockSpec()
        if isinstance(node, ListNode):
            for item in node.items:
                step_id = item.get("id") if isinstance(item, MapNode) else None
                if isinstance(item, MapNode) and isinstance(step_id, ScalarNode):
                    self._enter(block, step_id.text, step_id, item, section)
        return block

    def _enter(self, block: BlockSpec, name: str, key: ScalarNode, node: MapNode, section: Section) -> None:  # private
        first = self._ids.get(name)
        if first is not None:
            message = f"the step id `{name}` is taken by the step at {first.line}:{first.column}"
            self._problems.error(key, "duplicate_step", message, "step ids are one namespace per document")
            return
        self._ids[name] = key
        self._steps.check_id(key)
        step = self._steps.read(name, key, node, section)
        block.steps[name] = step
        body = step.node.get("with")
        if step.body is not None and isinstance(body, MapNode):
            step.body = self._read_body(body, step, section)

    def _read_body(self, config: MapNode, step: StepSpec, section: Section) -> BlockSpec:
        do = config.get("do")
        schema = structure_schema()
        if do is not None:
            nodes = cast("JsonObject", schema["$defs"])["nodes"]
            SchemaReader(self._problems, schema).read(do, nodes, config.key("do"))
        return self._read_map_block(do, config.key("do") or step.key, section)


def _defaults(value: JsonObject) -> JsonObject:
    defaults = value.get("defaults")
    return cast("JsonObject", defaults) if isinstance(defaults, Mapping) else {}


def _string(value: JsonValue) -> str:
    return value if isinstance(value, str) else ""


def _seconds(value: JsonValue) -> float | None:
    try:
        return seconds(value) if isinstance(value, str) else None
    except ValueError:
        return None
