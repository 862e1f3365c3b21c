"""Reads YAML nodes by a JSON Schema: the value with the types the schema wants, and every problem at its place.

One reader serves the language itself, the `with:` blocks of nodes and calls of child flows. Values that hold an
expression are kept as text and not checked where the schema allows expressions.
"""

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import cast

from bridge.json_types import JsonObject, JsonValue
from flows.diagnostics import Diagnostics
from flows.expressions_text import has_expression
from flows.patterns import is_found
from flows.suggestions import did_you_mean
from flows.yaml_nodes import ListNode, MapNode, ScalarNode, YamlNode, to_json

EXPRESSION = "x-expression"
"""Schema keyword: the place may hold `${{ }}`."""

_KINDS = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "a map",
    "null": "null",
}
_BOUNDS: tuple[tuple[str, Callable[[float, float], bool], str], ...] = (
    ("minimum", operator.ge, "at least"),
    ("maximum", operator.le, "at most"),
    ("exclusiveMinimum", operator.gt, "more than"),
    ("exclusiveMaximum", operator.lt, "less than"),
)
_MAX_REF_DEPTH = 32


@dataclass(frozen=True, slots=True)
class SchemaReader:
    """Reads nodes by schemas whose `$ref`s point into `root`."""

    problems: Diagnostics
    root: JsonObject
    are_expressions_allowed: bool = False
    what: str = "key"
    """What an unknown key is called."""

    def read(self, node: YamlNode, schema: JsonValue, at: YamlNode | None = None) -> JsonValue:
        """The value of `node`. Missing keys are reported at `at` (the key above), else at the node itself."""
        schema = self._resolve(schema)
        if type(node) is YamlNode:
            return None
        if not schema:
            return to_json(node)
        if self._is_expression(node, schema):
            return cast("ScalarNode", node).text
        branches = _branches(schema)
        chosen = self._choose(node, branches) if branches else schema
        if chosen is None or not self._has_kind(node, schema):
            self._wrong_type(node, self._kinds(schema))
            return to_json(node)
        if branches:
            return self.read(node, {**chosen, **_without_branches(schema)}, at)
        return self._read_kind(node, schema, at or node)

    def _read_kind(self, node: YamlNode, schema: JsonObject, at: YamlNode) -> JsonValue:
        if isinstance(node, MapNode):
            return self._read_map(node, schema, at)
        if isinstance(node, ListNode):
            return self._read_list(node, schema)
        return self._read_scalar(cast("ScalarNode", node), schema)

    # maps and lists

    def _read_map(self, node: MapNode, schema: JsonObject, at: YamlNode) -> JsonObject:
        properties = cast("Mapping[str, JsonValue]", schema.get("properties") or {})
        rest = schema.get("additionalProperties", True)
        names = cast("JsonObject", schema.get("propertyNames") or {})
        result: dict[str, JsonValue] = {}
        for name, (key, value) in node.entries.items():
            if name in properties:
                result[name] = self.read(value, properties[name], key)
            elif rest is False:
                known = ", ".join(f"`{p}`" for p in properties) or "none"
                hint = did_you_mean(name, properties) or f"known here: {known}"
                self.problems.error(key, "unknown_key", f"unknown {self.what} `{name}`", hint)
            else:
                self._check_name(key, names)
                result[name] = self.read(value, rest if isinstance(rest, Mapping) else {}, key)
        if not node.is_incomplete:
            self._check_required(node, schema, at)
        self._check_count(node, len(node.entries), schema, ("minProperties", "maxProperties"))
        return result

    def _check_required(self, node: MapNode, schema: JsonObject, at: YamlNode) -> None:
        for name in cast("Sequence[str]", schema.get("required") or ()):
            if name not in node.entries:
                self.problems.error(at, "missing_key", f"`{name}` is missing", f"add `{name}:`")

    def _check_name(self, key: ScalarNode, names: JsonObject) -> None:
        pattern = names.get("pattern")
        if isinstance(pattern, str) and not _is_found(pattern, key.text):
            self.problems.error(key, "bad_name", f"`{key.text}` is no valid name", _text(names.get("description")))

    def _read_list(self, node: ListNode, schema: JsonObject) -> JsonValue:
        fixed = cast("Sequence[JsonValue]", schema.get("prefixItems") or ())
        items = schema.get("items", {})
        values = [
            self.read(item, fixed[index] if index < len(fixed) else items if isinstance(items, Mapping) else {})
            for index, item in enumerate(node.items)
        ]
        self._check_count(node, len(values), schema, ("minItems", "maxItems"))
        return values

    def _check_count(self, node: YamlNode, count: int, schema: JsonObject, limits: tuple[str, str]) -> None:
        least, most = (schema.get(limit) for limit in limits)
        if isinstance(least, int) and count < least:
            self._invalid(node, f"at least {least} expected, got {count}")
        if isinstance(most, int) and count > most:
            self._invalid(node, f"at most {most} allowed, got {count}")

    # scalars

    def _read_scalar(self, node: ScalarNode, schema: JsonObject) -> JsonValue:
        value = _scalar_value(node, self._kinds(schema), schema)
        choices = cast("Sequence[JsonValue]", schema.get("enum") or ())
        if "const" in schema:
            choices = (schema["const"],)
        if choices and value not in choices:
            shown = ", ".join(str(choice) for choice in choices[:20])
            hint = did_you_mean(str(value), [str(choice) for choice in choices])
            self._invalid(node, f"`{node.text}` is not one of: {shown}", hint)
        elif isinstance(value, str):
            self._check_text(node, value, schema)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            self._check_number(node, value, schema)
        return value

    def _check_text(self, node: ScalarNode, value: str, schema: JsonObject) -> None:
        least, most, pattern = schema.get("minLength"), schema.get("maxLength"), schema.get("pattern")
        if isinstance(least, int) and len(value) < least:
            self._invalid(node, "the text is empty" if not value else f"at least {least} characters are needed")
        if isinstance(most, int) and len(value) > most:
            self._invalid(node, f"at most {most} characters are allowed, got {len(value)}")
        if isinstance(pattern, str) and not _is_found(pattern, value):
            self._invalid(node, f"`{value[:60]}` has the wrong form", _text(schema.get("description")))

    def _check_number(self, node: ScalarNode, value: float, schema: JsonObject) -> None:
        for name, holds, words in _BOUNDS:
            limit = schema.get(name)
            if isinstance(limit, int | float) and not holds(value, limit):
                self._invalid(node, f"{node.text} is out of range: {words} {limit:g}")

    # choosing by kind

    def _choose(self, node: YamlNode, branches: Sequence[JsonObject]) -> JsonObject | None:
        """The branch to read by: of those of the right kind the one that fits, else the one that explains most."""
        fitting = [branch for branch in map(self._resolve, branches) if self._has_kind(node, branch)]
        if len(fitting) <= 1:
            return fitting[0] if fitting else None
        rated: list[tuple[int, int, JsonObject]] = []
        for index, branch in enumerate(fitting):
            trial = Diagnostics("")
            SchemaReader(trial, self.root, self.are_expressions_allowed).read(node, branch)
            rated.append((len(trial.sorted()), index, branch))
        return min(rated, key=lambda entry: entry[:2])[2]

    def _has_kind(self, node: YamlNode, schema: JsonObject) -> bool:
        inner = _branches(schema)
        if inner:
            return any(self._has_kind(node, self._resolve(branch)) for branch in inner)
        kinds = self._kinds(schema)
        if not kinds:
            return True
        if isinstance(node, MapNode):
            return "object" in kinds
        if isinstance(node, ListNode):
            return "array" in kinds
        return _scalar_fits(cast("ScalarNode", node), kinds, schema)

    def _kinds(self, schema: JsonObject, depth: int = 0) -> frozenset[str]:
        schema = self._resolve(schema)
        kind = schema.get("type")
        if isinstance(kind, str):
            return frozenset({kind})
        if isinstance(kind, Sequence):
            return frozenset(str(name) for name in kind)
        if "properties" in schema:
            return frozenset({"object"})
        if depth > _MAX_REF_DEPTH:
            return frozenset()
        inner = [self._kinds(branch, depth + 1) for branch in _branches(schema)]
        return frozenset[str]().union(*inner) if all(inner) else frozenset()

    def _resolve(self, schema: JsonValue) -> JsonObject:
        for _ in range(_MAX_REF_DEPTH):
            if not isinstance(schema, Mapping):
                return {}
            schema = cast("JsonObject", schema)
            if "$ref" not in schema and "allOf" not in schema:
                return schema
            reference = schema.get("$ref")
            if not isinstance(reference, str):
                parts = cast("Sequence[JsonValue]", schema.get("allOf") or ())
                if len(parts) != 1:
                    return schema
                schema = {**self._resolve(parts[0]), **{k: v for k, v in schema.items() if k != "allOf"}}
                continue
            found: JsonValue = self.root
            for part in reference.removeprefix("#").strip("/").split("/") if reference != "#" else ():
                found = cast("JsonObject", found).get(part) if isinstance(found, Mapping) else None
            beside = {key: value for key, value in schema.items() if key != "$ref"}
            schema = {**cast("JsonObject", found), **beside} if isinstance(found, Mapping) else beside
        return {}

    def _is_expression(self, node: YamlNode, schema: JsonObject) -> bool:
        allowed = self.are_expressions_allowed or schema.get(EXPRESSION) is True
        return allowed and isinstance(node, ScalarNode) and has_expression(node.text)

    def _wrong_type(self, node: YamlNode, kinds: set[str] | frozenset[str]) -> None:
        shown = kinds - {"null"} or kinds
        wanted = " or ".join(_KINDS.get(kind, kind) for kind in sorted(shown)) or "something else"
        got = "a map" if isinstance(node, MapNode) else "a list" if isinstance(node, ListNode) else _shown(node)
        hint = "expressions are not allowed here" if "${{" in got else None
        self.problems.error(node, "wrong_type", f"expected {wanted}, got {got}", hint)

    def _invalid(self, node: YamlNode, message: str, suggestion: str | None = None) -> None:
        self.problems.error(node, "invalid_value", message, suggestion)


@lru_cache(maxsize=8192)
def _is_found(pattern: str, text: str) -> bool:
    """A pattern that cannot be used is reported where it stands, and finds everything."""
    try:
        return is_found(pattern, text)
    except ValueError:
        return True


def _branches(schema: JsonObject) -> Sequence[JsonObject]:
    branches = schema.get("anyOf") or schema.get("oneOf") or ()
    return [cast("JsonObject", part) for part in cast("Sequence[JsonValue]", branches) if isinstance(part, Mapping)]


def _without_branches(schema: JsonObject) -> JsonObject:
    return {key: value for key, value in schema.items() if key not in {"anyOf", "oneOf", "discriminator"}}


def _scalar_fits(node: ScalarNode, kinds: frozenset[str], schema: JsonObject) -> bool:
    if node.is_null:
        return "null" in kinds
    if node.boolean is not None:
        return "boolean" in kinds or ("string" in kinds and node.text in _text_choices(schema))
    number = node.number
    if number is not None:
        return bool(kinds & {"number", "string"}) or ("integer" in kinds and number == int(number))
    return "string" in kinds


def _scalar_value(node: ScalarNode, kinds: frozenset[str], schema: JsonObject) -> JsonValue:
    if not kinds or node.is_null or not node.is_plain:
        return node.value
    if node.boolean is not None and "boolean" in kinds:
        return node.boolean
    number = node.number
    if number is not None and kinds & {"number", "integer"} and not (kinds & {"string"} and str(number) != node.text):
        return int(number) if "integer" in kinds and number == int(number) else float(number)
    return node.text


def _text_choices(schema: JsonObject) -> Sequence[JsonValue]:
    return cast("Sequence[JsonValue]", schema.get("enum") or ())


def _text(value: JsonValue) -> str | None:
    return value if isinstance(value, str) else None


def _shown(node: YamlNode) -> str:
    text = node.text if isinstance(node, ScalarNode) else ""
    if isinstance(node, ScalarNode) and node.is_null:
        return "nothing"
    return f"`{text[:40]}`" + ("..." if len(text) > 40 else "")
