"""Under which key a step's outcome may be reused, when the step has a cache rule."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from bridge.json_types import JsonValue
from flows.plan import PlanStep
from flows.walk import Walk
from nodes.node import Node


def cache_key(walk: Walk, step: PlanStep, node: Node[Any], roots: Mapping[str, JsonValue]) -> str | None:
    """The key of this step's outcome; None when it has no cache rule or the process no cache.

    An own `key` stands for the values of the step; without one, the rendered `with:` block does. Outcomes are never
    shared between organisations. Raises ExpressionError.
    """
    rule = step.cache
    if rule is None or walk.services.cache is None:
        return None
    owner = {
        "org": [walk.run.org_id],
        "flow": [walk.run.org_id, walk.run.flow],
        "run": [walk.run.org_id, walk.run.id],
    }[rule.scope]
    if rule.key is None:
        values: JsonValue = node.model_dump(mode="json")
    else:
        values = walk.services.expressions.render(rule.key, roots, step.places)
    identity = [rule.scope, owner, step.type, step.id, step.fingerprint, values]
    return hashlib.sha256(json.dumps(identity, sort_keys=True, default=str).encode()).hexdigest()
