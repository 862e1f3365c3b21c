"""A YAML document as nodes that know where they stand and how they were spelt."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from bridge.json_types import JsonValue
from flows.plan import Position

_INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_MAX_NUMBER_CHARS = 400
_INT64 = 2**63
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_BOOLEANS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}


@dataclass(slots=True)
class YamlNode:
    """Base of the nodes; line and column count from 1. A bare YamlNode is a refused value: nothing is known of it."""

    line: int
    column: int

    @property
    def position(self) -> Position:
        return Position(self.line, self.column)


@dataclass(slots=True)
class ScalarNode(YamlNode):
    """A scalar: its text after YAML's unquoting, and its source."""

    text: str = ""
    style: str = ""
    """Empty for plain, else the quote or block mark."""
    source: str = field(default="", repr=False)
    """The whole document."""
    start: int = 0
    end: int = 0

    @property
    def is_plain(self) -> bool:
        return not self.style

    @property
    def is_null(self) -> bool:
        return self.is_plain and self.text in _NULLS

    @property
    def boolean(self) -> bool | None:
        return _BOOLEANS.get(self.text) if self.is_plain else None

    @property
    def number(self) -> int | float | None:
        """The number a plain scalar spells, in 64 bits, by the core schema of YAML 1.2; else None."""
        if not self.is_plain or not self.text:
            return None
        text = self.text
        if len(text) > _MAX_NUMBER_CHARS:
            return None
        if _INTEGER.fullmatch(text):
            whole = int(text, 0) if text[:2] in {"0o", "0x"} else int(text)
            return whole if -_INT64 <= whole < _INT64 else None
        if _FLOAT.fullmatch(text):
            value = float(text)
            return value if abs(value) != float("inf") else None
        return None

    @property
    def value(self) -> JsonValue:
        """Where no schema says more: a number only when its canonical spelling is the one written (`1.10` is text)."""
        if self.is_null:
            return None
        if self.boolean is not None:
            return self.boolean
        number = self.number
        return number if number is not None and str(number) == self.text else self.text

    def position_of(self, offset: int) -> Position:
        """Where the character at `offset` of the text stands in the document.

        Source and text are read side by side: escapes, indentation and folded lines are in one and not the other.
        """
        at = self._content_start()
        for index, char in enumerate(self.text[: offset + 1]):
            found = self._find(char, at)
            if found is None:
                break
            if index == offset:
                at = found
                break
            at = found + self._width(found)
        before = self.source[:at]
        return Position(before.count("\n") + 1, at - (before.rfind("\n") + 1) + 1)

    def _content_start(self) -> int:
        if self.style in {"|", ">"}:
            return self.source.find("\n", self.start) + 1
        return self.start + (1 if self.style else 0)

    def _find(self, char: str, at: int) -> int | None:
        """The source place, from `at` on, that yields `char` of the text."""
        while at < self.end:
            raw = self.source[at]
            if raw == char or (self.style == '"' and raw == "\\" and self.source[at + 1 : at + 2] != "\n"):
                return at
            if char in " \n" and raw in " \r\n":
                return at
            if not raw.isspace() and raw not in "\\'":
                return at
            at += 1
        return None

    def _width(self, at: int) -> int:
        """Source characters that make one character of the text."""
        if self.style == '"' and self.source[at] == "\\":
            return {"x": 4, "u": 6, "U": 10}.get(self.source[at + 1 : at + 2], 2)
        if self.style == "'" and self.source[at : at + 2] == "''":
            return 2
        return 1


@dataclass(slots=True)
class ListNode(YamlNode):
    """A sequence."""

    items: list[YamlNode] = field(default_factory=list[YamlNode])


@dataclass(slots=True)
class MapNode(YamlNode):
    """A mapping. Entries keep their order; a second entry of the same key is reported and not kept."""

    entries: dict[str, tuple[ScalarNode, YamlNode]] = field(default_factory=dict[str, tuple[ScalarNode, YamlNode]])
    is_incomplete: bool = False
    """Entries were refused: a missing key may only seem to be missing."""

    def get(self, key: str) -> YamlNode | None:
        """The value of the key."""
        entry = self.entries.get(key)
        return entry[1] if entry else None

    def key(self, key: str) -> ScalarNode | None:
        """The key itself, for its position."""
        entry = self.entries.get(key)
        return entry[0] if entry else None


def to_json(node: YamlNode) -> JsonValue:
    """The node as JSON where no schema says more. A refused value is null."""
    if isinstance(node, ScalarNode):
        return node.value
    if isinstance(node, ListNode):
        return [to_json(item) for item in node.items]
    if isinstance(node, MapNode):
        return {key: to_json(value) for key, (_, value) in node.entries.items()}
    return None


def scalars_of(node: YamlNode, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], ScalarNode]]:
    """All scalars with their paths, in document order; keys are not visited."""
    if isinstance(node, ScalarNode):
        yield path, node
    elif isinstance(node, ListNode):
        for index, item in enumerate(node.items):
            yield from scalars_of(item, (*path, str(index)))
    elif isinstance(node, MapNode):
        for key, (_, value) in node.entries.items():
            yield from scalars_of(value, (*path, key))


def node_at(node: YamlNode, path: tuple[str | int, ...]) -> tuple[YamlNode, ScalarNode | None]:
    """The node nearest to `path`, and the key it stands under."""
    key: ScalarNode | None = None
    for part in path:
        if isinstance(node, MapNode) and str(part) in node.entries:
            key, node = node.entries[str(part)]
        elif isinstance(node, ListNode) and str(part).isdigit() and int(part) < len(node.items):
            node = node.items[int(part)]
        else:
            break
    return node, key
