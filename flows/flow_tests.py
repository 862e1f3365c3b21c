"""The `tests:` of a flow: read, mocks checked against the outputs of their steps and filled by the types' fakes."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from bridge.json_types import JsonObject, JsonValue
from flows.diagnostics import Diagnostics
from flows.flow_test import FlowTest
from flows.inputs import to_schema
from flows.node_schemas import output_schema
from flows.plan import Plan, PlanStep, Position
from flows.schema_reader import SchemaReader
from flows.spec import BlockSpec, FlowSpec
from flows.suggestions import did_you_mean
from flows.yaml_nodes import ListNode, MapNode, ScalarNode, YamlNode, to_json
from nodes.node import Node

NodeTypes = Mapping[str, type[Node[Any]]]

EXPECTABLE = ("outputs", "nodes", "run")
_STEP_FACTS = (
    "status", "reason", "output", "error", "errors", "attempts", "cost_usd",
)  # fmt: skip
_INDEX = re.compile(r"\[\d+\]")


@dataclass(frozen=True, slots=True)
class _Target:
    """A step that may be mocked."""

    kind: str
    node_class: type[Node[Any]]
    config: JsonObject
    is_repeated: bool


def read_tests(
    spec: FlowSpec, children: Mapping[str, Plan], types: NodeTypes, problems: Diagnostics
) -> tuple[FlowTest, ...]:
    """The tests of a document; what is wrong with them goes to `problems`."""
    node = spec.root.get("tests")
    if not isinstance(node, ListNode):
        return ()
    reader = _Reader(spec, dict(_targets(spec, children, types)), problems)
    return tuple(reader.read(item) for item in node.items if isinstance(item, MapNode))


def mock_key(path: str) -> str:
    """What a step is called in `mock`: its path without the numbers of items and passes."""
    return _INDEX.sub("", path)


class _Reader:
    def __init__(self, spec: FlowSpec, targets: Mapping[str, _Target], problems: Diagnostics) -> None:
        self._spec = spec
        self._targets = targets
        self._problems = problems
        self._names: dict[str, ScalarNode] = {}

    def read(self, node: MapNode) -> FlowTest:
        name, inputs, mocks = node.get("name"), node.get("inputs"), node.get("mock")
        text = name.text if isinstance(name, ScalarNode) else ""
        if isinstance(name, ScalarNode) and text in self._names:
            message = f"there is a test of this name at line {self._names[text].line}"
            self._problems.error(name, "duplicate_test", message, "give each test a name of its own")
        elif isinstance(name, ScalarNode):
            self._names[text] = name
        at = node.key("inputs") or name or node
        schema = self._spec.inputs_schema
        reader = SchemaReader(self._problems, schema, what="input")
        given = reader.read(inputs or MapNode(at.line, at.column), schema, at)
        return FlowTest(
            name=text,
            inputs=cast("JsonObject", given) if isinstance(given, Mapping) else {},
            mocks=dict(self._mocks(mocks)) if isinstance(mocks, MapNode) else {},
            expect=self._expect(node.get("expect")),
            position=Position(node.line, node.column, self._spec.file),
        )

    def _mocks(self, node: MapNode) -> Iterator[tuple[str, JsonValue]]:
        for name, (key, value) in node.entries.items():
            target = self._targets.get(name)
            if target is None:
                hint = did_you_mean(name, self._targets) or "a mock names a step; one of a child flow is `step.inner`"
                self._problems.error(key, "unknown_step", f"there is no step `{name}` to mock", hint)
            elif isinstance(value, ListNode) and target.is_repeated:
                yield name, [self._mock(target, item, key) for item in value.items]
            else:
                yield name, self._mock(target, value, key)

    def _mock(self, target: _Target, value: YamlNode, key: ScalarNode) -> JsonValue:
        """The whole output: what the mock leaves out is the type's fake."""
        schema = output_schema(target.node_class, target.config)
        relaxed = {name: part for name, part in schema.items() if name != "required"}
        given = SchemaReader(self._problems, schema, what=f"output field of {target.kind}").read(value, relaxed, key)
        if not isinstance(given, Mapping):
            return given
        return to_schema({**target.node_class.fake(target.config), **given}, schema)

    def _expect(self, node: YamlNode | None) -> JsonObject:
        if not isinstance(node, MapNode):
            return {}
        for name, (key, _) in node.entries.items():
            self._check_expectation(name, key)
        return {name: to_json(value) for name, (_, value) in node.entries.items()}

    def _check_expectation(self, name: str, key: ScalarNode) -> None:
        root, _, rest = name.partition(".")
        if root not in EXPECTABLE or not rest:
            hint = "write `outputs.NAME`, `nodes.STEP.status`, `nodes.STEP.output.FIELD` or `run.status`"
            self._problems.error(key, "unknown_expectation", f"`{name}` is nothing that a test can expect", hint)
        elif root == "outputs":
            self._check_known(re.split(r"[.\[]", rest)[0], self._spec.outputs, "output", key)
        elif root == "nodes":
            self._check_step(mock_key(rest).split("."), name, key)

    def _check_step(self, parts: list[str], name: str, key: ScalarNode) -> None:
        fact = next((place for place, part in enumerate(parts) if place and part in _STEP_FACTS), None)
        if fact is not None:  # a step inside others goes by its id, one of a child flow by its path
            path = ".".join(parts[:fact])
            self._check_known(path if path in self._targets else parts[fact - 1], self._targets, "step", key)
        elif parts[0] not in self._targets:
            self._check_known(parts[0], self._targets, "step", key)
        else:
            hint = f"of a step there are {', '.join(_STEP_FACTS)}"
            self._problems.error(key, "unknown_expectation", f"`{name}` is nothing that a step has", hint)

    def _check_known(self, name: str, known: Mapping[str, object], what: str, key: ScalarNode) -> None:
        if name not in known:
            hint = did_you_mean(name, known) or f"there are {', '.join(known) or 'none'}"
            self._problems.error(key, "unknown_expectation", f"there is no {what} `{name}`", hint)


def _targets(spec: FlowSpec, children: Mapping[str, Plan], types: NodeTypes) -> Iterator[tuple[str, _Target]]:
    blocks = [(block, False) for block in (spec.block, spec.on_failure, spec.finally_steps)]
    while blocks:
        block, is_repeated = blocks.pop()
        yield from _of_block(block, children, types, is_repeated=is_repeated)
        blocks += [(step.body, True) for step in block.steps.values() if step.body is not None]


def _of_block(
    block: BlockSpec, children: Mapping[str, Plan], types: NodeTypes, *, is_repeated: bool
) -> Iterator[tuple[str, _Target]]:
    for step in block.steps.values():
        is_many = is_repeated or (step.foreach is not None and step.kind != "foreach")
        if step.node_class is not None:
            yield step.id, _Target(step.kind, step.node_class, step.config, is_many)
        child = children.get(str(step.config.get("ref"))) if step.kind == "flow" else None
        if child is not None:
            yield from _of_plan(child, f"{step.id}.", types, is_many=is_many)


def _of_plan(plan: Plan, prefix: str, types: NodeTypes, *, is_many: bool) -> Iterator[tuple[str, _Target]]:
    for step in plan.block.steps:
        yield from _of_plan_step(plan, step, prefix, types, is_many=is_many)


def _of_plan_step(
    plan: Plan, step: PlanStep, prefix: str, types: NodeTypes, *, is_many: bool
) -> Iterator[tuple[str, _Target]]:
    path = f"{prefix}{step.id}"
    is_repeated = is_many or step.foreach is not None
    if step.type in types:
        yield path, _Target(step.type, types[step.type], step.config, is_repeated)
    for inner in step.body.steps if step.body is not None else ():
        yield from _of_plan_step(plan, inner, f"{path}.", types, is_many=True)
    child = plan.children.get(str(step.config.get("ref"))) if step.type == "flow" else None
    if child is not None:
        yield from _of_plan(child, f"{path}.", types, is_many=is_repeated)
