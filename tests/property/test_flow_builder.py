"""Whatever a document looks like: the builder gives it back byte for byte, and an edit touches its own lines alone."""

import json
from pathlib import Path
from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from flows.builder import FlowBuilder
from flows.diagnostics import Diagnostics
from flows.versions import content_hash
from flows.yaml_nodes import MapNode, to_json
from flows.yaml_source import parse_yaml

ROOT = Path(__file__).parents[2]
SOURCES = [
    path.read_text(encoding="utf-8")
    for folder in ("examples", "examples/nodes")
    for path in sorted((ROOT / folder).glob("*.yaml"))
]
NAMES = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True).filter(lambda name: name != "null")
TEXTS = st.one_of(
    st.text(max_size=12),
    st.sampled_from(
        ["a\nb\n", " x\ny", "x\n\n y\n", "5", "no", "", "${{ nodes.a.output }}", "- a", "{{ x }}: #", "'", '"']
    ),
)
LEAVES = st.one_of(
    TEXTS, st.integers(-(2**40), 2**40), st.booleans(), st.none(), st.floats(-1e6, 1e6).map(lambda x: round(x, 3))
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(NAMES, inner, max_size=3)),
    max_leaves=6,
)


@st.composite
def documents(draw: st.DrawFn) -> str:
    """Block maps with comments and blank lines between, above and behind their entries."""
    return _block(draw, 0, draw(st.integers(0, 2)))


def _block(draw: st.DrawFn, column: int, depth: int) -> str:
    indent = " " * column
    lines: list[str] = []
    for number, name in enumerate(draw(st.lists(NAMES, min_size=1, max_size=3, unique=True))):
        if draw(st.booleans()):
            lines.append(f"{indent}# above {number}\n")
        behind = draw(st.sampled_from(["", "  # behind", " #"]))
        if depth and draw(st.booleans()):
            lines += [f"{indent}{name}:{behind}\n", _block(draw, column + draw(st.sampled_from([1, 2, 4])), depth - 1)]
        else:
            shown = draw(
                st.sampled_from(["1.10", "no", '"5"', "'it''s'", "{a: 1, b: [x, y]}", "[1, 2]", "", "text: |"])
            )
            if shown == "text: |":
                lines.append(f"{indent}{name}: |{behind}\n{indent}   line # no comment\n{indent}     more\n")
            else:
                lines.append(f"{indent}{name}: {shown}{behind}\n")
        lines += ["\n"] * draw(st.integers(0, 1))
    if draw(st.booleans()):
        lines.append(f"{indent}# below\n")
    return "".join(lines)


def paths(text: str) -> list[tuple[str, ...]]:
    """Every key of every map."""
    found: list[tuple[str, ...]] = []

    def walk(node: object, path: tuple[str, ...]) -> None:
        if isinstance(node, MapNode):
            for name, (_, value) in node.entries.items():
                found.append((*path, name))
                walk(value, (*path, name))

    walk(parse_yaml(text, Diagnostics("f")), ())
    return found


def tree(text: str) -> object:
    problems = Diagnostics("f")
    root = parse_yaml(text, problems)
    assert not problems.has_errors, (text, problems.sorted())
    assert root is not None
    return to_json(root)


def with_value(document: Any, path: tuple[str, ...], value: object) -> Any:
    changed: dict[str, Any] = dict(document)
    changed[path[0]] = value if len(path) == 1 else with_value(changed[path[0]], path[1:], value)
    return changed


def is_writable(value: object) -> bool:
    """YAML cannot hold half a surrogate pair."""
    return not any(0xD800 <= ord(char) <= 0xDFFF for char in json.dumps(value, ensure_ascii=False))


@settings(max_examples=40, deadline=None)
@given(st.one_of(documents(), st.sampled_from(SOURCES)))
def test_an_untouched_document_comes_back_byte_for_byte(text: str) -> None:
    built = FlowBuilder.from_yaml(text).to_yaml()

    assert built == text
    assert content_hash(built) == content_hash(text)


@settings(max_examples=60, deadline=None)
@given(st.one_of(documents(), st.sampled_from(SOURCES)), st.data(), VALUES.filter(is_writable))
def test_an_edit_changes_its_value_and_nothing_else(text: str, data: st.DataObject, value: object) -> None:
    path = data.draw(st.sampled_from(paths(text)))
    flow = FlowBuilder.from_yaml(text)

    flow.set(path, value)

    assert tree(flow.to_yaml()) == with_value(tree(text), path, value)
    top = path[0]
    for line in untouched(text, top):
        assert line in flow.to_yaml()


@settings(max_examples=60, deadline=None)
@given(st.one_of(documents(), st.sampled_from(SOURCES)), st.data(), NAMES, LEAVES.filter(is_writable))
def test_adding_and_removing_again_gives_the_document_back(
    text: str, data: st.DataObject, name: str, value: object
) -> None:
    present = paths(text)
    maps = {(), *(path[:-1] for path in present)}
    path = (*data.draw(st.sampled_from(sorted(maps))), name)
    assume(path not in present)
    flow = FlowBuilder.from_yaml(text)

    flow.set(path, value)
    assert tree(flow.to_yaml()) != tree(text)
    flow.remove(path)

    assert tree(flow.to_yaml()) == tree(text)
    assert [line.strip() for line in flow.to_yaml().split("\n") if line.strip()[:1] == "#"] == [
        line.strip() for line in text.split("\n") if line.strip()[:1] == "#"
    ]


def untouched(text: str, top: str) -> list[str]:
    """The lines of other sections, as whole sections of text."""
    root = parse_yaml(text, Diagnostics("f"))
    assert isinstance(root, MapNode)
    rows = sorted(key.line - 1 for key, _ in root.entries.values())
    lines = text.split("\n")
    mine = root.entries[top][0].line - 1
    later = [row for row in rows if row > mine]
    return ["\n".join(lines[:mine]), *(["\n".join(lines[later[0] :])] if later else [])]
