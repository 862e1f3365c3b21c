"""References and conditions of Dify as expressions, and its texts as templates."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from bridge.json_types import JsonValue
from flows.builder_expressions import literal
from flows.import_report import Draft, identifier, is_json, jinja_text
from flows.yaml_nodes import YamlNode

REFERENCE = re.compile(r"\{\{#([^#{}]+)#\}\}")
_FIELDS = {
    "llm": {"text": "text", "structured_output": "json", "usage": "usage"},
    "http-request": {"body": "text", "status_code": "status", "headers": "headers"},
    "template-transform": {"output": "text"},
    "question-classifier": {"class_name": "label", "class_id": "label"},
    "knowledge-retrieval": {"result": "documents"},
    "answer": {"answer": "text"},
}
_COMPARED = {
    "contains": "{x}.contains({v})",
    "not contains": "!{x}.contains({v})",
    "start with": "{x}.startsWith({v})",
    "end with": "{x}.endsWith({v})",
    "is": "{x} == {v}",
    "is not": "{x} != {v}",
    "empty": "({x} == '' || {x} == 'null' || {x} == '[]')",
    "not empty": "!({x} == '' || {x} == 'null' || {x} == '[]')",
}
_ORDERED = {"=": "==", "≠": "!=", ">": ">", "<": "<", "≥": ">=", "≤": "<="}
_ALIASES = {"is empty": "empty", "is not empty": "not empty", "null": "empty", "not null": "not empty"}


@dataclass(slots=True)
class Template:
    """A Jinja text and the variables it reads."""

    text: str
    vars: dict[str, JsonValue] = field(default_factory=dict[str, JsonValue])


def template_of(
    text: str, read: Callable[[Sequence[str]], str], *, known: dict[str, JsonValue] | None = None
) -> Template:
    """A text with `{{#node.field#}}` in it as a template; `read` gives the expression of a selector.

    `known` are variables that the text's own Jinja reads; a text without any is no Jinja, and what looks like it stays.
    """
    made = Template("", dict(known or {}))
    parts: list[str] = []
    end = 0
    for mark in REFERENCE.finditer(text):
        selector = mark[1].split(".")
        parts += [text[end : mark.start()], "{{ ", _variable(selector, read(selector), made), " }}"]
        end = mark.end()
    parts.append(text[end:])
    if known is None:
        parts = [part if index % 4 else jinja_text(part) for index, part in enumerate(parts)]
    made.text = "".join(parts)
    return made


def mixed_text(text: str, read: Callable[[Sequence[str]], str]) -> str:
    """The text with its references as `${{ }}`; a text that is one reference keeps the value's type."""
    plain = text.replace("${{", "$${{")
    return REFERENCE.sub(lambda mark: "${{ " + read(mark[1].split(".")) + " }}", plain)


def json_body(text: str, read: Callable[[Sequence[str]], str]) -> JsonValue | None:
    """A JSON text with references in it as a value with expressions in it; None when it is no JSON."""
    import json

    expressions: list[str] = []

    def mark(found: re.Match[str]) -> str:
        expressions.append("${{ " + read(found[1].split(".")) + " }}")
        return f"\x00{len(expressions) - 1}\x00"

    marked = REFERENCE.sub(mark, text.strip())
    escaped = re.sub(r"\x00(\d+)\x00", r"\\u0000\1\\u0000", marked)
    quoted = re.sub(r"([:,\[]\s*)\\u0000(\d+)\\u0000", r'\1"\\u0000\2\\u0000"', escaped)
    for candidate in (escaped, quoted):
        if is_json(candidate):
            return _unmarked(json.loads(candidate), expressions)
    return None


def condition(selector: str, operator: str, value: str, kind: str, read: Callable[[Sequence[str]], str]) -> str | None:
    """One comparison as CEL over the expression `selector`; None when there is no such operator here."""
    operator = _ALIASES.get(operator, operator)
    whole = REFERENCE.fullmatch(value.strip())
    wanted = read(whole[1].split(".")) if whole else None
    if operator in _ORDERED:
        right = wanted or (value if re.fullmatch(r"-?\d+(\.\d+)?", value) else literal(value))
        return f"{selector} {_ORDERED[operator]} {right}"
    if operator in {"in", "not in"}:
        names = literal([part.strip() for part in value.split(",")])
        return f"{'!' if operator == 'not in' else ''}(text({selector}) in {names})"
    if kind == "boolean" and operator in {"is", "is not"}:
        return f"{selector} {'==' if operator == 'is' else '!='} {value.lower()}"
    if operator not in _COMPARED:
        return None
    return _COMPARED[operator].format(x=f"text({selector})", v=f"text({wanted})" if wanted else literal(value))


def output_field(kind: str, names: Sequence[str]) -> str:
    """A field of a Dify node as what follows `nodes.<id>.output`."""
    head, rest = names[0] if names else "", names[1:]
    if kind == "code":
        return _dotted(".result", names)
    if kind == "parameter-extractor":
        return _dotted(".json", names)
    if kind == "variable-aggregator":
        return _dotted("", names)
    if kind == "iteration":
        return ".results.map(one, one.value)"
    known = _FIELDS.get(kind)
    return _dotted(f".{known[head]}" if known and head in known else _dotted("", [head]), rest)


def without_fallback(expression: str) -> str:
    """The read itself, of one that counts as empty text where it is absent."""
    return expression.removeprefix("coalesce(").removesuffix(', "")') if expression.endswith(', "")') else expression


def _dotted(start: str, names: Sequence[str]) -> str:
    return start + "".join(
        f".{name}" if re.fullmatch(r"[A-Za-z_]\w*", name) else f"[{literal(name)}]" for name in names
    )


def _variable(selector: Sequence[str], expression: str, made: Template) -> str:
    shown = "${{ " + expression + " }}"
    base = identifier(selector[-1])
    for number in range(1, len(made.vars) + 2):
        name = base if number == 1 else f"{base}_{number}"
        if made.vars.setdefault(name, shown) == shown:
            return name
    raise AssertionError("one name more than there are variables is always free")


def _unmarked(value: JsonValue, expressions: Sequence[str]) -> JsonValue:
    if isinstance(value, str):
        return re.sub(r"\x00(\d+)\x00", lambda mark: expressions[int(mark[1])], value)
    if isinstance(value, list):
        return [_unmarked(part, expressions) for part in value]
    if isinstance(value, dict):
        return {key: _unmarked(part, expressions) for key, part in value.items()}
    return value


def schema_of_type(kind: str, draft: Draft, at: YamlNode) -> dict[str, JsonValue]:
    """A Dify type as JSON Schema."""
    simple = {"string": "string", "number": "number", "boolean": "boolean", "bool": "boolean", "object": "object"}
    kind = kind.lower()
    if kind.startswith("array"):
        inner = kind.removeprefix("array").strip("[]")
        return {"type": "array", "items": {"type": simple[inner]} if inner in simple else {}}
    if kind not in simple:
        draft.changed(at, f"type {kind}", "taken as any value")
        return {}
    return {"type": simple[kind]}
