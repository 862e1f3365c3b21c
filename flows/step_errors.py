"""Turns whatever a step raises into the error that retry rules, on_error and records read."""

import logging
from dataclasses import dataclass

from pydantic import ValidationError

from bridge.errors import BridgeError, ErrorClass, ProviderError
from flows.plan import ErrorRule
from flows.runs import StepError
from nodes.errors import ExpressionError, NodeError

log = logging.getLogger(__name__)

PROBLEMS_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Failure:
    """One failed attempt. `retry_after_s` is the wait the other side asked for."""

    error_class: ErrorClass
    message: str
    retry_after_s: float | None = None

    def at(self, node: str, path: str, attempt: int, item_index: int | None) -> StepError:
        """The failure as a step's error."""
        return StepError(
            error_class=self.error_class,
            message=self.message,
            node=node,
            path=path,
            attempt=attempt,
            item_index=item_index,
        )


def failure_of(error: Exception, path: str) -> Failure:
    """The failure `error` stands for. What nobody foresaw is `internal` and logged here, once, with its traceback."""
    if isinstance(error, NodeError | ProviderError):
        return Failure(error.error_class, with_place(error), error.retry_after_s)
    if isinstance(error, BridgeError):
        return Failure(error.error_class, str(error))
    if isinstance(error, ValidationError):
        return Failure("validation", describe(error))
    if isinstance(error, TimeoutError):
        return Failure("timeout", str(error) or "no answer in time")
    log.error("step.unexpected_error", exc_info=error, extra={"path": path})
    return Failure("internal", f"{type(error).__name__}: {error}")


def with_place(error: NodeError | ProviderError) -> str:
    """What happened, and for an expression where it stands in the document."""
    if isinstance(error, ExpressionError) and error.line:
        return f"{error} (line {error.line}, column {error.column})"
    return str(error)


def describe(error: ValidationError) -> str:
    """What does not fit, field by field, in one line."""
    problems = [
        f"{'.'.join(str(part) for part in problem['loc']) or 'value'}: {problem['msg']}"
        for problem in error.errors(include_url=False, include_context=False, include_input=False)
    ]
    more = f" (and {len(problems) - PROBLEMS_SHOWN} more)" if len(problems) > PROBLEMS_SHOWN else ""
    return "; ".join(problems[:PROBLEMS_SHOWN]) + more


def rule_for(rules: tuple[ErrorRule, ...], error_class: ErrorClass) -> ErrorRule | None:
    """The first entry of on_error that covers the class; None means the step just fails."""
    return next((rule for rule in rules if not rule.on or error_class in rule.on), None)
