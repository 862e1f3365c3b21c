"""Reads the `inputs:` of a flow into one JSON Schema."""

from bridge.json_types import JsonObject, JsonValue
from flows.diagnostics import Diagnostics
from flows.expressions_compiled import CEL_WORDS, ROOTS
from flows.patterns import is_found
from flows.schema_checks import check_schema
from flows.schema_reader import SchemaReader
from flows.suggestions import did_you_mean
from flows.yaml_nodes import ListNode, MapNode, ScalarNode, YamlNode, to_json

TYPES = ("string", "integer", "number", "boolean", "array", "object", "null")
KEYWORDS = frozenset(
    {
        "type", "description", "title", "default", "examples", "enum", "const", "format", "pattern", "minLength",
        "maxLength", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "items",
        "prefixItems", "minItems", "maxItems", "uniqueItems", "properties", "required", "additionalProperties",
        "propertyNames", "minProperties", "maxProperties", "anyOf", "oneOf", "allOf", "not", "contentEncoding",
        "contentMediaType", "deprecated", "readOnly", "writeOnly", "$comment",
    }
)  # fmt: skip
_LITERALS = frozenset({"default", "enum", "const", "examples"})


def read_inputs(node: YamlNode | None, problems: Diagnostics) -> tuple[JsonObject, dict[str, ScalarNode]]:
    """The inputs' schema (object; required are those without default) and where each input stands."""
    properties: dict[str, JsonValue] = {}
    keys: dict[str, ScalarNode] = {}
    required: list[JsonValue] = []
    for name, (key, value) in node.entries.items() if isinstance(node, MapNode) else ():
        if name in ROOTS or name in CEL_WORDS:
            problems.error(key, "reserved_name", f"`{name}` is a reserved word", "choose another name")
        keys[name] = key
        if isinstance(value, MapNode):
            schema = _read_schema(value, problems)
            properties[name] = schema if check_schema(schema, value, problems) else {}
            if "default" not in value.entries:
                required.append(name)
    whole: JsonObject = {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }
    return whole, keys


def _read_schema(node: MapNode, problems: Diagnostics) -> JsonObject:
    schema: dict[str, JsonValue] = {}
    for name, (key, value) in node.entries.items():
        if name == "type" and not _are_types(value, problems):
            continue
        if name not in KEYWORDS:
            hint = did_you_mean(name, KEYWORDS) or "inputs are described by JSON Schema keywords"
            problems.error(key, "unknown_key", f"unknown schema keyword `{name}`", hint)
        elif name not in _LITERALS:
            schema[name] = _read_keyword(name, value, problems)
    plain = {"type": schema["type"]} if "type" in schema else {}
    for name in ("enum", "const", "examples"):
        literal = node.get(name)
        if literal is not None:
            shape: JsonObject = {"type": "array", "items": plain}
            is_list = name in {"enum", "examples"}
            schema[name] = SchemaReader(problems, {}).read(literal, shape if is_list else plain, node.key(name))
    default = node.get("default")
    if default is not None:
        schema["default"] = SchemaReader(problems, {}).read(default, dict(schema), node.key("default"))
    return schema


def _read_keyword(name: str, value: YamlNode, problems: Diagnostics) -> JsonValue:
    if name == "pattern" and isinstance(value, ScalarNode):
        _check_pattern(value, problems)
    if name in {"items", "not", "additionalProperties", "propertyNames"} and isinstance(value, MapNode):
        return _read_schema(value, problems)
    if name == "properties" and isinstance(value, MapNode):
        return {
            inner: _read_schema(part, problems) if isinstance(part, MapNode) else to_json(part)
            for inner, (_, part) in value.entries.items()
        }
    if name in {"anyOf", "oneOf", "allOf", "prefixItems"} and isinstance(value, ListNode):
        return [_read_schema(part, problems) if isinstance(part, MapNode) else to_json(part) for part in value.items]
    return to_json(value)


def _check_pattern(node: ScalarNode, problems: Diagnostics) -> None:
    try:
        is_found(node.text, "")
    except ValueError as error:
        hint = "patterns are RE2: no look-around, no back-references"
        problems.error(node, "invalid_value", f"this pattern cannot be used: {error}", hint)


def _are_types(node: YamlNode, problems: Diagnostics) -> bool:
    is_right = True
    for part in node.items if isinstance(node, ListNode) else [node]:
        if isinstance(part, ScalarNode) and part.text not in TYPES:
            hint = did_you_mean(part.text, TYPES) or f"types are {', '.join(TYPES)}"
            problems.error(part, "invalid_value", f"`{part.text}` is no JSON type", hint)
            is_right = False
    return is_right
