"""Follows a chain of fields through JSON Schemas: which schema it ends at, or where it leaves what exists."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from bridge.json_types import JsonObject, JsonValue

ANYTHING: JsonObject = {}
_WORDS = {
    "string": "a text",
    "integer": "a number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "null": "null",
}


@dataclass(frozen=True, slots=True)
class Miss:
    """Field number `index` of the chain does not exist; `known` are those that do."""

    index: int
    message: str
    known: tuple[str, ...] = ()


def follow(schema: JsonObject, fields: Sequence[str]) -> JsonObject | Miss:
    """The schema that `fields` lead to from `schema`."""
    for index, name in enumerate(fields):
        found = [step_into(branch, name) for branch in alternatives(schema)]
        inner = [branch for branch in found if branch is not None]
        if not inner:
            return _miss(schema, index, name)
        schema = inner[0] if len(inner) == 1 else {"anyOf": inner}
    return schema


def step_into(schema: JsonObject, name: str) -> JsonObject | None:
    """The schema of one field; None when the schema has none of that name."""
    kinds = kinds_of(schema)
    if kinds and "object" not in kinds:
        return None
    properties = _properties(schema)
    if name in properties:
        return _schema(properties[name])
    rest = schema.get("additionalProperties")
    if isinstance(rest, Mapping):
        return _schema(rest)
    return ANYTHING if rest is True or (not properties and rest is not False) else None


def alternatives(schema: JsonObject, depth: int = 0) -> list[JsonObject]:
    """The branches of anyOf and oneOf, nested ones included, null left out; allOf folded together."""
    parts = _list(schema.get("allOf"))
    if parts:
        schema = _folded(schema, parts)
    branches = _list(schema.get("anyOf")) or _list(schema.get("oneOf"))
    if not branches or depth > 8:
        return [schema]
    found = [inner for branch in branches for inner in alternatives(_schema(branch), depth + 1)]
    return [branch for branch in found if branch.get("type") != "null"] or [schema]


def kinds_of(schema: JsonObject) -> frozenset[str]:
    """JSON type names the schema allows, null left out; empty when it does not say."""
    kind = schema.get("type")
    if isinstance(kind, str):
        return frozenset({kind}) - {"null"}
    if isinstance(kind, Sequence):
        return frozenset(str(name) for name in kind) - {"null"}
    choices = [schema["const"]] if "const" in schema else _list(schema.get("enum"))
    if choices:
        return frozenset(_kind_of_value(choice) for choice in choices) - {"null"}
    if "properties" in schema:
        return frozenset({"object"})
    branches = [kinds_of(branch) for branch in alternatives(schema) if branch is not schema]
    return frozenset[str]().union(*branches) if branches and all(branches) else frozenset()


def is_nullable(schema: JsonObject) -> bool:
    """Whether null is among the values."""
    kind = schema.get("type")
    if kind == "null" or (isinstance(kind, Sequence) and not isinstance(kind, str) and "null" in kind):
        return True
    branches = [*_list(schema.get("anyOf")), *_list(schema.get("oneOf"))]
    return any(is_nullable(_schema(branch)) for branch in branches)


def items_of(schema: JsonObject) -> JsonObject:
    """The schema of a list's elements."""
    found = [_schema(branch.get("items")) for branch in alternatives(schema)]
    return found[0] if len(found) == 1 else ANYTHING


def _miss(schema: JsonObject, index: int, name: str) -> Miss:
    branches = alternatives(schema)
    known = sorted({key for branch in branches for key in _properties(branch)})
    if known:
        return Miss(index, f"there is no field `{name}` here", tuple(known))
    kinds = sorted({_WORDS.get(kind, "a map") for branch in branches for kind in kinds_of(branch)})
    return Miss(index, f"there is no field `{name}`: the value is {' or '.join(kinds) or 'empty'}")


def _folded(schema: JsonObject, parts: Sequence[JsonValue]) -> JsonObject:
    folded: dict[str, JsonValue] = {key: value for key, value in schema.items() if key != "allOf"}
    for part in map(_schema, parts):
        properties = {**_properties(folded), **_properties(part)}
        folded = {**folded, **part, **({"properties": properties} if properties else {})}
    return folded


def _properties(schema: JsonObject) -> Mapping[str, JsonValue]:
    properties = schema.get("properties")
    return cast("Mapping[str, JsonValue]", properties) if isinstance(properties, Mapping) else {}


def _schema(value: JsonValue) -> JsonObject:
    return cast("JsonObject", value) if isinstance(value, Mapping) else ANYTHING


def _list(value: JsonValue) -> Sequence[JsonValue]:
    return value if isinstance(value, Sequence) and not isinstance(value, str) else ()


def _kind_of_value(value: JsonValue) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "integer"
    if isinstance(value, float):
        return "number"
    if isinstance(value, str):
        return "string"
    return "object" if isinstance(value, Mapping) else "array"
