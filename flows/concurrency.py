"""How many runs of a flow may go on at once: which of them count together, and what a full group does."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

from bridge.json_types import JsonValue
from flows.engine_services import FlowExpressions
from flows.plan import OnFull, Plan

KEY_ROOTS = frozenset({"inputs", "tenant"})
"""What a key may read: it is evaluated before the run begins."""


@dataclass(frozen=True, slots=True)
class Group:
    """The runs that share a limit: of one organisation, one flow, one value of the key."""

    key: str
    limit: int
    on_full: OnFull


def group_of(
    plan: Plan, org_id: str, org_slug: str, inputs: Mapping[str, JsonValue], expressions: FlowExpressions
) -> Group | None:
    """The group of a run with these inputs; None when the flow sets no limit. Raises ExpressionError."""
    rule = plan.concurrency
    if rule is None:
        return None
    roots: dict[str, JsonValue] = {"inputs": inputs, "tenant": {"id": org_id, "slug": org_slug}}
    value = expressions.render(rule.key, roots)
    identity = json.dumps([org_id, plan.flow, value], sort_keys=True, default=str)
    return Group(hashlib.sha256(identity.encode()).hexdigest(), rule.limit, rule.on_full)
