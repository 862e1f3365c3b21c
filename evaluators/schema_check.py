"""JSON Schema (2020-12) checks that are safe with schemas and values from users.

References to other documents are refused instead of fetched, patterns run in bounded time, and
`patternProperties` is refused, because the library matches its patterns without a bound.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

import jsonschema.validators
from jsonschema import Draft202012Validator, ValidationError
from jsonschema.exceptions import SchemaError
from referencing import Registry
from referencing.exceptions import Unresolvable

from bridge.json_types import JsonObject, JsonValue
from evaluators.bounded_regex import RegexError, compile_regex


class SchemaCheckError(Exception):
    """The schema is no valid JSON Schema, or uses what is refused here; or a pattern took too long."""


def schema_problems(schema: JsonObject, value: JsonValue, *, most: int = 5) -> tuple[str, ...]:
    """Where the value does not fit the schema, as `pointer: message`, at most `most`; empty when it fits.

    Raises:
        SchemaCheckError: The schema cannot be applied.
    """
    checker = _BoundedValidator(schema, registry=cast("Any", Registry)())
    found: list[str] = []
    try:
        for error in checker.iter_errors(value):
            pointer = "/" + "/".join(str(part) for part in error.absolute_path) if error.absolute_path else "value"
            found.append(f"{pointer}: {error.message[:300]}")
            if len(found) >= most:
                break
    except (Unresolvable, RegexError, RecursionError) as error:
        raise SchemaCheckError(f"the schema cannot be applied: {error}") from error
    return tuple(found)


def check_schema(schema: JsonObject) -> None:
    """Refuse what is no JSON Schema. Raises SchemaCheckError."""
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        raise SchemaCheckError(f"no valid JSON Schema: {error.message[:300]}") from error
    if _uses(schema, "patternProperties"):
        raise SchemaCheckError("patternProperties is not supported: name the properties or use additionalProperties")


def _uses(value: JsonValue, key: str) -> bool:
    if isinstance(value, Mapping):
        return key in value or any(_uses(part, key) for part in value.values())
    return isinstance(value, Sequence) and not isinstance(value, str) and any(_uses(part, key) for part in value)


def _bounded_pattern(
    validator: Any,  # the library's own class, made at run time
    pattern: str,
    value: JsonValue,
    schema: object,
) -> Iterator[ValidationError]:
    del validator, schema
    if isinstance(value, str) and not compile_regex(pattern).is_found(value):
        yield ValidationError(f"does not match {pattern!r}")


_BoundedValidator = cast("Any", jsonschema.validators).extend(
    Draft202012Validator, validators={"pattern": _bounded_pattern}
)
