"""Argo's texts with `{{...}}` in them as expressions and values, and its durations."""

import json
import re
from collections.abc import Callable

from bridge.json_types import JsonValue
from flows.builder_expressions import literal
from flows.import_report import is_json

_MARK = re.compile(r"\{\{([^{}]+)\}\}")
_DURATION = re.compile(r"(\d+)(s|m|h|d)?")


def text_value(expression: str) -> str:
    """An expression as a text value of a step; a literal as itself."""
    if expression.startswith('"') and is_json(expression):
        return str(json.loads(expression)).replace("${{", "$${{")
    return "${{ text(" + expression + ") }}"


def joined_text(text: str, read: Callable[[str], str | None]) -> str:
    """A text with `{{...}}` in it as one expression."""
    pieces: list[str] = []
    end = 0
    for mark in _MARK.finditer(text):
        if text[end : mark.start()]:
            pieces.append(literal(text[end : mark.start()]))
        pieces.append(read(mark[1].strip()) or '""')
        end = mark.end()
    if text[end:] or not pieces:
        pieces.append(literal(text[end:]))
    if len(pieces) == 1:
        return pieces[0]
    return " + ".join(piece if piece.startswith('"') else f"text({piece})" for piece in pieces)


def mixed_text(text: str, read: Callable[[str], str | None]) -> str:
    """The text with its `{{...}}` as `${{ }}`."""
    return _MARK.sub(lambda mark: "${{ " + (read(mark[1].strip()) or '""') + " }}", text.replace("${{", "$${{"))


def duration_of(text: str) -> str | None:
    """A duration as flows write it: a bare number is seconds. None for any other text."""
    found = _DURATION.fullmatch(text.strip())
    return f"{found[1]}{found[2] or 's'}" if found else None


def needs_of(step: JsonValue) -> JsonValue:
    """What a step of the draft names as its needs."""
    return step.get("needs", []) if isinstance(step, dict) else []
