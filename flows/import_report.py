"""What importers of foreign documents share: reading them with positions, naming steps, and saying what did not map."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from bridge.json_types import JsonObject, JsonValue
from flows.builder import FlowBuilder
from flows.builder_expressions import literal
from flows.expressions_compiled import CEL_WORDS, ROOTS
from flows.plan import Position
from flows.validate_nodes import ModelNames
from flows.yaml_nodes import ListNode, MapNode, ScalarNode, YamlNode, to_json

Fidelity = Literal["changed", "left_out"]
Family = Literal["dify", "promptflow", "argo"]

_MAX_ID = 50


@dataclass(frozen=True, slots=True)
class Finding:
    """Something of the foreign document that is not the same in the flow. Line and column count from 1."""

    line: int
    column: int
    kind: Fidelity
    """changed: it does nearly the same, read why. left_out: nothing of it is in the flow."""
    what: str
    why: str


@dataclass(frozen=True, slots=True)
class Imported:
    """A flow made of a foreign document. Steps that could not be carried over fail when a run reaches them."""

    family: Family
    name: str
    text: str
    findings: tuple[Finding, ...]
    steps: tuple[str, ...]
    placeholders: tuple[str, ...]
    """Steps of the flow that stand for one that could not be carried over."""

    def to_json(self) -> dict[str, JsonValue]:
        """The fidelity report."""
        return {
            "family": self.family,
            "flow": self.name,
            "steps": list(self.steps),
            "placeholders": list(self.placeholders),
            "findings": [
                {"line": one.line, "column": one.column, "kind": one.kind, "what": one.what, "why": one.why}
                for one in self.findings
            ],
        }


@dataclass(slots=True)
class Draft:
    """The flow that is being put together, and what was found on the way."""

    family: Family
    name: str
    catalog: ModelNames
    description: str = ""
    inputs: dict[str, JsonValue] = field(default_factory=dict[str, JsonValue])
    nodes: dict[str, JsonValue] = field(default_factory=dict[str, JsonValue])
    outputs: dict[str, JsonValue] = field(default_factory=dict[str, JsonValue])
    sections: dict[str, JsonValue] = field(default_factory=dict[str, JsonValue])
    findings: dict[tuple[int, int, str], Finding] = field(default_factory=dict[tuple[int, int, str], Finding])
    placeholders: list[str] = field(default_factory=list[str])
    _taken: dict[str, str] = field(default_factory=dict[str, str])

    def changed(self, at: YamlNode | Position, what: str, why: str) -> None:
        """Note something that is nearly the same."""
        self._note(Finding(at.line, at.column, "changed", what, why))

    def left_out(self, at: YamlNode | Position, what: str, why: str) -> None:
        """Note something that is not in the flow."""
        self._note(Finding(at.line, at.column, "left_out", what, why))

    def _note(self, finding: Finding) -> None:
        self.findings.setdefault((finding.line, finding.column, finding.what), finding)

    def id_of(self, key: str, wish: str = "") -> str:
        """The step's or input's id for a foreign one: readable, allowed, and the same for the same `key`."""
        if key not in self._taken:
            base = identifier(wish or key)
            taken = set(self._taken.values())
            numbered = (base if number == 1 else f"{base}_{number}" for number in range(1, len(taken) + 2))
            self._taken[key] = next(name for name in numbered if name not in taken)
        return self._taken[key]

    def model(self, wanted: Sequence[str], at: YamlNode | Position) -> str:
        """The first name the catalogue knows; else the alias `balanced`, and a finding."""
        found = next((name for name in wanted if name and self.catalog.knows(name)), None)
        if found is None:
            shown = next((name for name in wanted if name), "no model")
            self.changed(at, f"model {shown}", "not in the catalogue here; the alias `balanced` answers instead")
        return found or "balanced"

    def placeholder(self, step_id: str, at: YamlNode | Position, what: str, why: str) -> JsonObject:
        """A step that fails when it is reached, instead of going on without what is missing."""
        self.left_out(at, what, why)
        self.placeholders.append(step_id)
        return {"type": "transform", "with": {"map": {"value": f"json({literal('not imported: ' + what)})"}}}

    def finish(self) -> Imported:
        """The document and its report."""
        flow = FlowBuilder(flow_name(self.name), description=self.description or None)
        for section in ("inputs", "nodes", "outputs"):
            content: dict[str, JsonValue] = getattr(self, section)
            if content:
                flow.set((section,), content)
        for section, value in self.sections.items():
            flow.set((section,), value)
        findings = tuple(sorted(self.findings.values(), key=lambda one: (one.line, one.column, one.what)))
        head = [f"# Imported from {self.family}."]
        for one in findings:
            head.append(f"# {one.kind.replace('_', ' ')}, line {one.line}: {_one_line(f'{one.what}: {one.why}')}")
        steps = tuple(self.nodes)
        text = "\n".join(head) + "\n" + flow.to_yaml()
        return Imported(self.family, flow_name(self.name), text, findings, steps, tuple(self.placeholders))


def identifier(wish: str) -> str:
    """A text as an id that expressions can read."""
    base = re.sub(r"[^a-z0-9]+", "_", wish.lower()).strip("_")[:_MAX_ID]
    if not base or not base[0].isalpha():
        base = f"step_{base}".rstrip("_")
    return f"{base}_step" if base in ROOTS or base in CEL_WORDS else base


def flow_name(wish: str) -> str:
    """A text as the name of a flow."""
    base = re.sub(r"[^a-z0-9]+", "-", wish.lower()).strip("-")[:60]
    return base if base and base[0].isalpha() else f"flow-{base}".rstrip("-")


def get(node: YamlNode | None, *path: str) -> YamlNode | None:
    """What stands at the path of keys; None when nothing does."""
    for key in path:
        node = node.get(key) if isinstance(node, MapNode) else None
    return node


def text_at(node: YamlNode | None, *path: str) -> str:
    """The text there; empty for nothing, null, maps and lists."""
    found = get(node, *path)
    return found.text if isinstance(found, ScalarNode) and not found.is_null else ""


def number_at(node: YamlNode | None, *path: str) -> int | float | None:
    """The number there, also when it stands in quotes."""
    found = get(node, *path)
    if not isinstance(found, ScalarNode):
        return None
    return ScalarNode(1, 1, found.text).number


def flag_at(node: YamlNode | None, *path: str) -> bool:
    """Does `true` stand there?"""
    return text_at(node, *path).lower() == "true"


def items_at(node: YamlNode | None, *path: str) -> list[YamlNode]:
    """The list there; nothing else counts as one."""
    found = get(node, *path)
    return found.items if isinstance(found, ListNode) else []


def entries_at(node: YamlNode | None, *path: str) -> list[tuple[str, YamlNode]]:
    """The map's entries there."""
    found = get(node, *path)
    return [(key, value) for key, (_, value) in found.entries.items()] if isinstance(found, MapNode) else []


def json_at(node: YamlNode | None, *path: str) -> JsonValue:
    """The value there."""
    found = get(node, *path)
    return None if found is None else to_json(found)


def texts_at(node: YamlNode | None, *path: str) -> list[str]:
    """The texts of a list."""
    return [item.text for item in items_at(node, *path) if isinstance(item, ScalarNode)]


def without_none(value: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """The entries that have a value."""
    return {key: part for key, part in value.items() if part is not None and part not in ({}, [])}


def jinja_text(text: str) -> str:
    """A text that a template gives back as it is."""
    marks = re.compile(r"\{\{|\{%|\{#")
    return marks.sub(lambda mark: '{{ "' + mark[0] + '" }}', text)


def is_json(text: str) -> bool:
    """Can it be read as JSON?"""
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _one_line(text: str) -> str:
    return " ".join(text.split())[:240]
