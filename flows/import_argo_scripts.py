"""Argo's scripts as functions: what Argo pastes into the source becomes an argument, so no value is ever code."""

import io
import re
import tokenize
from collections.abc import Callable

from bridge.json_types import JsonValue
from flows.import_report import identifier

_MARK = re.compile(r"\{\{([^{}]+)\}\}")


def as_function(source: str, value_of: Callable[[str], str | None]) -> tuple[str, dict[str, JsonValue]] | None:
    """`main` with the arguments it is to be given; None when the source is no Python.

    Inside of texts an argument is put in as text; elsewhere, where Argo would paste code, it has to be a literal.
    `value_of` gives the value of a `{{name}}`, None for nothing.
    """
    arguments: dict[str, JsonValue] = {}
    marks: dict[str, str] = {}

    def marked(found: re.Match[str]) -> str:
        name = found[1].strip()
        value = value_of(name) or ""
        base = identifier(name.rsplit(".", maxsplit=1)[-1])
        free = next(one for one in (base, *(f"{base}_{n}" for n in range(2, 99))) if arguments.get(one, value) == value)
        arguments[free] = value
        mark = f"__pasted_{len(marks)}__"
        marks[mark] = free
        return mark

    text = _MARK.sub(marked, source)
    try:
        tokens = list(tokenize.generate_tokens(io.StringIO(text).readline))
    except (tokenize.TokenError, SyntaxError):
        return None
    body = _with_arguments(text, tokens, marks)
    made = f"def main({', '.join(arguments)}):\n{_indented(body)}"
    try:
        compile(made, "script", "exec")
    except SyntaxError:
        return None
    return made, arguments


def _indented(body: str) -> str:
    """Each line moved in, except where a text goes on over lines."""
    inside: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(body).readline):
        if token.type == tokenize.STRING:
            inside |= set(range(token.start[0] + 1, token.end[0] + 1))
    lines = body.rstrip().split("\n")
    moved = [line if row in inside or not line.strip() else f"    {line}" for row, line in enumerate(lines, start=1)]
    return "\n".join(moved) + "\n"


def _with_arguments(text: str, tokens: list[tokenize.TokenInfo], marks: dict[str, str]) -> str:
    lines = text.split("\n")
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line) + 1)
    made = text
    for token in reversed(tokens):
        inside = [mark for mark in marks if mark in token.string]
        if not inside or token.type not in {tokenize.STRING, tokenize.NAME}:
            continue
        start, end = starts[token.start[0] - 1] + token.start[1], starts[token.end[0] - 1] + token.end[1]
        made = made[:start] + _replaced(token, inside, marks) + made[end:]
    return made


def _replaced(token: tokenize.TokenInfo, inside: list[str], marks: dict[str, str]) -> str:
    if token.type == tokenize.NAME:
        return f'__import__("ast").literal_eval({marks[token.string]})'
    if token.string.strip("'\"") == inside[0]:
        return marks[inside[0]]
    return token.string + "".join(f'.replace("{mark}", {marks[mark]})' for mark in inside)
