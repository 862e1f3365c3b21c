"""Python values as YAML that reads back as the same value, and single entries of a document through ruamel.

Plain scalars are texts here, whatever they spell: what they mean is decided by the schema of their place, as in
`yaml_source`. So `1.10`, `no` and `2026-01-01` leave an edit as they came.
"""

import io
import math
from collections.abc import Mapping, Sequence
from typing import Any, cast

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.nodes import ScalarNode as RuamelScalar
from ruamel.yaml.resolver import VersionedResolver
from ruamel.yaml.scalarstring import (
    DoubleQuotedScalarString,
    FoldedScalarString,
    LiteralScalarString,
    PlainScalarString,
)
from ruamel.yaml.tag import Tag

from flows.builder_expressions import Expr
from flows.yaml_nodes import ListNode, MapNode, ScalarNode, YamlNode

MAX_FLOW_STYLE_CHARS = 90
_ENDLESS_LINE = 1_000_000
_TEXT = Tag(suffix="tag:yaml.org,2002:str")
_NULL = Tag(suffix="tag:yaml.org,2002:null")


def to_yaml_value(value: object) -> Any:  # ruamel has no common type of its values
    """A JSON value, or one with expressions in it, as ruamel writes it. Short maps and lists take one line.

    Raises:
        TypeError: Something is no JSON value.
        ValueError: A number is not finite, or a text holds half a character.
    """
    if isinstance(value, Mapping):
        entries = cast("Mapping[object, object]", value).items()
        return _styled(CommentedMap({_key(name): to_yaml_value(part) for name, part in entries}))
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return _styled(CommentedSeq([to_yaml_value(part) for part in cast("Sequence[object]", value)]))
    if isinstance(value, str | Expr):
        return to_yaml_text(str(value))
    return _number_or_word(value)


def _number_or_word(value: object) -> str:
    if value is None or isinstance(value, bool):
        return PlainScalarString({None: "null", True: "true", False: "false"}[value])
    if not isinstance(value, int | float):
        raise TypeError(f"{type(value).__name__} is no JSON value: {value!r}")
    if not math.isfinite(value):
        raise ValueError(f"{value} is no JSON number")
    return PlainScalarString(repr(value))


def to_yaml_text(text: str) -> str:
    """A text, quoted where it would read as something else, as a block when it has several lines."""
    text.encode("utf-8")  # refuses half a surrogate pair
    lines = text.split("\n")
    is_block = len(lines) > 1 and text.strip() and not text.startswith((" ", "\n", "\t"))
    if is_block and all(line == line.rstrip() and line.isprintable() for line in lines):
        return LiteralScalarString(text)
    plain = ScalarNode(1, 1, text)
    if plain.is_null or plain.boolean is not None or plain.number is not None or _has_number_form(text):
        return DoubleQuotedScalarString(text)
    if text == "<<" or text.startswith(("---", "...")) or not text.isprintable():
        return DoubleQuotedScalarString(text)
    return text


def from_node(node: YamlNode) -> Any:  # as to_yaml_value
    """What was read, with the spelling of its plain scalars; comments are gone, and entries stand one a line."""
    if isinstance(node, MapNode):
        return opened(CommentedMap({_key(name): from_node(value) for name, (_, value) in node.entries.items()}))
    if isinstance(node, ListNode):
        return opened(CommentedSeq([from_node(item) for item in node.items]))
    if isinstance(node, ScalarNode) and not node.is_plain:
        return to_yaml_text(node.text)
    return PlainScalarString(node.text if isinstance(node, ScalarNode) and node.text else "null")


def in_place_of(old: Any, value: Any) -> Any:
    """`value` for where `old` stood: it takes over quotes (ruamel does that), but not the form of a block."""
    is_block = isinstance(old, LiteralScalarString | FoldedScalarString)
    return PlainScalarString(value) if is_block and type(value) is str else value


def opened(node: Any) -> Any:
    """A map or list with its entries one a line."""
    return _in_block_style(node) if hasattr(node, "fa") else node


def _in_block_style(node: Any) -> Any:
    node.fa.set_block_style()
    return node


def read_entry(text: str) -> Any:  # a CommentedMap, whose parts have no types
    """A block map that starts in column 1, comments kept."""
    return _yaml().load(text)


def write_entry(entry: Mapping[str, Any]) -> str:
    """The block map as text; ends with a line break."""
    stream = io.StringIO()
    _yaml().dump(entry, stream)
    written = stream.getvalue()
    return written if written.endswith("\n") else written + "\n"


class _SpellingResolver(VersionedResolver):
    """Every scalar is a text; nothing at all is null."""

    def resolve(self, kind: Any, value: Any, implicit: Any) -> Any:
        if kind is RuamelScalar:
            return _NULL if value == "" and implicit[0] else _TEXT
        return super().resolve(kind, value, implicit)  # pyright: ignore[reportUnknownVariableType]  # ruamel has no types


def _yaml() -> Any:  # ruamel sets its options as attributes that have no types
    yaml: Any = YAML(typ="rt", pure=True)
    yaml.Resolver = _SpellingResolver
    yaml.preserve_quotes = True
    yaml.width = _ENDLESS_LINE
    yaml.indent(mapping=2, sequence=4, offset=2)
    return yaml


def _key(name: object) -> str:
    if not isinstance(name, str):
        raise TypeError(f"keys are texts, not {name!r}")
    return to_yaml_text(name) if "\n" not in name else DoubleQuotedScalarString(name)


def _styled(node: Any) -> Any:
    """One line when it is short and holds no block text."""
    if all(_is_short(part) for part in _parts(node)) and _width(node) <= MAX_FLOW_STYLE_CHARS:
        node.fa.set_flow_style()
    return node


def _parts(node: Any) -> list[Any]:
    return list(node.values() if hasattr(node, "values") else node)


def _is_short(part: Any) -> bool:
    if isinstance(part, CommentedMap | CommentedSeq):
        return cast("Any", part).fa.flow_style() is True
    return not isinstance(part, LiteralScalarString)


def _width(node: Any) -> int:
    if not isinstance(node, CommentedMap | CommentedSeq):
        return len(str(node))
    names = [str(name) for name in cast("Any", node)] if isinstance(node, CommentedMap) else []
    return sum(len(name) + 2 for name in names) + sum(2 + _width(part) for part in _parts(node))


def _has_number_form(text: str) -> bool:
    """Does another reader of YAML see a number, a date or a boolean in it?"""
    return text[:1] in "+-.0123456789" and not any(char.isalpha() for char in text)
