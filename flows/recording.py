"""Makes the recording of a step: what it was given, and what it did that cannot be computed again."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

from bridge.json_types import JsonObject, JsonValue
from flows.engine_services import FlowExpressions
from flows.expressions_text import has_expression
from flows.plan import PlanStep
from flows.recorded_calls import recorded_call
from flows.recordings import Given, Recording, digest_of
from flows.redaction import without_secrets
from nodes.context import ModelExchange
from nodes.node import Node

MAX_OUTPUT_CHARS = 32 * 1024
"""Of an output as JSON text; a longer one is kept with the step's outcome alone."""
_READ_OF_ONE = "secrets."


def given_of(
    step: PlanStep, node_class: type[Node[Any]], expressions: FlowExpressions, roots: Mapping[str, JsonValue]
) -> Given:
    """The step's input. Where a secret is read, the expression stands for it. Raises ExpressionError."""
    secret = node_class.secret_fields
    config = {name: _masked(value) if name in secret else value for name, value in step.config.items()}
    late = {name: value for name, value in config.items() if name in node_class.late_fields}
    early = {name: value for name, value in config.items() if name not in node_class.late_fields}
    rendered = cast("JsonObject", expressions.render(early, roots, step.places))
    given = {**rendered, **late}
    return Given(digest_of(step.type, given), cast("JsonObject", without_secrets(given)))


def recording_of(
    path: str,
    step: PlanStep,
    given: Given,
    exchanges: Sequence[ModelExchange],
    *,
    is_whole: bool,
    output: JsonValue,
    arm: str | None = None,
) -> Recording:
    """The recording of a step that has ended."""
    text = json.dumps(output, ensure_ascii=False)
    return Recording(
        path=path,
        type=step.type,
        digest=given.digest,
        given=given.shown,
        calls=tuple(recorded_call(one) for one in exchanges) if is_whole else (),
        is_whole=is_whole,
        output_text=text if len(text) <= MAX_OUTPUT_CHARS else None,
        arm=arm,
    )


def _masked(value: JsonValue) -> JsonValue:
    """The unrendered value with every expression that reads a secret made plain text."""
    if isinstance(value, str):
        return value.replace("${{", "{{") if _READ_OF_ONE in value and has_expression(value) else value
    if isinstance(value, Mapping):
        return {key: _masked(inner) for key, inner in value.items()}
    return [_masked(inner) for inner in value] if isinstance(value, Sequence) else value
