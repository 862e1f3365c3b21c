"""A value that validates against a JSON Schema: the mock's way to answer structured requests.

Same schema and seed, same value. What cannot be built by rule (patterns beyond the usual, contradictory branches)
is refused with a way out; nothing is returned that does not validate.
"""

import random
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import jsonschema

from bridge.errors import ConfigurationError
from bridge.json_types import JsonObject, JsonValue

MAX_DEPTH = 12
TRIES = 40
WORDS = ("amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "haven", "indigo", "jasper", "kelp", "lumen")
SAMPLES: dict[str, str] = {
    "date": "2026-03-14",
    "date-time": "2026-03-14T09:26:53Z",
    "time": "09:26:53Z",
    "duration": "P3D",
    "email": "ada@example.com",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uri": "https://example.com/a",
    "uri-reference": "/a",
    "uuid": "0198c2b0-7c1e-7000-8000-000000000001",
    "regex": "^a$",
    "json-pointer": "/a",
}
PATTERN_TRIALS = (
    *SAMPLES.values(), "a", "A", "1", "abc", "ABC", "123", "Abc", "ABC-123", "AB12", "A1", "en", "en-US", "EUR",
    "+49301234567", "12:30", "2026-03", "2026", "#a1b2c3", "1.0.0", "v1.2.3", "a-b", "a_b", "0.5", "yes", "",
)  # fmt: skip

Schema = Mapping[str, Any]


def value_for(schema: JsonObject, seed: str) -> JsonValue:
    """A value of `schema`; different seeds give different values where the schema allows.

    Raises:
        ConfigurationError: No value was found that validates.
    """
    validator = jsonschema.Draft202012Validator(schema)
    for turn in range(TRIES):
        maker = _Maker(schema, random.Random(f"{seed}:{turn}"), is_sparse=turn % 2 == 1)  # noqa: S311  # no secret
        try:
            value = maker.make(schema, depth=0)
        except (_DeadEndError, RecursionError):
            continue
        if validator.is_valid(value):  # pyright: ignore[reportUnknownMemberType]  # jsonschema is untyped here
            return value
    raise ConfigurationError("the mock finds no value for this schema; script one with `replies: [{json: ...}]`")


class _DeadEndError(Exception):
    """This branch has no value."""


class _Maker:
    """One attempt at a value. Sparse: only what is required."""

    def __init__(self, root: Schema, rng: random.Random, *, is_sparse: bool) -> None:
        self._root = root
        self._rng = rng
        self._is_sparse = is_sparse

    def make(self, schema: Any, depth: int, name: str = "value") -> JsonValue:
        if schema is True or schema == {}:
            return self._word(name)
        if not isinstance(schema, Mapping) or depth > MAX_DEPTH:
            raise _DeadEndError
        flat = self._flat(cast("Schema", schema), depth)
        if "const" in flat:
            return flat["const"]
        if "enum" in flat:
            return self._rng.choice(list(flat["enum"]))
        return self._of_type(flat, depth, name)

    def _flat(self, schema: Schema, depth: int) -> Schema:
        """`$ref`, `allOf` and one branch of `anyOf` or `oneOf` laid over the rest."""
        merged: dict[str, Any] = {key: value for key, value in schema.items() if key not in _COMBINERS}
        parts: list[Any] = list(schema.get("allOf", ()))
        if "$ref" in schema:
            parts.append(self._resolve(str(schema["$ref"])))
        for key in ("anyOf", "oneOf"):
            if schema.get(key):
                branches = list(schema[key])
                parts.append(branches[0] if depth > MAX_DEPTH // 2 else self._rng.choice(branches))
        for part in parts:
            if not isinstance(part, Mapping) or depth > MAX_DEPTH:
                raise _DeadEndError
            merged = _laid_over(merged, self._flat(cast("Schema", part), depth + 1))
        return merged

    def _resolve(self, ref: str) -> object:
        node: Any = self._root
        for step in ref.removeprefix("#").split("/")[1:]:
            key = step.replace("~1", "/").replace("~0", "~")
            if not isinstance(node, Mapping) or key not in node:
                raise _DeadEndError
            node = cast("Schema", node)[key]
        return cast("object", node)

    def _of_type(self, schema: Schema, depth: int, name: str) -> JsonValue:
        kinds = schema.get("type") or _implied_type(schema)
        kind = kinds if isinstance(kinds, str) else self._rng.choice([k for k in kinds if k != "null"] or ["null"])
        makers: dict[str, Callable[[], JsonValue]] = {
            "object": lambda: self._object(schema, depth),
            "array": lambda: self._array(schema, depth, name),
            "string": lambda: self._string(schema, name),
            "integer": lambda: self._number(schema, is_whole=True),
            "number": lambda: self._number(schema, is_whole=False),
            "boolean": lambda: self._rng.random() < 0.5,
            "null": lambda: None,
        }
        if kind not in makers:
            raise _DeadEndError
        return makers[kind]()

    def _object(self, schema: Schema, depth: int) -> JsonValue:
        properties: Mapping[str, Any] = schema.get("properties", {})
        required: Sequence[str] = schema.get("required", ())
        made: dict[str, JsonValue] = {}
        for name, inner in properties.items():
            if name in required:
                made[name] = self.make(inner, depth + 1, name)
            elif not self._is_sparse and depth < MAX_DEPTH // 2:
                try:
                    made[name] = self.make(inner, depth + 1, name)
                except _DeadEndError:
                    continue
        extra = schema.get("additionalProperties", True)
        for name in required:
            if name not in made:
                made[name] = self.make(extra, depth + 1, name)
        while len(made) < schema.get("minProperties", 0):
            made[f"key{len(made)}"] = self.make(extra, depth + 1)
        return made

    def _array(self, schema: Schema, depth: int, name: str) -> JsonValue:
        prefix = [self.make(inner, depth + 1, name) for inner in schema.get("prefixItems", ())]
        least = int(schema.get("minItems", 0 if self._is_sparse else 1))
        count = min(max(least, len(prefix)), int(schema.get("maxItems", 1_000)))
        items: list[JsonValue] = prefix[:count]
        for _ in range(TRIES):
            if len(items) >= count:
                return items
            item = self.make(schema.get("items", True), depth + 1, name)
            if item not in items or not schema.get("uniqueItems"):
                items.append(item)
        raise _DeadEndError

    def _string(self, schema: Schema, name: str) -> str:
        least, most = int(schema.get("minLength", 0)), int(schema.get("maxLength", 10_000))
        pattern = schema.get("pattern")
        if pattern is not None:
            fitting = [t for t in PATTERN_TRIALS if least <= len(t) <= most and re.search(pattern, t) is not None]
            if not fitting:
                raise _DeadEndError
            return fitting[0]
        if schema.get("format") in SAMPLES:
            return SAMPLES[schema["format"]]
        text = self._word(name)
        while len(text) < least:
            text += " " + self._rng.choice(WORDS)
        return text[:most]

    def _number(self, schema: Schema, *, is_whole: bool) -> JsonValue:
        step = schema.get("multipleOf") or (1 if is_whole else 0.01)
        low, high = _limits(schema, step)
        count = int((high - low) / step + 1e-9)
        if count < 0:
            raise _DeadEndError
        offset = -(-low // step) * step
        value = offset + step * self._rng.randint(0, min(count, 100))
        return int(value) if is_whole else min(round(value, 6), high)

    def _word(self, name: str) -> str:
        return f"{name.replace('_', ' ')} {self._rng.choice(WORDS)}"


_COMBINERS = frozenset({"allOf", "anyOf", "oneOf", "$ref", "$defs", "definitions"})


def _laid_over(base: Mapping[str, Any], over: Schema) -> dict[str, Any]:
    """Both at once: properties and required are united, types narrowed, of limits the later one wins."""
    merged = {**base, **over}
    if "properties" in base and "properties" in over:
        merged["properties"] = {**base["properties"], **over["properties"]}
    if "required" in base and "required" in over:
        merged["required"] = list(dict.fromkeys([*base["required"], *over["required"]]))
    return merged


def _implied_type(schema: Schema) -> str:
    if {"properties", "required", "additionalProperties", "minProperties"} & schema.keys():
        return "object"
    if {"items", "prefixItems", "minItems"} & schema.keys():
        return "array"
    if {"minimum", "maximum", "multipleOf", "exclusiveMinimum", "exclusiveMaximum"} & schema.keys():
        return "number"
    return "string"


def _limits(schema: Schema, step: float) -> tuple[float, float]:
    """Lowest and highest value, open ends closed by one step."""
    low = schema.get("minimum", schema.get("exclusiveMinimum", -step) + step if "exclusiveMinimum" in schema else None)
    high = schema.get("maximum", schema["exclusiveMaximum"] - step if "exclusiveMaximum" in schema else None)
    if low is None:
        low = 0 if high is None or high >= 0 else high - 100 * step
    return low, low + 100 * step if high is None else high
