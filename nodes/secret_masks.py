"""Takes secrets out of what a step gives back: in the spellings in which another side may return them."""

import json
from collections.abc import Iterable, Mapping
from urllib.parse import quote

from bridge.json_types import JsonValue

HIDDEN = "***"
MIN_CHARS = 4
"""Shorter values are left: hiding every `1` would hide nothing and spoil much."""


class Masks:
    """Hides the given values wherever they stand in a text or a JSON value."""

    def __init__(self, values: Iterable[str]) -> None:
        spellings = {spelling for value in values if len(value) >= MIN_CHARS for spelling in _spellings(value)}
        self._spellings = sorted(spellings, key=len, reverse=True)

    def text(self, text: str) -> str:
        """The text without the secrets."""
        for spelling in self._spellings:
            text = text.replace(spelling, HIDDEN)
        return text

    def value(self, value: JsonValue) -> JsonValue:
        """The value without the secrets, in keys too."""
        if not self._spellings:
            return value
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {self.text(key): self.value(part) for key, part in value.items()}
        if isinstance(value, list | tuple):
            return [self.value(part) for part in value]
        return value


def _spellings(value: str) -> tuple[str, ...]:
    """As it is, inside JSON text, and inside a URL."""
    return (value, json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1], quote(value, safe=""))
