"""When a step is tried again, and after how long. Pure but for the random source that is handed in."""

import random
from collections.abc import Mapping

from bridge.json_types import JsonValue
from flows.engine_services import FlowExpressions
from flows.plan import RetryRule
from flows.step_errors import Failure
from nodes.errors import NodeError

LONGEST_PAUSE_S = 900.0
"""A wait longer than this is not worth holding a step for: the failure stands."""

RE_ASKED = frozenset({"schema_violation", "validation"})
"""What an attempt with `mode: re_ask` can cure by telling the model, so it is covered without being listed."""


def is_covered(rule: RetryRule, failure: Failure) -> bool:
    """Does the rule's class filter cover this failure?"""
    return failure.error_class in rule.on or (rule.mode == "re_ask" and failure.error_class in RE_ASKED)


def is_wanted(
    rule: RetryRule, expressions: FlowExpressions, scope: Mapping[str, JsonValue], seen: Mapping[str, JsonValue]
) -> bool:
    """Does the rule's `when` hold for `seen` (error, output)? One that cannot be evaluated does not."""
    if rule.when is None:
        return True
    try:
        return expressions.evaluate(rule.when, {**scope, **seen}) is True
    except NodeError:
        return False


def pause_s(rule: RetryRule, attempt: int, retry_after_s: float | None, rng: random.Random) -> float:
    """Seconds to wait after failed attempt number `attempt` (from 1); never shorter than what was asked for.

    Source: full jitter, M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
    """
    delay = rule.base_s if rule.backoff == "constant" else rule.base_s * 2.0 ** min(attempt - 1, 60)
    delay = min(delay, rule.cap_s)
    if rule.jitter == "full":
        delay = rng.uniform(0.0, delay)
    return max(delay, retry_after_s or 0.0)
