"""Finds `${{ ... }}` in the text of a field."""

from dataclasses import dataclass
from functools import lru_cache

OPENING, ESCAPED, CLOSING = "${{", "$${{", "}}"


@dataclass(frozen=True, slots=True)
class Embedded:
    """One expression of a text: what stands between the marks, and where it starts (code points from 0)."""

    expression: str
    offset: int


class UnclosedExpressionError(ValueError):
    """`${{` without its `}}`. `offset` is where it opens."""

    def __init__(self, offset: int) -> None:
        super().__init__("`${{` is never closed by `}}`")
        self.offset = offset


@lru_cache(maxsize=4096)
def split_text(text: str) -> tuple[str | Embedded, ...]:
    """The literal and embedded parts in order; `$${{` is a literal `${{`. Raises UnclosedExpressionError."""
    parts: list[str | Embedded] = []
    literal = ""
    at = 0
    while True:
        start = text.find(OPENING, at)
        if start < 0:
            literal += text[at:]
            break
        if start > 0 and text[start - 1] == "$":
            literal += text[at : start - 1] + OPENING
            at = start + len(OPENING)
            continue
        literal += text[at:start]
        end = _closing(text, start + len(OPENING))
        if end is None:
            raise UnclosedExpressionError(start)
        if literal:
            parts.append(literal)
            literal = ""
        parts.append(Embedded(text[start + len(OPENING) : end], start + len(OPENING)))
        at = end + len(CLOSING)
    if literal:
        parts.append(literal)
    return tuple(parts)


def sole_expression(text: str) -> Embedded | None:
    """The expression when the text is exactly one, white space around it aside. Raises UnclosedExpressionError."""
    if OPENING not in text:
        return None
    parts = [part for part in split_text(text) if isinstance(part, Embedded) or part.strip()]
    return parts[0] if len(parts) == 1 and isinstance(parts[0], Embedded) else None


def has_expression(text: str) -> bool:
    """Whether any expression, closed or not, opens in the text."""
    return OPENING in text.replace(ESCAPED, "")


def bare_expression(text: str) -> str:
    """The expression itself, whether it was written bare or inside `${{ }}`."""
    sole = sole_expression(text)
    return text if sole is None else sole.expression


def _closing(text: str, at: int) -> int | None:
    """Where the `}}` that belongs to the expression starts: braces of maps and quoted text do not count."""
    depth = 0
    while at < len(text):
        char = text[at]
        if char in "\"'":
            at = _after_string(text, at)
            continue
        if depth == 0 and text.startswith(CLOSING, at):
            return at
        depth += (char == "{") - (char == "}")
        at += 1
    return None


def _after_string(text: str, at: int) -> int:
    quote = text[at : at + 3] if text[at : at + 3] in {'"""', "'''"} else text[at]
    is_raw = at > 0 and text[at - 1] in "rR"
    at += len(quote)
    while at < len(text):
        if text[at] == "\\" and not is_raw:
            at += 2
        elif text.startswith(quote, at):
            return at + len(quote)
        else:
            at += 1
    return at
