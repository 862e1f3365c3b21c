"""The functions that flows add to CEL: their declarations and what they compute.

The engine hands plain Python values in and turns an exception into an error value with its text. A parameter of any
type needs one overload per concrete type at run time (a DYN parameter compiles but never matches).
"""

import hashlib
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any, cast

from cel_expr_python import cel

from bridge.json_types import JsonValue

MAX_RANGE = 10_000
MAX_COALESCE_ARGUMENTS = 16
MAX_TEXT_CHARS = 4 * 1024 * 1024

_T = cel.Type
_ANY = (
    _T.INT,
    _T.UINT,
    _T.DOUBLE,
    _T.STRING,
    _T.BOOL,
    _T.NULL,
    _T.TIMESTAMP,
    _T.DURATION,
    _T.List(_T.DYN),
    _T.Map(_T.DYN, _T.DYN),
)
_LIST = _T.List(_T.DYN)


@dataclass(frozen=True, slots=True)
class FunctionDoc:
    """What an editor and the error texts say about a function."""

    signature: str
    claim: str


FUNCTION_DOCS: dict[str, FunctionDoc] = {
    "coalesce": FunctionDoc("coalesce(a, b, ...)", "the first value that is there and not null, else null"),
    "json": FunctionDoc("json(text)", "the value written in a JSON text"),
    "text": FunctionDoc("text(value)", "the value as text; lists and maps as compact JSON"),
    "now": FunctionDoc("now()", "the start of the run, as a timestamp"),
    "sha256": FunctionDoc("sha256(text)", "the SHA-256 of a text, in hexadecimal"),
    "lower": FunctionDoc("lower(text)", "the text in lower case"),
    "upper": FunctionDoc("upper(text)", "the text in upper case"),
    "trim": FunctionDoc("trim(text)", "the text without white space around it"),
    "split": FunctionDoc("split(text, separator)", "the parts between the separators"),
    "join": FunctionDoc("join(list, separator)", "the elements as one text"),
    "regex_match": FunctionDoc("regex_match(text, pattern)", "whether the pattern (RE2) is found in the text"),
    "sum": FunctionDoc("sum(list)", "the sum of the numbers; 0 of nothing"),
    "avg": FunctionDoc("avg(list)", "the mean of the numbers"),
    "min": FunctionDoc("min(list)", "the smallest element"),
    "max": FunctionDoc("max(list)", "the largest element"),
    "sort": FunctionDoc("sort(list)", "the elements in ascending order"),
    "unique": FunctionDoc("unique(list)", "the elements without repetitions, in their order"),
    "flatten": FunctionDoc("flatten(list)", "lists in the list replaced by their elements, one level"),
    "zip": FunctionDoc("zip(a, b)", "pairs of elements at the same place, as long as the shorter"),
    "range": FunctionDoc("range(n)", "the integers from 0 to n - 1"),
}

CEL_FUNCTIONS = frozenset(
    {
        "size", "contains", "startsWith", "endsWith", "matches", "has", "all", "exists", "exists_one", "map", "filter",
        "int", "uint", "double", "string", "bool", "bytes", "type", "dyn", "duration", "timestamp", "getDate",
        "getDayOfMonth", "getDayOfWeek", "getDayOfYear", "getFullYear", "getHours", "getMilliseconds", "getMinutes",
        "getMonth", "getSeconds",
    }
)  # fmt: skip


@cache
def run_functions() -> tuple[cel.FunctionDecl, ...]:
    """Declarations with implementations. `coalesce`, `now` and `regex_match` are declared only: they are rewritten."""
    return (*_rewritten(), *(_declared(name, parameters, result, impl) for name, parameters, result, impl in _TABLE))


@cache
def check_functions() -> tuple[cel.FunctionDecl, ...]:
    """Declarations for type checking alone: messages, which the checker uses for maps, pass as `any`."""
    return (
        *_rewritten(),
        *(
            cel.FunctionDecl(
                name, [_overload(f"{name}_check", [_T.DYN if p is None else p for p in parameters], result)]
            )
            for name, parameters, result, _ in _TABLE
        ),
    )


def to_text(value: Any) -> str:
    """The text of a value inside mixed text: strings as they are, everything else as compact JSON."""
    return value if isinstance(value, str) else _within_limit(compact_json(value))


def compact_json(value: Any) -> str:
    """JSON without spaces, keys in the order given, no escapes of letters."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False, default=_json_default)


def _json_default(value: object) -> JsonValue:
    if isinstance(value, datetime):
        return timestamp_text(value)
    if isinstance(value, timedelta):
        return duration_text(value)
    raise TypeError(f"a value of type {type(value).__name__} has no JSON form")


def timestamp_text(value: datetime) -> str:
    """RFC 3339 in UTC, with a Z."""
    return value.isoformat().replace("+00:00", "Z") if value.tzinfo else value.isoformat() + "Z"


def duration_text(value: timedelta) -> str:
    """Seconds with an `s`, as CEL writes durations."""
    return f"{value.total_seconds():g}s"


def _within_limit(text: str) -> str:
    if len(text) > MAX_TEXT_CHARS:
        raise ValueError(f"the text is longer than {MAX_TEXT_CHARS} characters")
    return text


def _split(text: str, separator: str) -> list[str]:
    return text.split(separator) if separator else list(text)


def _join(items: Sequence[Any], separator: str) -> str:
    parts = [to_text(item) for item in items]
    if sum(map(len, parts)) + len(separator) * len(parts) > MAX_TEXT_CHARS:
        raise ValueError(f"the text is longer than {MAX_TEXT_CHARS} characters")
    return separator.join(parts)


def _numbers(items: Sequence[Any], function: str) -> list[int | float]:
    for item in items:
        if isinstance(item, bool) or not isinstance(item, int | float):
            raise TypeError(f"{function}() takes numbers, got {to_text(item)[:40]}")
    return list(items)


def _sum(items: Sequence[Any]) -> int | float:
    numbers = _numbers(items, "sum")
    return sum(numbers) if all(isinstance(n, int) for n in numbers) else math.fsum(numbers)


def _avg(items: Sequence[Any]) -> float:
    numbers = _not_empty(_numbers(items, "avg"), "avg")
    return math.fsum(numbers) / len(numbers)


def _not_empty(items: Sequence[Any], function: str) -> Sequence[Any]:
    if not items:
        raise ValueError(f"{function}() of an empty list")
    return items


def _comparable(items: Sequence[Any], function: str) -> Sequence[Any]:
    if all(isinstance(i, str) for i in items) or all(isinstance(i, bool) for i in items):
        return items
    return _numbers(items, function)


def _unique(items: Sequence[Any]) -> list[Any]:
    seen: set[str] = set()
    kept: list[Any] = []
    for item in items:
        key = json.dumps(item, sort_keys=True, default=_json_default)
        if key not in seen:
            seen.add(key)
            kept.append(item)
    return kept


def _flatten(items: Sequence[Any]) -> list[Any]:
    flat: list[Any] = []
    for item in items:
        flat.extend(cast("list[Any]", item) if isinstance(item, list) else [item])
    return flat


def _range(count: int) -> list[int]:
    if not 0 <= count <= MAX_RANGE:
        raise ValueError(f"range() takes 0 to {MAX_RANGE}, got {count}")
    return list(range(count))


def _json(text: str) -> Any:
    return json.loads(text, parse_float=float, parse_constant=lambda name: _refuse(f"json(): {name} is no JSON number"))


def _refuse(message: str) -> None:
    raise ValueError(message)


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _min(items: Sequence[Any]) -> Any:
    return min(_comparable(_not_empty(items, "min"), "min"))


def _max(items: Sequence[Any]) -> Any:
    return max(_comparable(_not_empty(items, "max"), "max"))


def _sort(items: Sequence[Any]) -> list[Any]:
    return sorted(_comparable(items, "sort"))


def _zip(first: Sequence[Any], second: Sequence[Any]) -> list[list[Any]]:
    return [list(pair) for pair in zip(first, second, strict=False)]


_TABLE: list[tuple[str, list[cel.Type | None], cel.Type, Callable[..., Any]]] = [
    ("json", [_T.STRING], _T.DYN, _json),
    ("text", [None], _T.STRING, to_text),
    ("sha256", [_T.STRING], _T.STRING, _sha256),
    ("lower", [_T.STRING], _T.STRING, str.lower),
    ("upper", [_T.STRING], _T.STRING, str.upper),
    ("trim", [_T.STRING], _T.STRING, str.strip),
    ("split", [_T.STRING, _T.STRING], _T.List(_T.STRING), _split),
    ("join", [_LIST, _T.STRING], _T.STRING, _join),
    ("sum", [_LIST], _T.DYN, _sum),
    ("avg", [_LIST], _T.DOUBLE, _avg),
    ("min", [_LIST], _T.DYN, _min),
    ("max", [_LIST], _T.DYN, _max),
    ("sort", [_LIST], _LIST, _sort),
    ("unique", [_LIST], _LIST, _unique),
    ("flatten", [_LIST], _LIST, _flatten),
    ("zip", [_LIST, _LIST], _LIST, _zip),
    ("range", [_T.INT], _T.List(_T.INT), _range),
]
"""Name, parameter types (None: any), result, implementation."""


def _rewritten() -> tuple[cel.FunctionDecl, ...]:
    coalesce = [
        _overload(f"coalesce_{count}", [_T.DYN] * count, _T.DYN) for count in range(1, MAX_COALESCE_ARGUMENTS + 1)
    ]
    return (
        cel.FunctionDecl("coalesce", coalesce),
        cel.FunctionDecl("now", [_overload("now_", [], _T.TIMESTAMP)]),
        cel.FunctionDecl("regex_match", [_overload("regex_match_", [_T.STRING, _T.STRING], _T.BOOL)]),
    )


def _declared(
    name: str, parameters: Sequence[cel.Type | None], result: cel.Type, impl: Callable[..., Any]
) -> cel.FunctionDecl:
    if any(kind is None for kind in parameters):
        return cel.FunctionDecl(
            name, [_overload(f"{name}_{number}", [kind], result, impl) for number, kind in enumerate(_ANY)]
        )
    concrete = [kind for kind in parameters if kind is not None]
    return cel.FunctionDecl(name, [_overload(f"{name}_", concrete, result, impl)])


def _overload(
    overload_id: str, parameters: Sequence[cel.Type], result: cel.Type, impl: Callable[..., Any] | None = None
) -> cel.Overload:
    if impl is None:
        return cel.Overload(overload_id, return_type=result, parameters=list(parameters), is_member=False)
    return cel.Overload(overload_id, return_type=result, parameters=list(parameters), is_member=False, impl=impl)
