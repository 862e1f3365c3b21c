import json

import pytest
from pydantic import ValidationError

from bridge.json_types import JsonObject
from evaluators.schema_check import check_schema, schema_problems
from nodes.errors import UserStopError
from nodes.fail import FailNode, NoopNode
from nodes.flow import FlowNode
from nodes.foreach import ForeachNode
from nodes.node import Node, NodeOutput, node_type, node_types
from nodes.switch import SwitchNode
from nodes.template import TemplateNode
from tests.support.fakes import node_context

BLOCKS: dict[str, JsonObject] = {
    "classify": {"text": "${{ inputs.text }}", "classes": {"a": "x", "b": "y"}},
    "evaluate": {"value": "x", "scorers": ["json_valid", {"judge": {"rubric": "kind?"}}]},
    "extract": {"text": "x", "schema": {"type": "object", "properties": {"a": {"type": "integer", "minimum": 2}}}},
    "fail": {"message": "no"},
    "flow": {"ref": "child@3", "inputs": {"a": 1}},
    "foreach": {"items": [1], "do": {"a": {"type": "noop"}}},
    "http": {"url": "https://example.com/"},
    "llm": {"prompt": "p", "schema": {"type": "object", "required": ["a"], "properties": {"a": {"enum": ["x", "y"]}}}},
    "noop": {},
    "switch": {"cases": [{"if": "true", "then": "a"}]},
    "template": {"template": "x"},
    "transform": {"items": [], "select": {"a": "item"}},
}


def test_the_first_set_of_types_is_registered() -> None:
    assert set(BLOCKS) <= set(node_types())


@pytest.mark.parametrize("name", BLOCKS)
def test_every_type_has_valid_schemas_without_references_and_a_fake_that_fits(name: str) -> None:
    kind, raw = node_types()[name], BLOCKS[name]
    output = kind.output_schema(raw)

    for schema in (kind.config_schema(), output):
        check_schema(schema)
        assert "$ref" not in json.dumps(schema)
    assert schema_problems(kind.config_schema(), raw) == ()
    assert kind.model_validate(raw)
    assert schema_problems(output, kind.fake(raw)) == ()
    assert kind.fake(raw) == kind.fake(raw)


@pytest.mark.parametrize("name", BLOCKS)
def test_every_type_says_what_it_does_and_refuses_unknown_keys(name: str) -> None:
    kind = node_types()[name]

    assert kind.__doc__
    with pytest.raises(ValidationError):
        kind.model_validate({**BLOCKS[name], "nonsense": 1})


def test_what_costs_or_has_effects_is_committed_before_its_dependents() -> None:
    assert {name for name in BLOCKS if not node_types()[name].is_replayable} == {
        "classify",
        "evaluate",
        "extract",
        "flow",
        "http",
        "llm",
    }
    assert {name for name in BLOCKS if node_types()[name].is_control} == {"flow", "foreach", "switch"}


def test_templates_are_late_so_that_no_value_becomes_part_of_one() -> None:
    for kind in node_types().values():
        assert kind.template_fields <= kind.late_fields


def test_a_name_cannot_be_taken_twice() -> None:
    with pytest.raises(ValueError, match="already registered"):

        @node_type("llm")
        class Another(Node[NodeOutput]):  # pyright: ignore[reportUnusedClass]  # refused before it is used
            pass


async def test_fail_stops_with_its_message_and_noop_does_nothing() -> None:
    with pytest.raises(UserStopError, match="too risky") as caught:
        await FailNode.model_validate({"message": "too risky"}).run(node_context())

    assert caught.value.error_class == "user"
    assert (await NoopNode.model_validate({"message": "join"}).run(node_context())).model_dump() == {}


async def test_a_template_writes_text() -> None:
    node = TemplateNode.model_validate({"template": "Hi {{ name }}", "vars": {"name": "Ann"}})

    assert (await node.run(node_context())).text == "Hi Ann"


@pytest.mark.parametrize("ref", ["./child.yaml", "../a/b.yml", "child", "child@12", "my-flow_2@1"])
def test_a_flow_is_named_by_file_or_version(ref: str) -> None:
    assert FlowNode.model_validate({"ref": ref}).ref == ref


@pytest.mark.parametrize("ref", ["child@0", "Child", "/etc/passwd", "child@latest", ""])
def test_other_references_are_refused(ref: str) -> None:
    with pytest.raises(ValidationError):
        FlowNode.model_validate({"ref": ref})


def test_switch_and_foreach_read_the_keys_users_write() -> None:
    switch = SwitchNode.model_validate({"cases": [{"if": "inputs.a", "then": ["x", "y"]}], "default": "z"})
    foreach = ForeachNode.model_validate({"items": "${{ inputs.rows }}", "as": "row", "do": {"a": {"type": "noop"}}})

    assert (switch.cases[0].condition, switch.cases[0].then, switch.default) == ("inputs.a", ["x", "y"], "z")
    assert (foreach.name, foreach.max_parallel, foreach.on_item_error) == ("row", 10, "fail")
