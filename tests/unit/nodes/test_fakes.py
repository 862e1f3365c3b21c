import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.json_types import JsonObject, JsonValue
from evaluators.schema_check import schema_problems
from nodes.fakes import fake_value


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"const": 4}, 4),
        ({"enum": ["b", "a"]}, "b"),
        ({"type": "string", "default": "x"}, "x"),
        ({"type": "string", "minLength": 6}, "textxx"),
        ({"type": "string", "maxLength": 2}, "te"),
        ({"type": "string", "format": "date"}, "2025-01-01"),
        ({"type": "integer", "minimum": 3}, 3),
        ({"type": "integer", "exclusiveMinimum": 3}, 4),
        ({"type": "integer", "maximum": -2}, -2),
        ({"type": "integer", "minimum": 10, "multipleOf": 7}, 14),
        ({"type": "number", "minimum": 0, "maximum": 1}, 0.0),
        ({"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}, 0.5),
        ({"type": ["null", "boolean"]}, False),
        ({"anyOf": [{"type": "null"}, {"type": "integer"}]}, 0),
        (
            {
                "allOf": [
                    {"type": "object", "properties": {"a": {"type": "null"}}},
                    {"properties": {"b": {"type": "boolean"}}},
                ]
            },
            {"a": None, "b": False},
        ),
        ({"type": "array", "items": {"type": "integer"}, "minItems": 2}, [0, 0]),
        ({"type": "array", "prefixItems": [{"type": "string"}]}, ["text"]),
        ({"type": "object", "required": ["x"], "additionalProperties": {"type": "integer"}}, {"x": 0}),
        ({}, None),
    ],
)
def test_the_fake_is_the_smallest_value_that_fits(schema: JsonObject, value: JsonValue) -> None:
    assert fake_value(schema) == value
    assert schema_problems(schema, value) == ()


def number(kind: str, low: int, span: int, keys: tuple[str, str]) -> JsonObject:
    return {"type": kind, keys[0]: low, keys[1]: low + span}


BOUNDS = [("minimum", "maximum"), ("exclusiveMinimum", "exclusiveMaximum"), ("minimum", "exclusiveMaximum")]


def numbers(kind: str) -> st.SearchStrategy[JsonObject]:
    return st.builds(number, st.just(kind), st.integers(-50, 50), st.integers(2, 50), st.sampled_from(BOUNDS))


def texts(least: int, more: int) -> JsonObject:
    return {"type": "string", "minLength": least, "maxLength": least + more}


def lists(item: JsonObject, least: int) -> JsonObject:
    return {"type": "array", "items": item, "minItems": least}


def maps(properties: dict[str, JsonObject]) -> JsonObject:
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def either(one: JsonObject, two: JsonObject) -> JsonObject:
    return {"anyOf": [one, two]}


def deeper(inner: st.SearchStrategy[JsonObject]) -> st.SearchStrategy[JsonObject]:
    return st.one_of(
        st.builds(lists, inner, st.integers(0, 3)),
        st.builds(maps, st.dictionaries(st.sampled_from("abc"), inner, max_size=3)),
        st.builds(either, inner, inner),
    )


PLAIN: tuple[JsonObject, ...] = ({"type": "boolean"}, {"type": "null"}, {"enum": [1, "a"]})
leaves = st.one_of(
    numbers("integer"),
    numbers("number"),
    st.builds(texts, st.integers(0, 9), st.integers(0, 9)),
    st.sampled_from(PLAIN),
)


@given(st.recursive(leaves, deeper, max_leaves=6))
def test_the_fake_fits_the_schema_and_is_the_same_every_time(schema: JsonObject) -> None:
    assert schema_problems(schema, fake_value(schema)) == ()
    assert fake_value(schema) == fake_value(schema)
