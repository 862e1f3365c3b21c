"""A deterministic value for a JSON Schema: what a node 'answers' in tests and mocks."""

from collections.abc import Callable, Mapping, Sequence
from math import ceil, floor
from typing import cast

from bridge.json_types import JsonObject, JsonValue

MAX_DEPTH = 12

SAMPLES: Mapping[str, str] = {
    "date-time": "2025-01-01T00:00:00Z",
    "date": "2025-01-01",
    "time": "00:00:00Z",
    "duration": "PT1S",
    "email": "someone@example.com",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uri": "https://example.com/",
    "uuid": "00000000-0000-7000-8000-000000000000",
}


def fake_value(schema: JsonValue, *, depth: int = 0) -> JsonValue:
    """A value that fits the schema: constants and defaults where given, else the smallest value of the type.

    All properties of an object are filled. A `pattern` is not solved: such a text may not match it. References are
    not followed: give it a schema from `with_inlined_refs`.
    """
    if not isinstance(schema, Mapping) or depth > MAX_DEPTH:
        return None
    for key in ("const", "default"):
        if key in schema:
            return schema[key]
    choices = _list(schema.get("enum")) or _list(schema.get("examples"))
    if choices:
        return choices[0]
    merged = _merged(schema)
    if merged is not schema:
        return fake_value(merged, depth=depth)
    return _of_type(_type_of(schema), schema, depth)


def _of_type(kind: str, schema: JsonObject, depth: int) -> JsonValue:
    makers: Mapping[str, Callable[[], JsonValue]] = {
        "object": lambda: _fake_object(schema, depth),
        "array": lambda: _fake_array(schema, depth),
        "string": lambda: _fake_text(schema),
        "integer": lambda: floor(_fake_number(schema, step=1)),
        "number": lambda: float(_fake_number(schema, step=0)),
        "boolean": lambda: False,
    }
    return makers[kind]() if kind in makers else None


def _merged(schema: JsonObject) -> JsonObject:
    """The schema with `allOf` folded in and the first usable branch of `anyOf` or `oneOf` taken."""
    for key in ("anyOf", "oneOf"):
        branches = [branch for branch in _list(schema.get(key)) if isinstance(branch, Mapping)]
        if branches:
            chosen = next((branch for branch in branches if branch.get("type") != "null"), branches[0])
            return _joined({name: part for name, part in schema.items() if name != key}, chosen)
    parts = _list(schema.get("allOf"))
    if not parts:
        return schema
    joined: JsonObject = {name: part for name, part in schema.items() if name != "allOf"}
    for part in parts:
        joined = _joined(joined, part) if isinstance(part, Mapping) else joined
    return joined


def _joined(first: JsonObject, second: JsonObject) -> JsonObject:
    properties = {**_map(first.get("properties")), **_map(second.get("properties"))}
    return {**first, **second, **({"properties": properties} if properties else {})}


def _type_of(schema: JsonObject) -> str:
    kind = schema.get("type")
    if isinstance(kind, str):
        return kind
    kinds = [name for name in _list(kind) if isinstance(name, str)]
    if kinds:
        return next((name for name in kinds if name != "null"), "null")
    for key, implied in (("properties", "object"), ("items", "array"), ("minLength", "string"), ("minimum", "number")):
        if key in schema:
            return implied
    return "null"


def _fake_object(schema: JsonObject, depth: int) -> JsonValue:
    properties = _map(schema.get("properties"))
    made = {name: fake_value(part, depth=depth + 1) for name, part in properties.items()}
    missing = [name for name in _list(schema.get("required")) if isinstance(name, str) and name not in made]
    return {**made, **{name: fake_value(schema.get("additionalProperties"), depth=depth + 1) for name in missing}}


def _fake_array(schema: JsonObject, depth: int) -> JsonValue:
    fixed = [fake_value(part, depth=depth + 1) for part in _list(schema.get("prefixItems"))]
    least = schema.get("minItems")
    wanted = max(least if isinstance(least, int) else 0, 0)
    while len(fixed) < min(wanted, 100):
        fixed.append(fake_value(schema.get("items"), depth=depth + 1))
    return fixed


def _fake_text(schema: JsonObject) -> str:
    text = SAMPLES.get(str(schema.get("format")), "text")
    least, most = schema.get("minLength"), schema.get("maxLength")
    if isinstance(least, int) and len(text) < least:
        text = text.ljust(min(least, 100_000), "x")
    return text[:most] if isinstance(most, int) else text


def _fake_number(schema: JsonObject, *, step: int) -> float:
    """Zero where allowed, else the allowed number next to it."""
    low = _number(schema.get("minimum"), float("-inf"))
    high = _number(schema.get("maximum"), float("inf"))
    above = _number(schema.get("exclusiveMinimum"), float("-inf"))
    below = _number(schema.get("exclusiveMaximum"), float("inf"))
    multiple = _number(schema.get("multipleOf"), float(step))
    if multiple > 0:
        low = max(low, (floor(above / multiple) + 1) * multiple if above > float("-inf") else low)
        high = min(high, (ceil(below / multiple) - 1) * multiple if below < float("inf") else high)
        near = min(max(0.0, low), high)
        return ceil(near / multiple) * multiple if near >= low and near >= 0 else floor(near / multiple) * multiple
    if max(low, above) < 0 < min(high, below):
        return 0.0
    if low <= 0 <= high and above < 0 < below:
        return 0.0
    floor_value, roof_value = max(low, above), min(high, below)
    if floor_value > float("-inf") and roof_value < float("inf"):
        return (floor_value + roof_value) / 2 if floor_value != roof_value else floor_value
    return floor_value + 1 if floor_value > float("-inf") else roof_value - 1


def _number(value: JsonValue, otherwise: float) -> float:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else otherwise


def _list(value: JsonValue) -> Sequence[JsonValue]:
    return value if isinstance(value, Sequence) and not isinstance(value, str) else ()


def _map(value: JsonValue) -> JsonObject:
    return cast("JsonObject", value) if isinstance(value, Mapping) else {}
