from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.errors import ConfigurationError
from bridge.providers.json_from_schema import value_for

NODE = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "children": {"type": "array", "items": {"$ref": "#/$defs/node"}}},
    "required": ["name"],
}

SCHEMAS: dict[str, dict[str, Any]] = {
    "empty": {},
    "const": {"const": 5},
    "enum": {"enum": ["a", "b"]},
    "nullable": {"type": ["string", "null"]},
    "integer range": {"type": "integer", "minimum": 3, "maximum": 4},
    "exclusive range": {"type": "integer", "exclusiveMinimum": 3, "exclusiveMaximum": 5},
    "share": {"type": "number", "minimum": 0, "maximum": 1},
    "multiple": {"type": "integer", "multipleOf": 7, "minimum": 8},
    "negative": {"type": "number", "maximum": -10},
    "lengths": {"type": "string", "minLength": 40, "maxLength": 45},
    "short": {"type": "string", "maxLength": 3},
    "date": {"type": "string", "format": "date"},
    "code": {"type": "string", "pattern": "^[A-Z]{3}$"},
    "tuple": {"type": "array", "prefixItems": [{"type": "integer"}, {"type": "string"}], "minItems": 2},
    "unique": {"type": "array", "items": {"enum": ["a", "b", "c"]}, "minItems": 3, "uniqueItems": True},
    "optional only": {"type": "object", "properties": {"a": {"type": "boolean"}}, "additionalProperties": False},
    "required unnamed": {"type": "object", "required": ["x"]},
    "map": {"type": "object", "additionalProperties": {"type": "integer"}, "minProperties": 2},
    "any of": {"anyOf": [{"type": "integer"}, {"type": "object", "properties": {"a": {"type": "null"}}}]},
    "one of": {"oneOf": [{"type": "string", "maxLength": 5}, {"type": "integer"}]},
    "all of": {"allOf": [{"properties": {"a": {"type": "integer"}}}, {"required": ["a"]}], "type": "object"},
    "tree": {"$defs": {"node": NODE}, "$ref": "#/$defs/node"},
    "implied object": {"properties": {"a": {"enum": [1]}}, "required": ["a"]},
}


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_value_validates_and_is_always_the_same(name: str) -> None:
    schema = SCHEMAS[name]
    value = value_for(schema, "seed")

    jsonschema.validate(value, schema, jsonschema.Draft202012Validator)
    assert value == value_for(schema, "seed")


def test_other_seeds_give_other_values() -> None:
    schema = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}

    assert len({str(value_for(schema, f"seed-{n}")) for n in range(20)}) > 3


def test_every_choice_of_an_enum_comes_up() -> None:
    assert {str(value_for({"enum": ["a", "b", "c"]}, str(n))) for n in range(60)} == {"a", "b", "c"}


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string", "pattern": "^q{9}Z$"},
        {"type": "integer", "minimum": 5, "maximum": 4},
        {"$ref": "#/$defs/missing"},
        {"$ref": "#"},
        {"type": "object", "required": ["a"], "additionalProperties": False},
        {"not": {}},
    ],
)
def test_a_schema_without_a_findable_value_is_refused_with_a_way_out(schema: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="script one"):
        value_for(schema, "seed")


Schema = dict[str, Any]


def number(low: int, size: int) -> Schema:
    return {"type": "integer", "minimum": low, "maximum": low + size}


def enum(words: list[str]) -> Schema:
    return {"enum": words}


def array(items: Schema) -> Schema:
    return {"type": "array", "items": items, "minItems": 1}


def closed(fields: dict[str, Schema]) -> Schema:
    return {"type": "object", "properties": fields, "required": list(fields), "additionalProperties": False}


def either(first: Schema, second: Schema) -> Schema:
    return {"anyOf": [first, second]}


def plain(kind: str) -> Schema:
    return {"type": kind}


def combined(inner: st.SearchStrategy[Schema]) -> st.SearchStrategy[Schema]:
    return st.one_of(
        st.builds(array, inner),
        st.builds(closed, st.dictionaries(st.text(max_size=4), inner, max_size=3)),
        st.builds(either, inner, inner),
    )


leaves = st.one_of(
    st.builds(plain, st.sampled_from(["string", "boolean", "null", "integer", "number"])),
    st.builds(number, st.integers(-50, 50), st.integers(0, 9)),
    st.builds(enum, st.lists(st.text(max_size=3), min_size=1, max_size=3)),
)
schemas = st.recursive(leaves, combined, max_leaves=6)


@settings(max_examples=40)
@given(schemas, st.integers(0, 5))
def test_whatever_the_schema_the_value_validates(schema: dict[str, Any], seed: int) -> None:
    jsonschema.validate(value_for(schema, str(seed)), schema, jsonschema.Draft202012Validator)
