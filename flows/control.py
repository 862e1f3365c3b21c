"""Expressions of a step, evaluated where it stands; and what a `switch` takes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bridge.json_types import JsonValue
from flows.engine_services import FlowExpressions
from flows.expressions_text import bare_expression
from flows.plan import PlanStep
from nodes.errors import ExpressionError, InvalidInputError


def choose(
    step: PlanStep, expressions: FlowExpressions, roots: Mapping[str, JsonValue]
) -> tuple[JsonValue, tuple[str, ...]]:
    """What a switch takes: as its output shows it (a name, a list, or None), and as step ids.

    Cases are tried in order; later ones are not evaluated. Raises NodeError.
    """
    cases = step.config.get("cases", ())
    if not isinstance(cases, Sequence) or isinstance(cases, str):
        raise InvalidInputError("cases must be a list of {if, then}")
    for index, case in enumerate(cases):
        if not isinstance(case, Mapping) or "if" not in case or "then" not in case:
            raise InvalidInputError(f"case {index} must have `if` and `then`")
        condition = case["if"]
        holds = evaluate_at(step, expressions, condition, roots) if isinstance(condition, str) else condition
        if not isinstance(holds, bool):
            raise InvalidInputError(f"`if` of case {index} must be true or false, it is {holds!r}")
        if holds:
            return _taken(case["then"])
    return _taken(step.config.get("default"))


def is_wanted(step: PlanStep, expressions: FlowExpressions, roots: Mapping[str, JsonValue]) -> bool:
    """Does the step's `when` hold? Raises NodeError when it is no boolean."""
    if step.when is None:
        return True
    holds = evaluate_at(step, expressions, step.when, roots)
    if not isinstance(holds, bool):
        raise InvalidInputError(f"`when` must be true or false, it is {holds!r}")
    return holds


def evaluate_at(
    step: PlanStep, expressions: FlowExpressions, expression: str, roots: Mapping[str, JsonValue]
) -> JsonValue:
    """The value of an expression of `step`; an error carries its place in the document. Raises ExpressionError."""
    try:
        return expressions.evaluate(expression, roots)
    except ExpressionError as error:
        place = step.places.get(bare_expression(expression).strip())
        if place is None or error.line:
            raise
        raise ExpressionError(str(error), expression=error.expression, line=place.line, column=place.column) from error


@dataclass(frozen=True, slots=True)
class StepExpressions:
    """Expressions as the node of one step evaluates them: errors carry their places in the document."""

    step: PlanStep
    expressions: FlowExpressions

    def evaluate(self, expression: str, scope: Mapping[str, JsonValue]) -> JsonValue:
        """The value. Raises ExpressionError."""
        return evaluate_at(self.step, self.expressions, expression, scope)


def _taken(names: JsonValue) -> tuple[JsonValue, tuple[str, ...]]:
    if names is None:
        return None, ()
    if isinstance(names, str):
        return names, (names,)
    if isinstance(names, Sequence) and all(isinstance(name, str) for name in names):
        return list(names), tuple(str(name) for name in names)
    raise InvalidInputError("`then` and `default` name one step or a list of steps")
