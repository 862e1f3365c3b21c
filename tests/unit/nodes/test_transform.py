from collections.abc import Callable, Mapping
from typing import cast

import pytest
from pydantic import ValidationError

from bridge.json_types import JsonObject, JsonValue
from nodes.errors import ExpressionError, InvalidInputError
from nodes.transform import MAX_ITEMS, TransformNode
from tests.support.fakes import inside, node_context

Meaning = Callable[[Mapping[str, JsonValue]], JsonValue]


def field(name: str) -> Meaning:
    return lambda scope: cast("JsonObject", scope["item"])[name]


MEANINGS: dict[str, Meaning] = {
    "inputs.n": lambda scope: inside(scope["inputs"], "n"),
    "item.p": field("p"),
    "item.q": field("q"),
    "item.p > 1": lambda scope: cast("int", field("p")(scope)) > 1,
    "index": lambda scope: scope["index"],
    "true": lambda scope: True,
}
ROWS: list[JsonObject] = [{"p": 2, "q": "b"}, {"p": 1, "q": "a"}, {"p": 3, "q": "a"}]


async def made(block: JsonObject) -> JsonValue:
    node = TransformNode.model_validate(block)
    return (await node.run(node_context(expressions=MEANINGS, scope={"inputs": {"n": 7}}))).model_dump(mode="json")


async def test_a_map_of_expressions_becomes_a_map_of_values() -> None:
    assert await made({"map": {"n": "inputs.n", "t": "true"}}) == {"n": 7, "t": True}


@pytest.mark.parametrize(
    ("block", "result"),
    [
        ({}, ROWS),
        ({"where": "item.p > 1"}, [ROWS[0], ROWS[2]]),
        ({"where": False}, []),
        ({"sort": "item.p"}, [ROWS[1], ROWS[0], ROWS[2]]),
        ({"sort": {"by": "item.p", "order": "desc"}}, [ROWS[2], ROWS[0], ROWS[1]]),
        ({"sort": [{"by": "item.q"}, {"by": "item.p", "order": "desc"}]}, [ROWS[2], ROWS[1], ROWS[0]]),
        ({"limit": 1}, [ROWS[0]]),
        ({"limit": 0}, []),
        ({"select": "item.q"}, ["b", "a", "a"]),
        (
            {
                "where": "item.p > 1",
                "sort": {"by": "item.p", "order": "desc"},
                "limit": 1,
                "select": {"i": "index", "q": "item.q"},
            },
            [{"i": 2, "q": "a"}],
        ),
    ],
)
async def test_lists_are_filtered_sorted_cut_and_mapped_in_that_order(block: JsonObject, result: JsonValue) -> None:
    assert await made({"items": ROWS, **block}) == result


async def test_null_sorts_last_both_ways_and_equal_keys_keep_their_order() -> None:
    rows = [{"p": None, "q": "x"}, {"p": 1, "q": "y"}, {"p": 1, "q": "z"}]

    assert await made({"items": rows, "sort": "item.p", "select": "item.q"}) == ["y", "z", "x"]
    assert await made({"items": rows, "sort": {"by": "item.p", "order": "desc"}, "select": "item.q"}) == ["y", "z", "x"]


@pytest.mark.parametrize("values", [[1, "a"], [1, True], [[1], [2]], [{"a": 1}, {"a": 2}]])
async def test_values_without_an_order_are_refused(values: list[JsonValue]) -> None:
    with pytest.raises(InvalidInputError, match="sort cannot compare"):
        await made({"items": [{"p": value} for value in values], "sort": "item.p"})


async def test_where_must_be_a_boolean_and_expression_errors_pass_through() -> None:
    with pytest.raises(InvalidInputError, match="where must give true or false"):
        await made({"items": ROWS, "where": "item.q"})
    with pytest.raises(ExpressionError):
        await made({"items": ROWS, "select": "item.unknown"})


async def test_a_list_that_is_too_long_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="at most"):
        await made({"items": [0] * (MAX_ITEMS + 1)})


@pytest.mark.parametrize(
    "block",
    [{}, {"map": {}, "items": []}, {"map": {"a": "index"}, "limit": 1}, {"items": "x"}, {"items": [], "limit": -1}],
)
def test_a_block_that_makes_no_sense_is_refused(block: JsonObject) -> None:
    with pytest.raises(ValidationError):
        TransformNode.model_validate(block)


def test_the_output_schema_names_what_comes_out() -> None:
    assert inside(TransformNode.output_schema({"map": {"a": "x", "b": "y"}}), "required") == ["a", "b"]
    assert inside(TransformNode.output_schema({"items": [], "select": {"a": "x"}}), "items", "required") == ["a"]
    assert TransformNode.output_schema({"items": [], "limit": 2}) == {"type": "array", "items": {}, "maxItems": 2}
    assert "items" not in TransformNode.late_fields
