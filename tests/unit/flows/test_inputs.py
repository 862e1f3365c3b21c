import time

import pytest

from bridge.json_types import JsonObject
from flows.errors import InvalidInputsError
from flows.inputs import check_inputs, parse_inputs, to_schema

SCHEMA: JsonObject = {
    "type": "object",
    "properties": {
        "text": {"type": "string", "minLength": 1},
        "count": {"type": "integer", "default": 2},
        "share": {"type": "number"},
        "tags": {"type": "array", "items": {"type": "string"}},
        "tier": {"enum": ["no", "on"], "default": "no"},
        "code": {"type": "string", "pattern": "^(a+)+$"},
    },
    "required": ["text"],
    "additionalProperties": False,
}


def test_text_is_read_by_the_schema_of_its_input() -> None:
    raw = {"text": "12", "count": "3", "share": "0.5", "tags": '["a"]', "tier": "on"}

    assert parse_inputs(SCHEMA, raw, {}) == {"text": "12", "count": 3, "share": 0.5, "tags": ["a"], "tier": "on"}


def test_what_stands_on_the_command_line_wins_over_the_file() -> None:
    assert parse_inputs(SCHEMA, {"text": "a"}, {"text": "b", "count": 1}) == {"text": "a", "count": 1}


def test_text_that_cannot_be_what_is_wanted_names_its_input() -> None:
    with pytest.raises(InvalidInputsError) as caught:
        parse_inputs(SCHEMA, {"count": "many", "tags": "a"}, {})

    assert [pointer for pointer, _ in caught.value.problems] == ["/count", "/tags"]


def test_defaults_are_filled_and_numbers_become_what_expressions_need() -> None:
    checked = check_inputs(SCHEMA, {"text": "x", "share": 1, "count": 4.0})

    assert checked == {"text": "x", "share": 1.0, "count": 4, "tier": "no"}
    assert isinstance(checked["share"], float)
    assert isinstance(checked["count"], int)


def test_every_problem_is_told_with_its_pointer() -> None:
    with pytest.raises(InvalidInputsError) as caught:
        check_inputs(SCHEMA, {"tags": ["a", 1], "tagz": [], "tier": "off"})

    found = dict(caught.value.problems)
    assert set(found) == {"/text", "/tags/1", "/tagz", "/tier"}
    assert "did you mean `tags`" in found["/tagz"]


def test_a_pattern_and_a_text_made_to_hang_do_not() -> None:
    started = time.perf_counter()

    with pytest.raises(InvalidInputsError):
        check_inputs(SCHEMA, {"text": "x", "code": "a" * 5000 + "b"})

    assert time.perf_counter() - started < 2


def test_numbers_are_converted_at_any_depth() -> None:
    schema: JsonObject = {
        "type": "object",
        "properties": {"rows": {"type": "array", "items": {"anyOf": [{"type": "number"}, {"type": "null"}]}}},
        "additionalProperties": {"type": "number"},
    }

    converted = to_schema({"rows": [1, None], "other": 2}, schema)

    assert converted == {"rows": [1.0, None], "other": 2.0}
    assert str(converted) == "{'rows': [1.0, None], 'other': 2.0}"
