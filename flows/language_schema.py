"""JSON Schema of the flow language: what the reader checks documents by, and what editors complete from."""

from collections.abc import Mapping
from functools import cache
from typing import cast, get_args

from bridge.errors import ErrorClass
from bridge.json_types import JsonObject, JsonValue
from flows.schema_reader import EXPRESSION
from nodes.node import node_types

FLOW_NAME = "[a-z][a-z0-9_-]{0,62}"
STEP_ID = "[a-z][a-z0-9_]{0,62}"
DURATION = r"[0-9]+(\.[0-9]+)?(ms|s|m|h|d)"

_DURATION: JsonObject = {
    "type": "string",
    "pattern": f"^{DURATION}$",
    "description": "a duration is a number with a unit: 500ms, 30s, 15m, 4h, 7d",
}
_IDS: JsonObject = {"pattern": f"^{STEP_ID}$", "description": "ids are lower-case letters, digits and _: draft_reply"}
_NAME: JsonObject = {
    "type": "string",
    "pattern": f"^{FLOW_NAME}$",
    "description": "names are lower-case letters, digits, _ and -: support-triage",
}
_ID: JsonObject = {"type": "string", **_IDS}
_EXPRESSION_TEXT: JsonObject = {"type": "string", "pattern": r"\$\{\{"}
_ANY: JsonObject = {EXPRESSION: True}
_CONDITION: JsonObject = {"type": ["string", "boolean"], EXPRESSION: True}
_TEXT: JsonObject = {"type": "string"}
_CLASSES: JsonObject = {"type": "array", "items": {"type": "string", "enum": list(get_args(ErrorClass))}, "minItems": 1}
_COUNT: JsonObject = {"type": "integer", "minimum": 1}


def _closed(properties: JsonObject, *required: str) -> JsonObject:
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


def _choice(*values: str) -> JsonObject:
    return {"type": "string", "enum": list(values)}


_RETRY = _closed(
    {
        "attempts": {"type": "integer", "minimum": 1, "maximum": 20},
        "backoff": _choice("constant", "exponential"),
        "base": _DURATION,
        "cap": _DURATION,
        "jitter": _choice("none", "full"),
        "on": _CLASSES,
        "when": _CONDITION,
        "mode": _choice("again", "re_ask"),
    }
)
_FOREACH = _closed(
    {
        "items": {"type": "array", EXPRESSION: True},
        "as": _ID,
        "max_parallel": {"type": "integer", "minimum": 1, "maximum": 1000},
        "on_item_error": _choice("fail", "continue", "drop"),
        "max_items": {"type": "integer", "minimum": 1, "maximum": 100_000},
    },
    "items",
)
_CACHE = _closed(
    {"ttl": _DURATION, "key": {"type": "string", EXPRESSION: True}, "scope": _choice("org", "flow", "run")}, "ttl"
)
_ERROR_WORD: JsonObject = {"type": "string", "enum": ["fail", "continue"]}
_ERROR_ENTRY = _closed({"default": _ANY, "goto": _ID, "continue": {"type": "boolean"}, "on": _CLASSES})
_ON_ERROR: JsonObject = {
    "anyOf": [_ERROR_WORD, _ERROR_ENTRY, {"type": "array", "items": {"anyOf": [_ERROR_WORD, _ERROR_ENTRY]}}]
}
_ARM: JsonObject = {
    "anyOf": [
        {"type": "number", "minimum": 0},
        _closed({"weight": {"type": "number", "minimum": 0}, "with": {"type": "object"}}, "weight"),
    ]
}
_STEP_KEYS: JsonObject = {
    "type": _TEXT,
    "description": _TEXT,
    "with": {"type": "object"},
    "needs": {"anyOf": [{"type": "array", "items": _TEXT}, _TEXT]},
    "join": _choice("all_succeeded", "none_failed", "all_done", "any_succeeded", "first"),
    "when": _CONDITION,
    "foreach": _FOREACH,
    "matrix": {
        "type": "object",
        "additionalProperties": {"type": "array", EXPRESSION: True},
        "propertyNames": _IDS,
        "minProperties": 1,
    },
    "retry": _RETRY,
    "timeout": _DURATION,
    "deadline": _DURATION,
    "cache": _CACHE,
    "on_error": _ON_ERROR,
    "task": _NAME,
    "experiment": _closed(
        {"id": _NAME, "unit": _ANY, "arms": {"type": "object", "additionalProperties": _ARM, "minProperties": 2}},
        "id",
        "arms",
    ),
}
_INPUT: JsonObject = {
    "type": "object",
    "description": "a JSON Schema, with an optional default",
    "properties": {"type": {"anyOf": [_TEXT, {"type": "array", "items": _TEXT}]}, "description": _TEXT},
}
_TRIGGER: JsonObject = _closed(
    {
        "id": _ID,
        "type": _choice("schedule", "webhook", "event", "run_completed"),
        "cron": _TEXT,
        "timezone": _TEXT,
        "misfire": _choice("last", "all", "none"),
        "overlap": _choice("skip", "queue", "allow"),
        "inputs": {"type": "object"},
        "verify": _TEXT,
        "secret": _TEXT,
        "dedupe_key": _ANY,
        "when": _CONDITION,
        "event": _TEXT,
        "flow": _TEXT,
        "engine": _choice("auto", "inline", "prefect"),
    },
    "id",
    "type",
)
_EVALUATION = _closed(
    {
        "dataset": _TEXT,
        "scorers": {"type": "array", "items": {}, "minItems": 1},
        "gate": {"type": "object", "additionalProperties": _TEXT},
        "on": {"type": "array", "items": _choice("publish", "nightly")},
        "cron": _TEXT,
        "force": {"type": "boolean"},
    },
    "dataset",
    "scorers",
)
_TEST = _closed(
    {
        "name": _TEXT,
        "inputs": {"type": "object"},
        "mock": {"type": "object"},
        "expect": {"type": "object"},
    },
    "name",
)


@cache
def structure_schema() -> JsonObject:
    """The language without what is special to each node type: the reader checks `with:` blocks on their own."""
    return _document(_step(), _listed_step())


def language_schema() -> JsonObject:
    """The whole language for editors, with every registered node type's `with:` block."""
    types = node_types()
    with_blocks: list[JsonValue] = [
        {
            "if": {"properties": {"type": {"const": name}}, "required": ["type"]},
            "then": {"properties": {"with": _with_block(cls.config_schema())}},
        }
        for name, cls in types.items()
    ]
    known: JsonObject = {"type": "string", "enum": list(types)}
    step = {**cast("JsonObject", _marked_open(_step())), "allOf": with_blocks}
    listed = {**cast("JsonObject", _marked_open(_listed_step())), "allOf": with_blocks}
    for part in (step, listed):
        part["properties"] = {**cast("JsonObject", part["properties"]), "type": known}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "https://modelbridge.dev/schemas/flow-1.json",
        "title": "Model Bridge flow",
        **_document(step, listed),
    }


def _with_block(schema: JsonObject) -> JsonObject:
    properties = cast("JsonObject", schema.get("properties") or {})
    open_properties = {name: _or_expression(part) for name, part in properties.items()}
    if "do" in properties:
        open_properties["do"] = {"$ref": "#/$defs/nodes"}
    return {**schema, "properties": open_properties}


def _or_expression(schema: JsonValue) -> JsonValue:
    """The same schema, at every depth open for a text with an expression in it."""
    if not isinstance(schema, Mapping) or not schema:
        return schema
    opened = dict(cast("JsonObject", schema))
    for key in ("anyOf", "oneOf", "allOf", "prefixItems"):
        if isinstance(branches := opened.get(key), list):
            opened[key] = [_or_expression(branch) for branch in branches]
    for key in ("items", "additionalProperties"):
        if key in opened:
            opened[key] = _or_expression(opened[key])
    if isinstance(properties := opened.get("properties"), Mapping):
        opened["properties"] = {name: _or_expression(part) for name, part in properties.items()}
    return {"anyOf": [opened, _EXPRESSION_TEXT]}


def _marked_open(schema: JsonValue) -> JsonValue:
    """The language for editors: what is marked as open for expressions takes such a text."""
    if isinstance(schema, list):
        return [_marked_open(part) for part in schema]
    if not isinstance(schema, Mapping):
        return schema
    opened = {name: _marked_open(part) for name, part in schema.items()}
    return {"anyOf": [opened, _EXPRESSION_TEXT]} if schema.get(EXPRESSION) is True and len(schema) > 1 else opened


def _step() -> JsonObject:
    return _closed(_STEP_KEYS, "type")


def _listed_step() -> JsonObject:
    return _closed({"id": _ID, **_STEP_KEYS}, "id", "type")


def _document(step: JsonObject, listed: JsonObject) -> JsonObject:
    properties: JsonObject = {
        "flow": _NAME,
        "spec": {"type": "integer", "enum": [1]},
        "description": _TEXT,
        "inputs": {"type": "object", "additionalProperties": _INPUT, "propertyNames": _IDS},
        "budget": _closed(
            {"usd": {"type": "number", "exclusiveMinimum": 0}, "on_exceed": _choice("stop", "degrade", "ask")}, "usd"
        ),
        "timeout": _DURATION,
        "engine": _choice("auto", "inline", "prefect"),
        "fail_fast": {"type": "boolean"},
        "concurrency": _closed(
            {"key": _ANY, "limit": _COUNT, "on_full": _choice("queue", "reject", "cancel_oldest")}, "limit"
        ),
        "triggers": {"type": "array", "items": _TRIGGER},
        "defaults": _closed({"retry": _RETRY, "timeout": _DURATION, "max_tokens": _COUNT}),
        "nodes": {
            "type": "object",
            "additionalProperties": {"$ref": "#/$defs/step"},
            "propertyNames": _IDS,
            "minProperties": 1,
        },
        "outputs": {"type": "object", "additionalProperties": _ANY, "propertyNames": _IDS},
        "on_failure": {"type": "array", "items": {"$ref": "#/$defs/listed_step"}},
        "finally": {"type": "array", "items": {"$ref": "#/$defs/listed_step"}},
        "evaluations": {"type": "array", "items": _EVALUATION},
        "tests": {"type": "array", "items": _TEST},
    }
    document = _closed(properties, "flow", "nodes")
    return {**document, "$defs": {"step": step, "listed_step": listed, "nodes": properties["nodes"]}}
