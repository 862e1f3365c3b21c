"""The Jinja environment of prompts and templates: few filters and methods, everything that makes values is counted."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, MappingView, Sequence
from typing import Any, ClassVar, cast

from jinja2 import StrictUndefined, Undefined, pass_context
from jinja2.exceptions import SecurityError
from jinja2.filters import FILTERS
from jinja2.runtime import Context, LoopContext
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.tests import TESTS

from nodes import template_rules
from nodes.template_budget import MAX_INTEGER_BITS, MAX_MADE, TemplateLimitError, current, size_of

MAX_RANGE = 10_000
MAX_PRECISION = 15
MAX_INDENT = 8

PLAIN_FILTERS = (
    "abs", "capitalize", "d", "default", "dictsort", "first", "float", "groupby", "int", "items", "last", "length",
    "count", "list", "lower", "map", "max", "min", "reject", "rejectattr", "reverse", "select", "selectattr",
    "sort", "title", "trim", "truncate", "unique", "upper", "wordcount",
)  # fmt: skip
PLAIN_TESTS = (
    "boolean", "defined", "divisibleby", "eq", "equalto", "==", "even", "false", "float", "ge", "greaterthan", "gt",
    "in", "integer", "iterable", "le", "lessthan", "lower", "lt", "mapping", "ne", "none", "number", "odd",
    "sequence", "string", "true", "undefined", "upper", "!=", "<", "<=", ">", ">=",
)  # fmt: skip

OPERATORS = frozenset({"+", "-", "*", "/", "//", "%"})


class TemplateSandbox(ImmutableSandboxedEnvironment):
    """Values are JSON; a map's key wins over a method of the same name."""

    intercepted_binops: ClassVar[frozenset[str]] = OPERATORS  # pyright: ignore[reportIncompatibleVariableOverride]  # declared without ClassVar

    def __init__(self) -> None:
        super().__init__(
            undefined=StrictUndefined,
            finalize=_finalized,
            trim_blocks=True,
            lstrip_blocks=True,
            optimized=False,
            cache_size=0,
        )
        self.globals = {"range": _bounded_range}
        self.filters = {**{name: _counted(FILTERS[name]) for name in PLAIN_FILTERS}, **_OWN_FILTERS}
        self.tests = {name: TESTS[name] for name in PLAIN_TESTS}

    def getattr(self, obj: object, attribute: str) -> object:
        """A map's value by key, a harmless method, or undefined."""
        if isinstance(obj, Mapping) and attribute in obj:
            return cast("Mapping[str, object]", obj)[attribute]
        value = cast("object", obj)
        if attribute in _methods_of(value) or isinstance(obj, LoopContext) or _is_group(value, attribute):
            return super().getattr(obj, attribute)
        return self.undefined(obj=obj, name=attribute)

    def getitem(self, obj: object, argument: object) -> object:
        """An element of a map, list or text, or undefined; never an attribute."""
        if isinstance(obj, Undefined | LoopContext) or not isinstance(obj, Mapping | Sequence):
            return self.undefined(obj=obj, name=str(argument))
        if isinstance(argument, str) and _is_group(cast("object", obj), argument):
            return super().getattr(obj, argument)
        try:
            return cast("Any", obj)[argument]
        except (LookupError, TypeError):
            return self.undefined(obj=obj, name=str(argument))

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> object:
        """Arithmetic on numbers of bounded size; `+` and `*` also on texts and lists, counted."""
        del context
        _refuse_growth(operator, left, right)
        return current.get().keep(self.binop_table[operator](left, right))

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> object:  # noqa: N805  # jinja's own convention
        """`range`, and the methods that `template_rules` names, on JSON values and `loop`."""
        current.get().step()
        owner = getattr(__obj, "__self__", None)
        name = getattr(__obj, "__name__", "a value")
        if isinstance(__obj, Undefined):
            return __obj(*args, **kwargs)
        if __obj is not _bounded_range and name not in _methods_of(owner):
            raise SecurityError(f"{name}() cannot be called here")
        made = __context.call(__obj, *args, **kwargs)
        return current.get().keep(made) if isinstance(owner, str) else made


def written(value: object) -> str:
    """How a value stands in a text: text as it is, everything else as compact JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))


@pass_context
def _finalized(context: Context, value: object) -> object:
    del context
    if isinstance(value, Undefined | str):
        return value
    plain = list(cast("Iterable[object]", value)) if isinstance(value, Iterator | MappingView | range) else value
    current.get().make(size_of(plain, MAX_MADE))
    return written(plain)


def _methods_of(value: object) -> frozenset[str]:
    if isinstance(value, str):
        return template_rules.TEXT_METHODS
    if isinstance(value, Mapping):
        return template_rules.MAP_METHODS
    if isinstance(value, list | tuple):
        return template_rules.LIST_METHODS
    return template_rules.LOOP_METHODS if isinstance(value, LoopContext) else frozenset()


def _is_group(value: object, attribute: str) -> bool:
    return attribute in {"grouper", "list"} and type(value).__name__ == "_GroupTuple"


def _refuse_growth(sign: str, left: object, right: object) -> None:
    numbers = isinstance(left, int | float) and isinstance(right, int | float)
    if sign == "*" and numbers:
        if any(isinstance(part, int) and part.bit_length() > MAX_INTEGER_BITS for part in (left, right)):
            raise TemplateLimitError("the number is too big")
    elif sign == "*":
        repeated, times = (right, left) if isinstance(left, int) else (left, right)
        if not isinstance(times, int) or not isinstance(repeated, str | list | tuple):
            raise TypeError(f"cannot multiply {type(left).__name__} and {type(right).__name__}")
        current.get().make(size_of(cast("object", repeated), MAX_MADE) * max(times, 0))
    elif sign != "+" and not numbers:
        raise TypeError(f"{sign} works on numbers, not on {type(left).__name__} and {type(right).__name__}")


def _bounded_range(*numbers: int) -> range:
    made = range(*numbers)
    if len(made) > MAX_RANGE:
        raise TemplateLimitError(f"range() makes at most {MAX_RANGE} numbers")
    return made


def _counted(original: Callable[..., object]) -> Callable[..., object]:
    """Jinja's own filter; what it makes is counted. Taking the context also keeps it from running at compile time."""
    wants = getattr(getattr(original, "jinja_pass_arg", None), "name", "")

    @pass_context
    def run(context: Context, value: object, *args: object, **kwargs: object) -> object:
        given = {"context": context, "eval_context": context.eval_ctx, "environment": context.environment}
        leading = (given[wants],) if wants else ()
        current.get().step()
        return current.get().keep(original(*leading, value, *args, **kwargs))

    return run


@pass_context
def _loop(context: Context, values: Iterable[object]) -> Iterable[object]:
    del context
    return current.get().passes(values)


@pass_context
def _made(context: Context, value: object) -> object:
    del context
    return current.get().keep(value)


@pass_context
def _concat(context: Context, values: Iterable[object]) -> str:
    return _join(context, values)


@pass_context
def _join(context: Context, values: Iterable[object], d: str = "", attribute: str | int | None = None) -> str:
    budget = current.get()
    parts: list[str] = []
    for value in budget.passes(values):
        chosen = context.environment.getitem(value, attribute) if attribute is not None else value
        parts.append(str(chosen) if isinstance(chosen, Undefined) else written(chosen))
        budget.make(len(parts[-1]) + len(d))
    return d.join(parts)


@pass_context
def _replace(context: Context, value: object, old: str, new: str, count: int = -1) -> str:
    del context
    text = written(value)
    n_found = text.count(old) if count < 0 else min(count, text.count(old))
    current.get().make(len(text) + n_found * len(new))
    return text.replace(old, new, count)


@pass_context
def _sum(context: Context, values: Iterable[object], attribute: str | None = None) -> float:
    total: float = 0
    for value in current.get().passes(values):
        number = context.environment.getitem(value, attribute) if attribute is not None else value
        if isinstance(number, bool) or not isinstance(number, int | float):
            raise TypeError(f"sum adds numbers, not {type(number).__name__}")
        total += number
    return total


@pass_context
def _round(context: Context, value: float, precision: int = 0) -> float:
    del context
    return round(value, max(-MAX_PRECISION, min(precision, MAX_PRECISION)))


@pass_context
def _tojson(context: Context, value: object, indent: int | None = None) -> str:
    del context
    if isinstance(value, Undefined):
        return str(value)
    current.get().make(size_of(value, MAX_MADE))
    spaces = None if indent is None else max(0, min(indent, MAX_INDENT))
    separators = (",", ":") if spaces is None else None
    return json.dumps(value, ensure_ascii=False, indent=spaces, separators=separators)


@pass_context
def _string(context: Context, value: object) -> object:
    return _finalized(context, value)


_OWN_FILTERS: Mapping[str, Callable[..., object]] = {
    "join": _join,
    "replace": _replace,
    "round": _round,
    "string": _string,
    "sum": _sum,
    "tojson": _tojson,
    template_rules.LOOP_FILTER: _loop,
    template_rules.MADE_FILTER: _made,
    template_rules.CONCAT_FILTER: _concat,
}
