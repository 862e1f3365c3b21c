import pytest

from studio.input_form import Schema, UnreadableInputError, properties, read_inputs, required
from tests.support.studio_rows import INPUTS_SCHEMA


def test_optional_fields_left_empty_are_not_sent() -> None:
    raw = {"ticket": "My invoice is wrong", "tier": None, "max_replies": None, "urgent": False}

    assert read_inputs(INPUTS_SCHEMA, raw) == {"ticket": "My invoice is wrong", "urgent": False}


def test_a_required_text_left_empty_is_sent_so_that_the_platform_can_say_what_is_wrong() -> None:
    assert read_inputs(INPUTS_SCHEMA, {"ticket": ""}) == {"ticket": ""}


def test_lists_and_maps_are_typed_as_json() -> None:
    schema: Schema = {"properties": {"rows": {"type": "array"}}, "required": ["rows"]}

    assert read_inputs(schema, {"rows": "[1, 2]"}) == {"rows": [1, 2]}


def test_json_that_cannot_be_read_names_the_field_and_the_line() -> None:
    schema: Schema = {"properties": {"rows": {"type": "array"}}}

    with pytest.raises(UnreadableInputError, match=r"rows: not valid JSON \(.*line 2\)"):
        read_inputs(schema, {"rows": "[1,\n oops]"})


def test_a_schema_without_properties_is_an_empty_form() -> None:
    assert properties({}) == {}
    assert required({}) == frozenset()
