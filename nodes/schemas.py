"""JSON Schemas as values: references resolved in place, one schema put inside another, safe checks of a value."""

from collections.abc import Mapping, Sequence
from typing import cast

from bridge.json_types import JsonObject, JsonValue

MAX_PARTS = 20_000


def with_inlined_refs(schema: JsonObject) -> JsonObject:
    """The same schema without `$ref` and `$defs`; a reference that contains itself becomes `{}` (anything)."""
    return cast("JsonObject", _Inliner(schema).copy(schema))


def object_schema(
    properties: Mapping[str, JsonValue], *, required: Sequence[str] | None = None, is_closed: bool = True
) -> JsonObject:
    """An object schema; every property is required unless `required` names fewer."""
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(properties) if required is None else list(required),
        "additionalProperties": not is_closed,
    }


def with_property(schema: JsonObject, name: str, replacement: JsonObject) -> JsonObject:
    """The object schema with one property's schema replaced."""
    properties = cast("JsonObject", schema.get("properties", {}))
    return {**schema, "properties": {**properties, name: replacement}}


def literal_schema(value: JsonValue) -> JsonObject | None:
    """The value as a JSON Schema when it is a literal map (holding no expression), else None."""
    return value if isinstance(value, Mapping) and not has_expression(value) else None


def has_expression(value: JsonValue) -> bool:
    """Does a `${{ }}` stand anywhere in the value?"""
    if isinstance(value, str):
        return "${{" in value.replace("$${{", "")
    if isinstance(value, Mapping):
        return any(has_expression(part) for part in value.values())
    if isinstance(value, Sequence):
        return any(has_expression(part) for part in value)
    return False


class _Inliner:
    """Copies a schema with its references replaced; stops replacing after `MAX_PARTS` parts (nested doubling)."""

    def __init__(self, root: JsonObject) -> None:
        self._root = root
        self._parts = 0

    def copy(self, value: JsonValue, open_refs: tuple[str, ...] = ()) -> JsonValue:
        self._parts += 1
        if isinstance(value, str) or not isinstance(value, Mapping | Sequence):
            return value
        if isinstance(value, Sequence):
            return [self.copy(part, open_refs) for part in value]
        reference = value.get("$ref")
        beside = {key: self.copy(part, open_refs) for key, part in value.items() if key not in {"$ref", "$defs"}}
        if isinstance(reference, str):
            return {**self._target(reference, open_refs), **beside}
        return beside

    def _target(self, reference: str, open_refs: tuple[str, ...]) -> JsonObject:
        if reference in open_refs or self._parts > MAX_PARTS or not reference.startswith("#"):
            return {}
        found: JsonValue = self._root
        for part in reference.lstrip("#").strip("/").split("/") if reference != "#" else ():
            key = part.replace("~1", "/").replace("~0", "~")
            found = found.get(key) if isinstance(found, Mapping) else None
        if not isinstance(found, Mapping):
            return {}
        return cast("JsonObject", self.copy(found, (*open_refs, reference)))
