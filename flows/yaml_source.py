"""YAML text to nodes with positions. Refuses what makes a document mean more than it shows, and what is too big.

Only events are used, which are neither resolved nor constructed: types are decided later by the schema of the place
(`schema_reader`), so spellings survive. libyaml is 20 times faster than ruamel's own parser but refuses some of
YAML 1.2 (`{ask: Who?}`): what it refuses is parsed again by the other, whose word counts.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any, cast

from _ruamel_yaml import CParser  # pyright: ignore[reportUnknownVariableType]  # a C extension without stubs
from ruamel.yaml import YAML, events
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from flows.diagnostics import Diagnostics
from flows.plan import Position
from flows.yaml_nodes import ListNode, MapNode, ScalarNode, YamlNode

MAX_BYTES = 256 * 1024
MAX_DEPTH = 40

_NOT_PRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def parse_yaml(text: str, problems: Diagnostics) -> YamlNode | None:
    """The document's root; None after an error of syntax or size, which then is the only one of `problems`."""
    text = text.removeprefix("\ufeff")
    if not _is_readable(text, problems):
        return None
    for parse in (_fast_events, _exact_events):
        try:
            return _build(text, problems, parse)
        except _TooDeepError:
            return None
        except MarkedYAMLError as error:
            problem = _syntax_problem(error)
        except YAMLError as error:
            problem = (Position(1, 1), "yaml_syntax", str(error).split("\n", maxsplit=1)[0])
        if parse is _exact_events:
            problems.error(*problem)
    return None


def _is_readable(text: str, problems: Diagnostics) -> bool:
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > MAX_BYTES:
        message = f"the document has {size:,} bytes; {MAX_BYTES:,} are allowed"
        problems.error(Position(1, 1), "yaml_too_large", message, "move long texts into files or inputs")
        return False
    bad = _NOT_PRINTABLE.search(text)
    if bad:
        before = text[: bad.start()]
        place = Position(before.count("\n") + 1, bad.start() - before.rfind("\n"))
        problems.error(place, "yaml_character", f"the character U+{ord(bad[0]):04X} is not allowed in YAML")
        return False
    return True


def _build(text: str, problems: Diagnostics, parse: Callable[[str], Iterator[Any]]) -> YamlNode | None:
    """The nodes, with the refusals noted; on an error of syntax nothing is noted."""
    found = Diagnostics(problems.file)
    try:
        root = _Builder(text, found).build(parse(text))
    except _TooDeepError:
        problems.extend(found)
        raise
    problems.extend(found)
    return root


def _fast_events(text: str) -> Iterator[Any]:
    parser: Any = CParser(text)  # pyright: ignore[reportUnknownVariableType]  # a C extension without stubs
    while True:
        event = cast("Any", parser.get_event())
        yield event
        if isinstance(event, events.StreamEndEvent):
            return


def _exact_events(text: str) -> Iterator[Any]:
    return iter(YAML(typ="rt", pure=True).parse(text))


def _syntax_problem(error: MarkedYAMLError) -> tuple[Position, str, str]:
    problem: Any = error
    mark: Any = problem.problem_mark or problem.context_mark
    place = Position(mark.line + 1, mark.column + 1) if mark else Position(1, 1)
    return place, "yaml_syntax", ", ".join(str(part) for part in (problem.context, problem.problem) if part)


class _TooDeepError(Exception):
    """The nesting limit was reached; already noted."""


class _Builder:
    """Puts nodes together from events, with a stack of its own: no recursion on hostile input."""

    def __init__(self, text: str, problems: Diagnostics) -> None:
        self._text = text
        self._problems = problems
        self._open: list[ListNode | MapNode] = []
        self._keys: list[YamlNode | None] = []
        self._root: YamlNode | None = None
        self._documents = 0

    def build(self, stream: Iterator[Any]) -> YamlNode | None:
        for event in stream:
            if isinstance(event, events.DocumentStartEvent):
                if not self._start_document(event):
                    break
            elif isinstance(event, events.NodeEvent):
                self._add(event)
            elif isinstance(event, events.CollectionEndEvent):
                self._open.pop()
                self._keys.pop()
        return self._root

    def _start_document(self, event: Any) -> bool:
        self._documents += 1
        place = Position(event.start_mark.line + 1, event.start_mark.column + 1)
        if self._documents > 1:
            self._problems.error(place, "yaml_syntax", "a second document starts here; a flow is one document")
            return False
        if event.version or event.tags:
            self._problems.error(place, "yaml_directive", "directives (%YAML, %TAG) are not allowed", "remove the line")
        return True

    def _add(self, event: Any) -> None:
        mark = event.start_mark
        line, column = mark.line + 1, mark.column + 1
        self._refuse(event, Position(line, column))
        node: YamlNode
        if isinstance(event, events.AliasEvent):
            node = YamlNode(line, column)
        elif isinstance(event, events.ScalarEvent):
            scalar: Any = event
            text, style = str(scalar.value), str(scalar.style or "")
            node = ScalarNode(line, column, text, style, self._text, mark.index, scalar.end_mark.index)
        else:
            node = MapNode(line, column) if isinstance(event, events.MappingStartEvent) else ListNode(line, column)
        self._attach(node)
        if isinstance(node, ListNode | MapNode):
            if len(self._open) >= MAX_DEPTH:
                self._problems.error(node, "yaml_too_deep", f"nested deeper than {MAX_DEPTH} levels")
                raise _TooDeepError
            self._open.append(node)
            self._keys.append(None)

    def _refuse(self, event: Any, place: Position) -> None:
        if isinstance(event, events.AliasEvent):
            self._problems.error(place, "yaml_alias", "aliases are not allowed", "write the value out")
        elif event.anchor is not None:
            self._problems.error(place, "yaml_anchor", "anchors are not allowed", "remove `&" + event.anchor + "`")
        tag: Any = getattr(event, "tag", None)
        if tag is not None:
            self._problems.error(place, "yaml_tag", f"tags are not allowed: `{tag}`", "remove the tag")

    def _attach(self, node: YamlNode) -> None:
        if not self._open:
            self._root = node if self._root is None else self._root
            return
        parent = self._open[-1]
        if isinstance(parent, ListNode):
            parent.items.append(node)
            return
        key = self._keys[-1]
        if key is None:
            self._keys[-1] = node
            return
        self._keys[-1] = None
        self._enter(parent, key, node)

    def _enter(self, parent: MapNode, key: YamlNode, value: YamlNode) -> None:
        if not isinstance(key, ScalarNode):
            parent.is_incomplete = True
            if isinstance(key, ListNode | MapNode):
                self._problems.error(key, "yaml_complex_key", "a key must be a plain text")
        elif key.text == "<<" and key.is_plain:
            parent.is_incomplete = True
            self._problems.error(key, "yaml_merge_key", "merge keys are not allowed", "write the keys out")
        elif key.is_null:
            self._problems.error(key, "yaml_complex_key", "a key must not be empty or null")
        elif key.text in parent.entries:
            first = parent.entries[key.text][0]
            message = f"the key `{key.text}` stands twice in this map; the first is at {first.line}:{first.column}"
            self._problems.error(key, "duplicate_key", message, "remove or rename one of them")
        else:
            parent.entries[key.text] = (key, value)
