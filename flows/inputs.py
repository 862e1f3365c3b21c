"""Values given to a run: read from the command line, filled with defaults, checked against the inputs' schema."""

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any, cast

from bridge.json_types import JsonObject, JsonValue
from flows.errors import InvalidInputsError
from flows.patterns import is_found
from flows.suggestions import nearest


def parse_inputs(schema: JsonObject, raw: Mapping[str, str], given: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """The inputs of `-i name=value` (read by the input's schema) over those of a file.

    Raises:
        InvalidInputsError: A value cannot be read as what the schema wants.
    """
    properties = _properties(schema)
    problems: list[tuple[str, str]] = []
    merged = dict(given)
    for name, text in raw.items():
        try:
            merged[name] = read_text(cast("JsonObject", properties.get(name) or {}), text)
        except ValueError as error:
            problems.append((f"/{name}", str(error)))
    if problems:
        raise InvalidInputsError(problems)
    return merged


def read_text(schema: JsonObject, text: str) -> JsonValue:
    """One value written as text: itself where a string is wanted, JSON elsewhere. ValueError when it is neither."""
    kinds = _kinds(schema)
    choices = schema.get("enum")
    if isinstance(choices, Sequence) and text in choices:
        return text
    if "string" in kinds and kinds <= {"string", "null"}:
        return text
    try:
        return cast("JsonValue", json.loads(text))
    except ValueError:
        if not kinds or "string" in kinds or choices is not None:
            return text
        raise ValueError(f"{text!r} is no JSON; {' or '.join(sorted(kinds))} is wanted") from None


def check_inputs(schema: JsonObject, inputs: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """The inputs with defaults applied and numbers converted to what the schema says.

    Raises:
        InvalidInputsError: With every problem, each with its JSON pointer.
    """
    properties = _properties(schema)
    complete = {
        **{
            name: cast("JsonObject", part)["default"]
            for name, part in properties.items()
            if isinstance(part, Mapping) and "default" in part
        },
        **inputs,
    }
    problems: list[tuple[str, str]] = []
    for name in inputs:
        if name not in properties:
            near = nearest(name, properties)
            hint = f"; did you mean `{near}`?" if near else f"; inputs are: {', '.join(properties) or 'none'}"
            problems.append((f"/{name}", f"unknown input `{name}`{hint}"))
    for name in cast("Sequence[str]", schema.get("required", ())):
        if name not in complete:
            problems.append((f"/{name}", "is required"))
    for name, value in complete.items():
        part = properties.get(name)
        if isinstance(part, Mapping):
            complete[name] = to_schema(value, cast("JsonObject", part))
            validator = _validator_class()(part)
            problems += [
                ("/" + "/".join([name, *map(_escape, error.absolute_path)]), error.message[:500])
                for error in validator.iter_errors(complete[name])
            ]
    if problems:
        raise InvalidInputsError(problems)
    return complete


def to_schema(value: JsonValue, schema: JsonObject) -> JsonValue:
    """`value` with numbers as expressions need them: `number` is a float, a whole `integer` an int. Else unchanged."""
    kinds = _kinds(schema)
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return value
    if isinstance(value, int | float):
        if "number" in kinds and "integer" not in kinds:
            return float(value) if abs(value) < 2**1000 else value
        return int(value) if "integer" in kinds and isinstance(value, float) and value.is_integer() else value
    branches = [b for key in ("anyOf", "oneOf") for b in cast("Sequence[JsonValue]", schema.get(key, ()))]
    usable = [cast("JsonObject", b) for b in branches if isinstance(b, Mapping) and b.get("type") != "null"]
    if len(usable) == 1:
        return to_schema(value, usable[0])
    if isinstance(value, Mapping):
        properties, rest = _properties(schema), schema.get("additionalProperties")
        return {
            key: to_schema(inner, cast("JsonObject", part)) if isinstance(part, Mapping) else inner
            for key, inner in value.items()
            for part in (properties.get(key, rest),)
        }
    items = schema.get("items")
    return [to_schema(inner, cast("JsonObject", items)) for inner in value] if isinstance(items, Mapping) else value


@cache
def _validator_class() -> Any:
    """JSON Schema 2020-12 with linear-time patterns: both pattern and text may come from strangers."""
    from jsonschema import Draft202012Validator, ValidationError
    from jsonschema.validators import extend  # pyright: ignore[reportUnknownVariableType]  # untyped library

    def check_pattern(_validator: object, pattern: str, value: object, _schema: object) -> Iterator[ValidationError]:
        if isinstance(value, str) and not is_found(pattern, value):
            yield ValidationError(f"{value[:80]!r} does not match {pattern!r}")

    return cast("Any", extend)(Draft202012Validator, {"pattern": check_pattern})


def _properties(schema: JsonObject) -> Mapping[str, JsonValue]:
    return cast("Mapping[str, JsonValue]", schema.get("properties") or {})


def _kinds(schema: JsonObject) -> set[str]:
    kind = schema.get("type")
    if isinstance(kind, str):
        return {kind}
    if isinstance(kind, Sequence):
        return {str(name) for name in kind}
    found: set[str] = set()
    for key in ("anyOf", "oneOf"):
        for branch in cast("Sequence[JsonValue]", schema.get(key, ())):
            if isinstance(branch, Mapping):
                found |= _kinds(branch)
    return found


def _escape(part: object) -> str:
    return str(part).replace("~", "~0").replace("/", "~1")
