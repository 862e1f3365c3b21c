"""Changes of single values in a flow document that leave every other line, its comments included, as it was.

A value is found by its path of keys. As far as maps are written as blocks, only the lines of the innermost entry are
rewritten; below that, in lists and in one-line maps, the entry goes through ruamel, which keeps its comments.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from bridge.json_types import JsonValue
from flows.builder_values import from_node, in_place_of, opened, read_entry, to_yaml_value, write_entry
from flows.diagnostics import Diagnostics
from flows.errors import InvalidFlowError
from flows.plan import Position
from flows.yaml_nodes import ListNode, MapNode, ScalarNode, YamlNode, to_json
from flows.yaml_source import parse_yaml

Path = Sequence[str | int]

ROOT_ORDER = (
    "flow", "spec", "description", "inputs", "budget", "timeout", "engine", "fail_fast", "concurrency", "triggers",
    "defaults", "nodes", "outputs", "on_failure", "finally", "evaluations", "tests",
)  # fmt: skip

_BLOCKS = frozenset({"inputs", "nodes", "outputs"})


def value_at(text: str, path: Path) -> JsonValue:
    """What stands at `path`, as it is spelt (see `flows.yaml_nodes.to_json`). KeyError when nothing does."""
    node: YamlNode = _root(text)
    for part in path:
        if isinstance(node, MapNode) and str(part) in node.entries:
            node = node.entries[str(part)][1]
        elif isinstance(node, ListNode) and isinstance(part, int) and part < len(node.items):
            node = node.items[part]
        else:
            raise KeyError(".".join(map(str, path)))
    return to_json(node)


def set_value(text: str, path: Path, value: object) -> str:
    """The document with `value` at `path`; maps on the way are made, a list grows by the index behind its last.

    Raises:
        InvalidFlowError: The document is no YAML, or no map.
        TypeError, ValueError: `value` is no JSON value (expressions aside).
        KeyError: The path leads through something that is neither map nor list.
    """
    if not path:
        raise KeyError("an empty path")
    entry = _find(text, path)
    new = _section(path, to_yaml_value(value))
    bare = write_entry(_with_keys(path[entry.depth :], new))
    if not entry.exists:
        return entry.replace(bare)
    if entry.depth + 1 == len(path):
        return entry.replace(_with_comment(bare, entry.text))
    keys = (str(path[entry.depth]), *path[entry.depth + 1 :])
    rebuilt = from_node(_root(entry.text))
    _assign(rebuilt, keys, new, path)
    plain = write_entry(rebuilt)
    return entry.replace(_with_comments_of(entry.text, keys, new, _tree(plain)) or plain)


def remove_value(text: str, path: Path) -> str:
    """The document without what stands at `path`, the comment right above it included; an emptied map goes too.

    Raises:
        KeyError: Nothing stands there.
    """
    parent = value_at(text, path[:-1])
    value_at(text, path)
    if isinstance(parent, Mapping) and len(parent) == 1 and len(path) > 1:
        return remove_value(text, path[:-1])
    entry = _find(text, path)
    if entry.depth == len(path) - 1:
        return entry.replace("", with_comment=True)
    loaded = read_entry(entry.text)
    container: Any = loaded
    for part in path[entry.depth : -1]:
        container = container[part]
    del container[path[-1]]
    return entry.replace(write_entry(loaded))


@dataclass(frozen=True, slots=True)
class _Entry:
    """The lines of one entry of a block map, or where a new one goes."""

    lines: Sequence[str]
    start: int
    end: int
    column: int
    """Spaces before its key."""
    depth: int
    """Index in the path of the key that it holds."""
    exists: bool

    @property
    def text(self) -> str:
        """The entry moved to the left edge."""
        return "".join(_dedented(line, self.column) for line in self.lines[self.start : self.end])

    def replace(self, written: str, *, with_comment: bool = False) -> str:
        """The document with `written` (at the left edge) in its place."""
        indent = " " * self.column
        new = [indent + line if line.strip() else line for line in _lines(written)]
        start = self.start
        while with_comment and start > 0 and _is_comment_at(self.lines[start - 1], self.column):
            start -= 1
        return "".join((*self.lines[:start], *new, *self.lines[self.end :]))


def _find(text: str, path: Path) -> _Entry:
    text = _normal(text)
    root, lines = _root(text), _lines(text)
    if not _is_block(root):
        raise KeyError("a document written as one `{...}` cannot be changed in place; write its keys one a line")
    node, depth, end = root, 0, next((row for row, line in enumerate(lines) if line.rstrip() == "..."), len(lines))
    while True:
        key = str(path[depth])
        column = _column(_keys(node)[0])
        if key not in node.entries:
            place = _place_for(node, key, end, lines, is_root=node is root)
            return _Entry(lines, place, place, column, depth, exists=False)
        start, end = _span(node, key, end, lines)
        inner = node.entries[key][1]
        if depth + 1 == len(path) or not isinstance(inner, MapNode) or not _is_block(inner):
            return _Entry(lines, start, end, column, depth, exists=True)
        node, depth = inner, depth + 1


def _root(text: str) -> MapNode:
    problems = Diagnostics("flow")
    root = parse_yaml(text, problems)
    if problems.has_errors or not isinstance(root, MapNode) or not root.entries:
        if not problems.has_errors:
            problems.error(
                root or Position(1, 1), "wrong_type", "a flow is a map of keys: flow, inputs, nodes, outputs"
            )
        raise InvalidFlowError(problems.sorted())
    return root


def _normal(text: str) -> str:
    text = text.removeprefix("\ufeff").replace("\r\n", "\n")
    return text if text.endswith("\n") else text + "\n"


def _lines(text: str) -> list[str]:
    """With their LF, which alone ends a line here."""
    return [line + "\n" for line in text.split("\n")[:-1]]


def _keys(node: MapNode) -> list[ScalarNode]:
    return [key for key, _ in node.entries.values()]


def _row(key: ScalarNode) -> int:
    return key.source.count("\n", 0, key.start)


def _column(key: ScalarNode) -> int:
    return key.start - (key.source.rfind("\n", 0, key.start) + 1)


def _is_block(node: MapNode) -> bool:
    """Do its keys stand one a line below each other, with nothing but spaces before them?"""
    keys = _keys(node)
    if not keys or len({_column(key) for key in keys}) != 1 or len({_row(key) for key in keys}) != len(keys):
        return False
    if (node.line, node.column) != (keys[0].line, keys[0].column):
        return False
    return all(not key.source[key.start - _column(key) : key.start].strip(" ") for key in keys)


def _span(node: MapNode, key: str, end: int, lines: Sequence[str]) -> tuple[int, int]:
    """First line and line after the last of what belongs to a key, without comments and blank lines behind it."""
    rows = {name: _row(at) for name, (at, _) in node.entries.items()}
    start, column = rows[key], _column(node.entries[key][0])
    end = min((row for row in rows.values() if row > start), default=end)
    while end > start + 1 and (not lines[end - 1].strip() or _is_comment_up_to(lines[end - 1], column)):
        end -= 1
    return start, end


def _place_for(node: MapNode, key: str, end: int, lines: Sequence[str], *, is_root: bool) -> int:
    """Where a new entry goes: a section in the order of the language, anything else behind the last."""
    names = list(node.entries)
    if is_root and key in ROOT_ORDER:
        rank = ROOT_ORDER.index(key)
        names = [name for name in names if name in ROOT_ORDER and ROOT_ORDER.index(name) < rank]
    if not names:
        return _row(_keys(node)[0])
    return _span(node, max(names, key=lambda name: _row(node.entries[name][0])), end, lines)[1]


def _with_comments_of(old: str, keys: Path, new: Any, wanted: JsonValue) -> str | None:
    """The entry changed by ruamel, which keeps comments; None when one of them came in the way."""
    loaded = read_entry(old)
    _assign(loaded, keys, new, keys)
    try:
        written = write_entry(loaded)
    except AttributeError:  # ruamel, on a comment of a value that became of another kind
        return None
    return written if _says(written, wanted) else None


def _with_comment(written: str, old: str) -> str:
    """The entry with the comment that stood in the line of the old one's key, or behind its one value."""
    first, _, rest = written.partition("\n")
    lines = _lines(old)
    root = _root(old)
    value = next(iter(root.entries.values()))[1]
    is_open = isinstance(value, ListNode | MapNode) and not _is_flow(value)
    for row in {0: 0} if is_open else {0: 0, len(lines) - 1: 0}:
        for mark in re.finditer(r"[ \t]+#", lines[row]):
            without = "".join((*lines[:row], lines[row][: mark.start()] + "\n", *lines[row + 1 :]))
            if _says(without, to_json(root)):
                candidate = f"{first}{lines[row][mark.start() :].rstrip()}\n{rest}"
                return candidate if _says(candidate, _tree(written)) else written
    return written


def _is_flow(node: ListNode | MapNode) -> bool:
    """Written in brackets; nobody changes what is inside in place."""
    if isinstance(node, MapNode):
        return not _is_block(node)
    return not node.items or (node.items[0].line, node.items[0].column) == (node.line, node.column + 1)


def _says(text: str, value: JsonValue) -> bool:
    try:
        return _tree(text) == value
    except InvalidFlowError:
        return False


def _tree(text: str) -> JsonValue:
    return to_json(_root(text))


def _is_comment_at(line: str, column: int) -> bool:
    return line.startswith(" " * column + "#")


def _is_comment_up_to(line: str, column: int) -> bool:
    """A comment that stands no further right: no text of a block can look like that."""
    stripped = line.lstrip(" ")
    return stripped.startswith("#") and len(line) - len(stripped) <= column


def _dedented(line: str, column: int) -> str:
    return line[min(column, len(line) - len(line.lstrip(" "))) :]


def _with_keys(keys: Path, value: Any) -> Any:
    """`value` under these keys, each on a line of its own."""
    for key in reversed(keys):
        value = opened(to_yaml_value({str(key): None}) | {str(key): value})
    return value


def _section(path: Path, value: Any) -> Any:
    """Sections that hold many named things are not squeezed into one line."""
    is_list = isinstance(value, list)
    return opened(value) if len(path) == 1 and (is_list or path[0] in _BLOCKS) else value


def _assign(container: Any, keys: Path, value: Any, path: Path) -> None:
    """Set a value inside of what ruamel loaded."""
    for index, key in enumerate(keys):
        is_last = index + 1 == len(keys)
        if isinstance(container, dict):
            entries = cast("dict[str, Any]", container)
            if is_last:
                entries[str(key)] = in_place_of(entries.get(str(key)), value)
            elif entries.get(str(key)) is None:
                entries[str(key)] = opened(to_yaml_value({}))
            container = entries[str(key)]
        elif isinstance(container, list) and isinstance(key, int):
            items = cast("list[Any]", container)
            if key == len(items):
                items.append(value if is_last else to_yaml_value({}))
            elif is_last:
                items[key] = value
            container = items[key]
        else:
            raise KeyError(f"{'.'.join(map(str, path))} leads through something that is neither map nor list")
