"""Which secrets the block of a step reads.

`secrets.NAME` may be read only in fields that a node type marks as secret-capable: validation says so, and at run time
only those fields are rendered with the root `secrets`.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bridge.json_types import JsonObject, JsonValue
from flows.expressions_text import Embedded, UnclosedExpressionError, split_text
from nodes.node import Node

ROOT = "secrets"
NAME = re.compile(r"[A-Z][A-Z0-9_]{0,62}")
ROOT_SCHEMA: JsonObject = {"type": "object", "additionalProperties": {"type": "string"}}
PLACES = "secrets may be read in headers and auth of http, connection of sql and target of notify"
_READ = re.compile(r"\bsecrets\s*\.\s*([A-Za-z_][A-Za-z0-9_]*)")


def names_read(config: JsonObject, cls: type[Node[Any]]) -> frozenset[str]:
    """Names of the secrets that expressions in the secret-capable fields of a block read."""
    return frozenset(
        name
        for field in cls.secret_fields
        for text in _texts(config.get(field))
        for expression in _expressions(text)
        for name in _READ.findall(expression)
    )


def _texts(value: JsonValue) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from _texts(part)
    elif isinstance(value, Sequence):
        for part in value:
            yield from _texts(part)


def _expressions(text: str) -> Iterator[str]:
    if "${{" not in text:
        return
    try:
        parts = split_text(text)
    except UnclosedExpressionError:
        return
    yield from (part.expression for part in parts if isinstance(part, Embedded))
