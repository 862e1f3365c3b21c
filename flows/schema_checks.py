"""Is a JSON Schema that stands in a document one?"""

import json
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, cast

from bridge.json_types import JsonObject
from flows.diagnostics import Diagnostics
from flows.yaml_nodes import YamlNode, node_at


def check_schema(schema: JsonObject, node: YamlNode, problems: Diagnostics) -> bool:
    """Report what the specification of JSON Schema does not allow, at its place below `node`."""
    found = _problems(json.dumps(schema, sort_keys=True))
    for path, message in found:
        place, _ = node_at(node, path)
        if not problems.is_known_bad(place):
            problems.error(place, "invalid_value", f"this is no JSON Schema: {message}")
    return not found


@lru_cache(maxsize=1024)
def _problems(schema: str) -> tuple[tuple[tuple[str | int, ...], str], ...]:
    from jsonschema import Draft202012Validator

    meta: Any = Draft202012Validator(Draft202012Validator.META_SCHEMA)
    errors = cast("Iterable[Any]", meta.iter_errors(json.loads(schema)))
    found = {tuple(error.absolute_path): str(error.message)[:200] for error in errors}
    return tuple(sorted(found.items(), key=lambda entry: [str(part) for part in entry[0]]))
