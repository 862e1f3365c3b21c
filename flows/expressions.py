"""Evaluates expressions against a scope: the only place where CEL values become JSON and its errors become ours."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol, cast

from cel_expr_python import cel

from bridge.json_types import JsonObject, JsonValue
from flows.errors import ExpressionSyntaxError
from flows.expressions_compiled import ROOTS, CompiledExpression, compile_expression
from flows.expressions_functions import duration_text, timestamp_text, to_text
from flows.expressions_text import (
    Embedded,
    UnclosedExpressionError,
    bare_expression,
    has_expression,
    sole_expression,
    split_text,
)
from flows.inputs import check_inputs, parse_inputs
from nodes.errors import ExpressionError

__all__ = ["CelExpressions", "check_inputs", "parse_inputs"]

MAX_DEPTH = 200
MAX_LOOPED_ITEMS = 2000
MAX_LOOPED_TEXT_CHARS = 64 * 1024
MAX_RESULT_SIZE = 8 * 1024 * 1024
"""Characters of text plus elements of what a computed expression may yield."""

_MISSING: Any = object()
_INT64 = 2**63


class Place(Protocol):
    """Where an expression stands in its document."""

    @property
    def line(self) -> int: ...
    @property
    def column(self) -> int: ...


class CelExpressions:
    """Implements `nodes.context.Expressions`, and renders whole values. Stateless; compiled texts are shared.

    A plain chain of fields is looked up without the engine: any JSON passes through it unchanged.
    """

    def evaluate(self, expression: str, scope: Mapping[str, JsonValue]) -> JsonValue:
        """The value of `expression`, bare or in `${{ }}`. Raises ExpressionError."""
        try:
            text = bare_expression(expression)
            compiled = compile_expression(text, ROOTS.union(scope))
        except (ExpressionSyntaxError, UnclosedExpressionError) as error:
            raise ExpressionError(str(error), expression=expression.strip()) from error
        if compiled.program is None:
            return _look_up(compiled, scope)
        return _run(compiled, scope)

    def render(
        self, value: JsonValue, scope: Mapping[str, JsonValue], places: Mapping[str, Place] | None = None
    ) -> JsonValue:
        """`value` with every expression in it replaced; maps and lists are walked.

        A text that is exactly one expression keeps the expression's type, mixed text becomes text. `places` tells
        where each expression text stands, for errors. Raises ExpressionError.
        """
        if isinstance(value, str):
            return self._render_text(value, scope, places or {})
        if isinstance(value, Mapping):
            return {key: self.render(inner, scope, places) for key, inner in value.items()}
        if isinstance(value, Sequence):
            return [self.render(inner, scope, places) for inner in value]
        return value

    def _render_text(self, text: str, scope: Mapping[str, JsonValue], places: Mapping[str, Place]) -> JsonValue:
        if "${{" not in text:
            return text
        try:
            parts = split_text(text)
            sole = sole_expression(text)
        except UnclosedExpressionError as error:
            raise ExpressionError(str(error), expression=text.strip()) from error
        if sole is not None:
            return self._placed(sole, scope, places)
        return "".join(part if isinstance(part, str) else to_text(self._placed(part, scope, places)) for part in parts)

    def _placed(self, part: Embedded, scope: Mapping[str, JsonValue], places: Mapping[str, Place]) -> JsonValue:
        try:
            return self.evaluate(part.expression, scope)
        except ExpressionError as error:
            place = places.get(part.expression.strip())
            if place is None or error.line:
                raise
            raise ExpressionError(
                str(error), expression=error.expression, line=place.line, column=place.column
            ) from error


def is_rendered(value: JsonValue) -> bool:
    """Whether no expression is left in the value."""
    if isinstance(value, str):
        return not has_expression(value)
    if isinstance(value, Mapping):
        return all(is_rendered(inner) for inner in value.values())
    return all(is_rendered(inner) for inner in value) if isinstance(value, Sequence) else True


def _look_up(compiled: CompiledExpression, scope: Mapping[str, JsonValue]) -> JsonValue:
    read = compiled.facts.reads[0]
    value: JsonValue = cast("JsonValue", scope)
    seen = ""
    for name in read.path:
        if not isinstance(value, Mapping):
            raise _failed(compiled, f"`{seen}` is {_kind(value)} and has no field `{name}`")
        if name not in value:
            where = f"`{seen}` has no `{name}` here" if seen else f"`{name}` does not exist here"
            raise _failed(compiled, f"{where}; test it with has() or use coalesce()" if seen else where)
        value = value[name]
        seen = f"{seen}.{name}" if seen else name
    return value


def _run(compiled: CompiledExpression, scope: Mapping[str, JsonValue]) -> JsonValue:
    assert compiled.program is not None
    data: dict[str, Any] = {}
    paths = {read.path for read in compiled.facts.reads}
    if "now" in compiled.facts.functions:
        paths.add(("run", "started_at"))
    for path in sorted(paths, key=len):
        _copy(scope, path, data, compiled)
    for path, name in compiled.presence.items():
        data[name] = _find(scope, path) not in (_MISSING, None)
    try:
        value = compiled.program.eval(data=data)
    except (RuntimeError, UnicodeEncodeError) as error:
        raise _failed(compiled, str(error).split("\n", maxsplit=1)[0]) from error
    return _Reader(compiled).to_json(value, 0)


def _copy(scope: Mapping[str, JsonValue], path: tuple[str, ...], data: dict[str, Any], compiled: Any) -> None:
    """Copy what `path` names, and nothing beside it, from the scope into `data`; what is missing stays missing."""
    source: JsonValue = cast("JsonValue", scope)
    target = data
    for position, name in enumerate(path):
        if not isinstance(source, Mapping) or name not in source:
            return
        source = source[name]
        is_leaf = position == len(path) - 1 or not isinstance(source, Mapping)
        if is_leaf:
            if name not in target:
                _check_size(source, compiled)
                target[name] = source
            return
        inner = target.setdefault(name, {})
        if source is inner:
            return
        target = inner


def _find(scope: Mapping[str, JsonValue], path: tuple[str, ...]) -> JsonValue:
    value: JsonValue = cast("JsonValue", scope)
    for name in path:
        if not isinstance(value, Mapping) or name not in value:
            return _MISSING
        value = value[name]
    return value


def _check_size(value: JsonValue, compiled: CompiledExpression) -> None:
    """Refuse what would harm the engine: too deep, NUL, halves of surrogate pairs, integers over 64 bits."""
    is_looped = compiled.facts.has_comprehension
    pending: list[tuple[JsonValue, int]] = [(value, 0)]
    while pending:
        inner, depth = pending.pop()
        if depth > MAX_DEPTH:
            raise _failed(compiled, f"the value is nested deeper than {MAX_DEPTH} levels")
        if isinstance(inner, str):
            if "\0" in inner:
                raise _failed(compiled, "the text holds a NUL character, which computed expressions cannot carry")
            if is_looped and len(inner) > MAX_LOOPED_TEXT_CHARS:
                raise _failed(compiled, f"a text of over {MAX_LOOPED_TEXT_CHARS} characters inside a loop expression")
        elif isinstance(inner, Mapping):
            pending.extend((child, depth + 1) for child in inner.values())
        elif isinstance(inner, Sequence):
            if is_looped and len(inner) > MAX_LOOPED_ITEMS:
                raise _failed(
                    compiled, f"a list of over {MAX_LOOPED_ITEMS} items in a loop expression; use foreach or transform"
                )
            pending.extend((child, depth + 1) for child in inner)
        elif isinstance(inner, int) and not -_INT64 <= inner < _INT64:
            raise _failed(compiled, "an integer of over 64 bits")


class _Reader:
    """Converts engine values to JSON, giving up before a result gets too big."""

    def __init__(self, compiled: CompiledExpression) -> None:
        self._compiled = compiled
        self._left = MAX_RESULT_SIZE

    def to_json(self, value: cel.Value, depth: int) -> JsonValue:
        kind = value.type()
        if kind == cel.Type.ERROR:
            raise _failed(self._compiled, _readable(str(value.plain_value())))
        plain = value.value()
        self._left -= 1 + (len(plain) if isinstance(plain, str) else 0)
        if self._left < 0 or depth > MAX_DEPTH:
            raise _failed(self._compiled, "the result is too big")
        if isinstance(plain, list):
            return [self.to_json(item, depth + 1) for item in cast("list[cel.Value]", plain)]
        if isinstance(plain, dict):
            return self._map(cast("dict[object, cel.Value]", plain), depth)
        return self._scalar(plain)

    def _map(self, entries: Mapping[object, cel.Value], depth: int) -> JsonObject:
        for key in entries:
            if not isinstance(key, str):
                raise _failed(self._compiled, f"a map key is {key!r}; keys of maps are text")
        return {str(key): self.to_json(item, depth + 1) for key, item in entries.items()}

    def _scalar(self, plain: object) -> JsonValue:
        if isinstance(plain, datetime):
            return timestamp_text(plain)
        if isinstance(plain, timedelta):
            return duration_text(plain)
        if isinstance(plain, float) and (plain != plain or plain in (float("inf"), float("-inf"))):  # noqa: PLR0124  # NaN
            raise _failed(self._compiled, "the result is not a finite number")
        if plain is None or isinstance(plain, str | bool | int | float):
            return plain
        raise _failed(self._compiled, f"the result ({type(plain).__name__}) has no JSON form")


def _readable(message: str) -> str:
    text = message.split(": ", 1)[1] if ": " in message else message
    if text.startswith("No value with name"):
        return f"`{text.split(chr(34))[1]}` does not exist here"
    if text.startswith("Key not found in map"):
        return f"there is no {text.rsplit(' : ', 1)[-1]} here; test it with has() or use coalesce()"
    if text.startswith("No matching overloads found"):
        return (
            "the values do not have types that "
            + text.rsplit(" : ", 1)[-1]
            + " takes; integers and decimals do not mix"
        )
    return text


def _failed(compiled: CompiledExpression, message: str) -> ExpressionError:
    text = compiled.text.strip()
    shown = text if len(text) <= 120 else text[:117] + "..."
    return ExpressionError(f"`{shown}`: {message}", expression=text)


def _kind(value: JsonValue) -> str:
    if value is None:
        return "null"
    if isinstance(value, str):
        return "a text"
    if isinstance(value, bool):
        return "a boolean"
    return "a number" if isinstance(value, int | float) else "a list"
