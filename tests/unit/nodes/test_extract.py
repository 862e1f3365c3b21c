import pytest

from bridge.json_types import JsonObject
from nodes.errors import NodeError
from nodes.extract import ExtractNode, nullable
from tests.support.fakes import FakeModels, inside, node_context, said

SCHEMA: JsonObject = {
    "type": "object",
    "required": ["name"],
    "properties": {
        "name": {"type": "string"},
        "total": {"type": "number"},
        "address": {
            "type": "object",
            "required": ["city"],
            "properties": {"city": {"type": "string"}, "zip": {"type": "string"}},
        },
        "lines": {"type": "array", "items": {"type": "object", "properties": {"sku": {"type": "string"}}}},
    },
}
BLOCK: JsonObject = {"text": "Ann, Berlin", "schema": SCHEMA}


async def test_optional_fields_that_the_text_does_not_say_are_left_out_and_named() -> None:
    parsed: JsonObject = {
        "name": "Ann",
        "total": None,
        "address": {"city": "Berlin", "zip": None},
        "lines": [{"sku": None}],
    }

    output = await ExtractNode.model_validate(BLOCK).run(node_context(FakeModels(said("", parsed))))

    assert output.json_value == {"name": "Ann", "address": {"city": "Berlin"}, "lines": [{}]}
    assert output.missing == ["total", "address.zip"]


def test_the_model_is_asked_for_every_field_and_may_say_null_for_the_optional_ones() -> None:
    asked = nullable(SCHEMA)

    assert asked["required"] == ["name", "total", "address", "lines"]
    assert asked["additionalProperties"] is False
    assert inside(asked, "properties", "name") == {"type": "string"}
    assert inside(asked, "properties", "total") == {"anyOf": [{"type": "number"}, {"type": "null"}]}


async def test_re_ask_asks_once_more_and_fills_only_the_gaps() -> None:
    models = FakeModels(
        said("", {"name": "Ann", "total": None, "address": {"city": "Berlin", "zip": None}, "lines": None}),
        said("", {"name": "Bob", "total": 5, "address": {"city": "Rome", "zip": "10115"}, "lines": None}),
    )

    output = await ExtractNode.model_validate({**BLOCK, "re_ask": True}).run(node_context(models))

    assert output.json_value == {"name": "Ann", "total": 5, "address": {"city": "Berlin", "zip": "10115"}}
    assert output.missing == ["lines"]
    assert "total, address.zip, lines" in models.requests[1].messages[0].text
    assert [use.calls for use in ExtractNode.model_uses({**BLOCK, "re_ask": True})] == [2]


async def test_a_whole_answer_is_not_asked_for_again() -> None:
    schema: JsonObject = {"type": "object", "properties": {"a": {"type": ["string", "null"]}}, "required": ["a"]}
    models = FakeModels(said("", {"a": "x"}))

    output = await ExtractNode.model_validate({"text": "t", "schema": schema, "re_ask": True}).run(node_context(models))

    assert (output.missing, len(models.requests)) == ([], 1)


async def test_a_required_null_is_kept_and_named() -> None:
    schema: JsonObject = {"type": "object", "properties": {"a": {"type": ["string", "null"]}}, "required": ["a"]}

    output = await ExtractNode.model_validate({"text": "t", "schema": schema}).run(
        node_context(FakeModels(said("", {"a": None})))
    )

    assert (output.json_value, output.missing) == ({"a": None}, ["a"])


async def test_text_and_instructions_are_sent_as_they_are() -> None:
    models = FakeModels(said("", {"name": "x"}))
    await ExtractNode.model_validate({**BLOCK, "text": "{{ a }} ${{ b }}", "instructions": "Amounts in EUR."}).run(
        node_context(models)
    )

    assert models.requests[0].messages[-1].text == "{{ a }} ${{ b }}"
    assert "Amounts in EUR." in models.requests[0].messages[0].text


async def test_no_object_fails_the_step() -> None:
    with pytest.raises(NodeError) as caught:
        await ExtractNode.model_validate(BLOCK).run(node_context(FakeModels(said("nothing"))))

    assert caught.value.error_class == "schema_violation"


def test_the_output_schema_carries_the_nodes_own_schema() -> None:
    assert inside(ExtractNode.output_schema(BLOCK), "properties", "json") == SCHEMA
