"""The reference page of node types and scorers, made from their schemas: `python -m nodes.reference > FILE`."""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from inspect import cleandoc
from typing import Any, cast

from bridge.json_types import JsonObject, JsonValue
from evaluators.registry import options_schema, scorers
from evaluators.scorer import ScorerKind
from nodes.node import Node, node_types

_HEAD = """# Node types

Made from the code by `python -m nodes.reference`; do not edit. *late* fields are not rendered before the step runs:
their texts are expressions (bare or in `${{ }}`) or, where it says *template*, Jinja over `vars`."""


def reference_page() -> str:
    """Markdown of every built-in node type's configuration and output, then of every scorer's options."""
    parts = [_HEAD]
    parts += [_node_section(name, kind) for name, kind in node_types().items() if _is_ours(kind)]
    parts.append("# Scorers\n\nFor `evaluate` and evaluations. A score that cannot be given is missing, never 0.")
    parts += [_scorer_section(kind) for kind in scorers().values()]
    return "\n\n".join(parts) + "\n"


def _is_ours(kind: type[Node[Any]]) -> bool:
    return kind.__module__.startswith("nodes.")


def _node_section(name: str, kind: type[Node[Any]]) -> str:
    marks = {
        **dict.fromkeys(kind.late_fields, "late"),
        **dict.fromkeys(kind.template_fields, "template"),
        **dict.fromkeys(kind.code_fields, "code: no expressions"),
        **dict.fromkeys(kind.secret_fields, "secrets allowed"),
    }
    facts = [
        "executed by the walker" if kind.is_control else "",
        "stored before any dependent starts" if not kind.is_replayable else "",
    ]
    shown = f" ({', '.join(fact for fact in facts if fact)})" if any(facts) else ""
    return "\n\n".join(
        [
            f"## `{name}`{shown}",
            cleandoc(kind.__doc__ or ""),
            "**with**\n\n" + _table(kind.config_schema(), marks),
            "**output**\n\n" + _table(kind.output_schema({}), {}),
        ]
    )


def _scorer_section(kind: ScorerKind) -> str:
    high = "" if kind.high is None else f"{kind.high:g}"
    facts = f"Range {kind.low:g} to {high or 'any'}, {kind.direction} is better{', asks a model' * kind.uses_model}."
    doc = cleandoc(kind.factory.__doc__ or "")
    return "\n\n".join([f"## `{kind.name}`", doc, facts, _table(options_schema(kind.name), {})])


def _table(schema: JsonObject, marks: Mapping[str, str]) -> str:
    properties = schema.get("properties")
    if not isinstance(properties, Mapping) or not properties:
        return "nothing" if schema.get("type") == "object" else f"{_kind(schema)}"
    listed = schema.get("required")
    required = set(cast("Sequence[str]", listed)) if isinstance(listed, Sequence) else set[str]()
    rows = ["| field | type | default | what |", "|---|---|---|---|"]
    for name, part in properties.items():
        field: JsonObject = part if isinstance(part, Mapping) else dict[str, JsonValue]()
        rows.append(" | ".join(_row(name, field, name in required, marks.get(name))))
    return "\n".join(rows)


def _row(name: str, field: JsonObject, is_required: bool, mark: str | None) -> Iterator[str]:
    default = "required" if is_required else f"`{json.dumps(field['default'])}`" if "default" in field else ""
    text = str(field.get("description", ""))
    yield f"| `{name}`"
    yield _escaped(_kind(field))
    yield _escaped(default)
    yield _escaped(" ".join(part for part in (text, f"*{mark}*" if mark else "") if part)) + " |"


def _kind(field: JsonObject) -> str:
    """A field's type in a few words."""
    branches = field.get("anyOf")
    if isinstance(branches, Sequence) and not isinstance(branches, str):
        return " or ".join(dict.fromkeys(_kind(cast("JsonObject", branch)) for branch in branches))
    choices = field.get("enum")
    if isinstance(choices, Sequence) and not isinstance(choices, str):
        return ", ".join(f"`{choice}`" for choice in choices)
    kind = field.get("type")
    if kind == "array":
        items = field.get("items")
        return f"list of {_kind(cast('JsonObject', items))}" if isinstance(items, Mapping) and items else "list"
    if kind == "object":
        names = field.get("properties")
        return "map" if not isinstance(names, Mapping) else "{" + ", ".join(names) + "}"
    return f"{_spoken(kind)}{_bounds(field)}"


def _spoken(kind: JsonValue) -> str:
    words = {"string": "text", "integer": "whole number", "number": "number", "boolean": "true or false"}
    return words.get(str(kind), "null" if kind == "null" else "any")


def _bounds(field: JsonObject) -> str:
    words = {"minimum": ">=", "maximum": "<=", "exclusiveMinimum": ">", "exclusiveMaximum": "<"}
    found = [f"{sign} {field[key]}" for key, sign in words.items() if key in field]
    return f" {' and '.join(found)}" if found else ""


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


if __name__ == "__main__":
    sys.stdout.write(reference_page())
