"""What node types say of themselves as JSON Schemas, remembered: making them takes a millisecond each."""

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, cast

from bridge.json_types import JsonObject, JsonValue
from flows.expressions_schemas import alternatives
from nodes.node import Node


@lru_cache(maxsize=256)
def config_schema(node_class: type[Node[Any]]) -> JsonObject:
    """JSON Schema of the `with:` block."""
    return node_class.config_schema()


def output_schema(node_class: type[Node[Any]] | None, config: JsonObject) -> JsonObject:
    """JSON Schema of the output for this block; anything for an unknown type."""
    if node_class is None:
        return {}
    if _says_the_same_always(node_class):
        return _fixed_output_schema(node_class)
    return _output_schema(node_class, json.dumps(config, sort_keys=True, default=str))


@lru_cache(maxsize=4096)
def _output_schema(node_class: type[Node[Any]], config: str) -> JsonObject:
    try:
        return node_class.output_schema(cast("JsonObject", json.loads(config)))
    except (TypeError, ValueError, KeyError, AttributeError):  # a block with mistakes, which are reported elsewhere
        return {}


@lru_cache(maxsize=256)
def _fixed_output_schema(node_class: type[Node[Any]]) -> JsonObject:
    return node_class.output_schema({})


def _says_the_same_always(node_class: type[Node[Any]]) -> bool:
    return cast("Any", node_class.output_schema).__func__ is cast("Any", Node.output_schema).__func__


def properties_of(schema: JsonObject) -> Mapping[str, JsonValue]:
    """The properties of an object schema."""
    properties = schema.get("properties")
    return cast("Mapping[str, JsonValue]", properties) if isinstance(properties, Mapping) else {}


def schema_at(schema: JsonObject, path: tuple[str, ...]) -> list[JsonObject]:
    """The schemas a value at `path` may have; several where the schema offers alternatives, none where it is silent."""
    current = alternatives(schema)
    for part in path:
        found: list[JsonObject] = []
        for branch in current:
            properties = properties_of(branch)
            inner = properties[part] if part in properties else branch.get("additionalProperties")
            if part.isdigit() and "items" in branch:
                inner = branch["items"]
            if isinstance(inner, Mapping):
                found += alternatives(cast("JsonObject", inner))
        current = found
    return current
