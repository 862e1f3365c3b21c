"""CEL expressions written in Python: `draft.output.json.risk > 0.5` is the text `nodes.draft.output.json.risk > 0.5`.

What is written is checked where every expression is: when the document is validated.
"""

import json
from collections.abc import Mapping, Sequence
from typing import cast

_ATOM = 10
"""How tightly a piece of CEL holds together; an operator puts brackets around looser pieces."""
_PRODUCT, _SUM, _RELATION, _AND, _OR = 7, 6, 5, 4, 3


class Expr:
    """A CEL expression. `str(...)` gives it as documents hold it, `${{ ... }}`, so f-strings make mixed texts.

    Attributes and items read fields, comparisons and `+ - * / %` are CEL's; `&`, `|` and `~` stand for `&&`, `||`, `!`.
    Like any value with such a `==` it has no truth and no hash. A field named like a method is read as an item.
    """

    __slots__ = ("_strength", "_text")
    __hash__ = None  # pyright: ignore[reportAssignmentType]  # equality builds an expression

    def __init__(self, text: str, *, strength: int = 0) -> None:
        self._text = text
        self._strength = strength

    @property
    def cel(self) -> str:
        """The expression without `${{ }}`."""
        return self._text

    def __str__(self) -> str:
        return f"${{{{ {self._text} }}}}"

    def __repr__(self) -> str:
        return f"Expr({self._text!r})"

    def __bool__(self) -> bool:
        raise TypeError(
            f"`{self._text}` has no value while a flow is built: use & for and, | for or, ~ for not, and `when=`"
        )

    def __getattr__(self, name: str) -> "Expr":
        if name.startswith("__"):
            raise AttributeError(name)
        return Expr(f"{self._within(_ATOM)}.{name}", strength=_ATOM)

    def __getitem__(self, key: "str | int | Expr") -> "Expr":
        return Expr(f"{self._within(_ATOM)}[{literal(key)}]", strength=_ATOM)

    def __eq__(self, other: object) -> "Expr":  # pyright: ignore[reportIncompatibleMethodOverride]  # builds CEL
        return self._operate("==", other, _RELATION)

    def __ne__(self, other: object) -> "Expr":  # pyright: ignore[reportIncompatibleMethodOverride]  # builds CEL
        return self._operate("!=", other, _RELATION)

    def __lt__(self, other: object) -> "Expr":
        return self._operate("<", other, _RELATION)

    def __le__(self, other: object) -> "Expr":
        return self._operate("<=", other, _RELATION)

    def __gt__(self, other: object) -> "Expr":
        return self._operate(">", other, _RELATION)

    def __ge__(self, other: object) -> "Expr":
        return self._operate(">=", other, _RELATION)

    def __add__(self, other: object) -> "Expr":
        return self._operate("+", other, _SUM)

    def __sub__(self, other: object) -> "Expr":
        return self._operate("-", other, _SUM)

    def __mul__(self, other: object) -> "Expr":
        return self._operate("*", other, _PRODUCT)

    def __truediv__(self, other: object) -> "Expr":
        return self._operate("/", other, _PRODUCT)

    def __mod__(self, other: object) -> "Expr":
        return self._operate("%", other, _PRODUCT)

    def __and__(self, other: object) -> "Expr":
        return self._operate("&&", other, _AND)

    def __or__(self, other: object) -> "Expr":
        return self._operate("||", other, _OR)

    def __invert__(self) -> "Expr":
        return Expr(f"!{self._within(_ATOM)}", strength=_ATOM - 1)

    def is_in(self, values: object) -> "Expr":
        """`self in values`, which Python keeps for itself."""
        return self._operate("in", values, _RELATION)

    def _operate(self, sign: str, other: object, strength: int) -> "Expr":
        right = literal(other)
        if isinstance(other, Expr):
            right = other._within(strength + 1)  # noqa: SLF001  # the same class
        return Expr(f"{self._within(strength + (strength == _RELATION))} {sign} {right}", strength=strength)

    def _within(self, strength: int) -> str:
        return self._text if self._strength >= strength else f"({self._text})"


def expr(text: str) -> Expr:
    """An expression given as CEL: `expr('size(inputs.ticket)')`."""
    return Expr(text.strip().removeprefix("${{").removesuffix("}}").strip())


def call(function: str, *arguments: object) -> Expr:
    """A function of the language: `call("coalesce", review.output.reply, "none")`."""
    return Expr(f"{function}({', '.join(literal(argument) for argument in arguments)})", strength=_ATOM)


def coalesce(*values: object) -> Expr:
    """The first value that is there; skipped steps count as absent."""
    return call("coalesce", *values)


def literal(value: object) -> str:
    """A Python value as CEL: texts are quoted, floats keep their point, expressions stand as they are."""
    match value:
        case Expr():
            return value.cel
        case None | bool() | str():
            return json.dumps(value, ensure_ascii=False)
        case int() | float():
            return repr(value)
        case Mapping():
            entries = cast("Mapping[str, object]", value).items()
            return "{" + ", ".join(f"{literal(name)}: {literal(part)}" for name, part in entries) + "}"
        case Sequence():
            return "[" + ", ".join(literal(part) for part in cast("Sequence[object]", value)) + "]"
        case _:
            raise TypeError(f"{type(value).__name__} has no form in CEL: {value!r}")
