import json

from bridge.json_types import JsonObject
from nodes.schemas import has_expression, literal_schema, with_inlined_refs, with_property


def test_references_are_replaced_by_what_they_name() -> None:
    schema: JsonObject = {
        "type": "object",
        "properties": {"a": {"$ref": "#/$defs/a~1b", "description": "mine"}},
        "$defs": {"a/b": {"type": "string", "description": "theirs"}},
    }

    assert with_inlined_refs(schema) == {
        "type": "object",
        "properties": {"a": {"type": "string", "description": "mine"}},
    }


def test_a_schema_that_contains_itself_ends_in_anything() -> None:
    tree: JsonObject = {"type": "object", "properties": {"children": {"type": "array", "items": {"$ref": "#"}}}}

    inlined = with_inlined_refs(tree)

    assert "$ref" not in json.dumps(inlined)
    assert inlined["type"] == "object"


def test_references_that_double_at_every_level_do_not_explode() -> None:
    definitions = {
        f"d{n}": {"anyOf": [{"$ref": f"#/$defs/d{n + 1}"}, {"$ref": f"#/$defs/d{n + 1}"}]} for n in range(40)
    }

    assert len(json.dumps(with_inlined_refs({"$ref": "#/$defs/d0", "$defs": definitions}))) < 2_000_000


def test_a_reference_to_nowhere_or_elsewhere_means_anything() -> None:
    assert with_inlined_refs({"items": {"$ref": "#/$defs/none"}}) == {"items": {}}
    assert with_inlined_refs({"items": {"$ref": "https://example.com/s"}}) == {"items": {}}


def test_expressions_are_seen_at_any_depth_but_not_when_written_literally() -> None:
    assert has_expression({"a": ["x ${{ inputs.a }}"]})
    assert not has_expression({"a": ["$${{ inputs.a }}", 3, None]})
    assert literal_schema({"type": "${{ inputs.kind }}"}) is None
    assert literal_schema({"type": "string"}) == {"type": "string"}


def test_one_property_is_replaced_and_the_rest_kept() -> None:
    schema: JsonObject = {"type": "object", "properties": {"a": {}, "b": {}}, "required": ["a"]}

    assert with_property(schema, "a", {"type": "string"}) == {
        **schema,
        "properties": {"a": {"type": "string"}, "b": {}},
    }
