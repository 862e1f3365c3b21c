"""A form from a JSON Schema of inputs: one widget per property, and the values as the API wants them."""

import json
from collections.abc import Mapping
from typing import cast

import streamlit as st
from pydantic import JsonValue

Schema = Mapping[str, JsonValue]
LONG_TEXT = 200


class UnreadableInputError(ValueError):
    """What was typed into a JSON field is not JSON."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name}: {reason}")
        self.name = name


def draw_inputs(schema: Schema, *, key: str, given: Mapping[str, JsonValue] | None = None) -> dict[str, object]:
    """Draw the widgets inside the open form. Answers raw widget values by property; `given` fills them in."""
    raw: dict[str, object] = {}
    for name, property_schema in properties(schema).items():
        start = given[name] if given and name in given else property_schema.get("default")
        raw[name] = _widget(name, property_schema, start, is_required=name in required(schema), key=f"{key}_{name}")
    return raw


def read_inputs(schema: Schema, raw: Mapping[str, object]) -> dict[str, JsonValue]:
    """Widget values as JSON. An optional field left empty is not sent, so that its default applies.

    Raises:
        UnreadableInputError: A field that takes JSON holds something else.
    """
    values: dict[str, JsonValue] = {}
    for name, property_schema in properties(schema).items():
        value = raw.get(name)
        if value is None or (value == "" and name not in required(schema)):
            continue
        if _kind(property_schema) == "json":
            try:
                values[name] = cast("JsonValue", json.loads(str(value)))
            except json.JSONDecodeError as error:
                raise UnreadableInputError(name, f"not valid JSON ({error.msg}, line {error.lineno})") from error
        else:
            values[name] = cast("JsonValue", value)
    return values


def properties(schema: Schema) -> dict[str, dict[str, JsonValue]]:
    """The schema of each property, in the document's order."""
    found = schema.get("properties")
    return {name: entry for name, entry in found.items() if isinstance(entry, dict)} if isinstance(found, dict) else {}


def required(schema: Schema) -> frozenset[str]:
    """Names that must be given."""
    names = schema.get("required")
    return frozenset(name for name in names if isinstance(name, str)) if isinstance(names, list) else frozenset()


def _kind(schema: Schema) -> str:
    if isinstance(schema.get("enum"), list):
        return "enum"
    declared = schema.get("type")
    return declared if declared in {"string", "integer", "number", "boolean"} else "json"


def _widget(name: str, schema: Schema, start: JsonValue, *, is_required: bool, key: str) -> object:
    label = name.replace("_", "\\_") + ("" if is_required else " :gray[(optional)]")
    text = schema.get("description")
    help_text = text if isinstance(text, str) else None
    match _kind(schema):
        case "enum":
            options = cast("list[JsonValue]", schema["enum"])
            index = options.index(start) if start in options else (0 if is_required else None)
            return st.selectbox(label, options, index=index, key=key, help=help_text)
        case "boolean":
            return st.checkbox(label, value=start is True, key=key, help=help_text)
        case "integer":
            return st.number_input(
                label,
                value=_whole(start),
                min_value=_whole(schema.get("minimum")),
                max_value=_whole(schema.get("maximum")),
                step=1,
                key=key,
                help=help_text,
            )
        case "number":
            return st.number_input(
                label,
                value=_real(start),
                min_value=_real(schema.get("minimum")),
                max_value=_real(schema.get("maximum")),
                key=key,
                help=help_text,
            )
        case "string":
            return _text_widget(label, schema, start, key=key, help_text=help_text)
        case _:
            written = "" if start is None else json.dumps(start, ensure_ascii=False, indent=2)
            return st.text_area(label, value=written, key=key, help=help_text or "JSON", placeholder="JSON")


def _text_widget(label: str, schema: Schema, start: JsonValue, *, key: str, help_text: str | None) -> str | None:
    limit = _whole(schema.get("maxLength"))
    value = start if isinstance(start, str) else ""
    if limit is not None and limit <= LONG_TEXT:
        return st.text_input(label, value=value, max_chars=limit, key=key, help=help_text)
    return st.text_area(label, value=value, max_chars=limit, key=key, help=help_text, height=110)


def _whole(value: JsonValue) -> int | None:
    return int(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _real(value: JsonValue) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
