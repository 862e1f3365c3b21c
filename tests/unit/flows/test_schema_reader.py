import pytest

from bridge.json_types import JsonObject, JsonValue
from flows.diagnostics import Diagnostics
from flows.schema_reader import SchemaReader
from flows.yaml_source import parse_yaml


def read(text: str, schema: JsonObject, *, expressions: bool = False) -> tuple[JsonValue, list[tuple[str, int, int]]]:
    problems = Diagnostics("f.yaml")
    root = parse_yaml(text, problems)
    assert root is not None
    value = SchemaReader(problems, schema, are_expressions_allowed=expressions).read(root, schema)
    return value, [(d.code, d.line, d.column) for d in problems.sorted()]


def of(**properties: JsonValue) -> JsonObject:
    return {"type": "object", "properties": properties, "additionalProperties": False}


TEXT: JsonObject = {"type": "string"}


def test_a_number_keeps_its_spelling_where_text_is_wanted_and_is_one_where_a_number_is() -> None:
    schema = of(version=TEXT, price={"type": "number"}, count={"type": "integer"}, hex={"type": "integer"}, free={})

    value, problems = read("{version: 1.10, price: 1.10, count: 3.0, hex: 0x1F, free: 1.10}", schema)

    assert value == {"version": "1.10", "price": 1.1, "count": 3, "hex": 31, "free": "1.10"}
    assert problems == []


def test_booleans_are_text_only_where_a_choice_spells_them() -> None:
    assert read("{a: true}", of(a={"enum": ["no", "on"], "type": "string"}))[1] == [("wrong_type", 1, 5)]
    assert read("{a: on}", of(a={"enum": ["no", "on"]}))[0] == {"a": "on"}
    assert read("{a: true}", of(a=TEXT))[1] == [("wrong_type", 1, 5)]


def test_expressions_stand_for_any_type_where_they_are_allowed() -> None:
    schema = of(a={"type": "integer"}, b={"type": "array"})

    assert read('{a: "${{ x }}", b: "${{ y }}"}', schema, expressions=True)[1] == []
    assert read('{a: "${{ x }}"}', schema)[1] == [("wrong_type", 1, 5)]
    assert read('{a: "$${{ x }}"}', schema, expressions=True)[1] == [("wrong_type", 1, 5)]


def test_of_several_alternatives_the_one_that_fits_best_is_judged() -> None:
    schema = of(
        rule={
            "anyOf": [
                of(kind={"const": "cut"}, length={"type": "integer"}),
                of(kind={"const": "keep"}, words={"type": "array", "items": TEXT}),
                TEXT,
                {"type": "null"},
            ]
        }
    )

    assert read("{rule: {kind: keep, words: [a]}}", schema)[1] == []
    assert read("{rule: {kind: keep, words: [[a]]}}", schema)[1] == [("wrong_type", 1, 29)]
    assert read("{rule: short}", schema)[0] == {"rule": "short"}
    assert read("{rule: null}", schema)[0] == {"rule": None}
    assert read("{rule: [a]}", schema)[1] == [("wrong_type", 1, 8)]


def test_references_are_followed_also_those_that_lead_in_circles() -> None:
    tree: JsonObject = {"type": "object", "properties": {"next": {"$ref": "#"}}, "additionalProperties": False}
    endless: JsonObject = {"$ref": "#"}

    assert read("{next: {next: {nxt: {}}}}", tree)[1] == [("unknown_key", 1, 16)]
    assert read("{a: 1}", endless) == ({"a": 1}, [])


@pytest.mark.parametrize(
    ("text", "schema", "code"),
    [
        ("{a: abc}", {"type": "string", "maxLength": 2}, "invalid_value"),
        ('{a: ""}', {"type": "string", "minLength": 1}, "invalid_value"),
        ("{a: abc}", {"type": "string", "pattern": "^b"}, "invalid_value"),
        ("{a: 3}", {"type": "integer", "exclusiveMaximum": 3}, "invalid_value"),
        ("{a: 2.5}", {"type": "integer"}, "wrong_type"),
        ("{a: [1]}", {"type": "array", "minItems": 2}, "invalid_value"),
        ("{a: {}}", {"type": "object", "required": ["b"]}, "missing_key"),
        ("{a: {X: 1}}", {"type": "object", "propertyNames": {"pattern": "^[a-z]+$"}}, "bad_name"),
    ],
)
def test_each_limit_of_a_schema_is_kept(text: str, schema: JsonObject, code: str) -> None:
    assert [found for found, _, _ in read(text, of(a=schema))[1]] == [code]


def test_a_key_behind_a_refused_merge_is_not_called_missing() -> None:
    problems = Diagnostics("f.yaml")
    root = parse_yaml("<<: {a: 1}", problems)
    assert root is not None

    SchemaReader(problems, {}).read(root, {"type": "object", "required": ["a"]})

    assert [d.code for d in problems.sorted()] == ["yaml_merge_key"]
