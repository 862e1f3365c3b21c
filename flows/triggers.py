"""Triggers that something outside pulls: webhooks, and the ends of other flows' runs. Schedules are in `schedules`."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, cast

from bridge.json_types import JsonObject, JsonValue
from flows.diagnostics import Diagnostics
from flows.engine_services import FlowExpressions
from flows.errors import ExpressionSyntaxError
from flows.expressions_compiled import compile_expression
from flows.expressions_text import Embedded, UnclosedExpressionError, split_text
from flows.plan import TriggerRule
from flows.schema_reader import SchemaReader
from flows.suggestions import did_you_mean
from flows.yaml_nodes import MapNode, ScalarNode, YamlNode, scalars_of
from nodes.errors import ExpressionError

TRIGGER_ROOTS = frozenset({"body", "headers"})
"""What the expressions of a trigger may read: nothing has run yet. An end of a run has no headers."""
VERIFIED = ("hmac",)
KEYS: Mapping[str, frozenset[str]] = {
    "webhook": frozenset({"id", "type", "verify", "dedupe_key", "when", "inputs"}),
    "run_completed": frozenset({"id", "type", "flow", "when", "inputs"}),
}


@dataclass(frozen=True, slots=True)
class Call:
    """What a delivery asks for: inputs, and the key by which a second delivery is the same."""

    inputs: JsonObject
    key: str


def read_trigger(
    item: MapNode, trigger_id: str, own_name: str, inputs: JsonObject, problems: Diagnostics
) -> TriggerRule:
    """The rule of one webhook or run_completed trigger; its problems are noted."""
    kind = cast("Literal['webhook', 'run_completed']", _text(item, "type"))
    for name, (key, _) in item.entries.items():
        if name not in KEYS[kind]:
            hint = did_you_mean(name, KEYS[kind]) or f"it has {', '.join(sorted(KEYS[kind]))}"
            problems.error(key, "unknown_key", f"a {kind} trigger has no `{name}`", hint)
    verify = item.get("verify")
    if isinstance(verify, ScalarNode) and verify.text not in VERIFIED:
        problems.error(
            verify, "invalid_value", f"`{verify.text}` is no way to verify a webhook", "write `verify: hmac`"
        )
    source = _text(item, "flow")
    if kind == "run_completed" and not source:
        problems.error(item.key("type") or item, "missing_key", "`flow` is missing", "name the flow whose runs end")
    elif kind == "run_completed" and source == own_name:
        problems.error(item.get("flow") or item, "cycle", "the ends of its own runs would start it for ever")
    given = item.get("inputs") or MapNode(item.line, item.column)
    reader = SchemaReader(problems, inputs, are_expressions_allowed=True, what="input")
    values = reader.read(given, inputs, item.key("inputs") or item.key("id") or item)
    when, dedupe_key = item.get("when"), item.get("dedupe_key")
    _check_expressions(item, problems)
    return TriggerRule(
        id=trigger_id,
        kind=kind,
        source=source,
        when=when.text if isinstance(when, ScalarNode) else None,
        dedupe_key=dedupe_key.text if isinstance(dedupe_key, ScalarNode) else None,
        inputs=cast("JsonObject", values) if isinstance(given, MapNode) else {},
    )


def call_of(
    rule: TriggerRule, body: JsonValue, headers: Mapping[str, str], delivery_id: str, expressions: FlowExpressions
) -> Call | None:
    """What a delivery asks for; None when the trigger's `when` is not met. Names of headers are in lower case.

    Raises:
        ExpressionError: An expression cannot be evaluated over this delivery.
    """
    scope: dict[str, JsonValue] = {"body": body, "headers": dict(headers)}
    if rule.when is not None:
        met = rule.when == "true" or (rule.when != "false" and expressions.evaluate(rule.when, scope))
        if not isinstance(met, bool):
            raise ExpressionError("`when` must give true or false", expression=rule.when)
        if not met:
            return None
    inputs = cast("JsonObject", expressions.render(rule.inputs, scope))
    same: JsonValue = delivery_id
    if rule.dedupe_key is not None:
        same = expressions.render(rule.dedupe_key, scope)
    return Call(inputs, hashlib.sha256(json.dumps(same, sort_keys=True, default=str).encode()).hexdigest())


def _check_expressions(item: MapNode, problems: Diagnostics) -> None:
    for scalar, offset, text in _expressions(item, problems):
        try:
            compile_expression(text, TRIGGER_ROOTS)
        except ExpressionSyntaxError as error:
            for finding in error.findings:
                hint = did_you_mean(finding.name, TRIGGER_ROOTS) or "a trigger reads `body` and `headers`"
                problems.error(scalar.position_of(offset + finding.offset), finding.code, finding.message, hint)


def _expressions(item: MapNode, problems: Diagnostics) -> Iterator[tuple[ScalarNode, int, str]]:
    when: YamlNode | None = item.get("when")
    for path, scalar in scalars_of(item):
        if path[0] not in {"when", "inputs", "dedupe_key"}:
            continue
        if scalar is when and "${{" not in scalar.text:
            if scalar.boolean is None:
                yield scalar, 0, scalar.text
            continue
        if "${{" not in scalar.text:
            continue
        try:
            parts = split_text(scalar.text)
        except UnclosedExpressionError as error:
            problems.error(scalar.position_of(error.offset), "expression_syntax", str(error), "close it with `}}`")
            continue
        yield from ((scalar, part.offset, part.expression) for part in parts if isinstance(part, Embedded))


def _text(item: MapNode, key: str) -> str:
    node = item.get(key)
    return node.text if isinstance(node, ScalarNode) else ""
