"""A cascade carried out: the cheapest model answers first, and an answer that will not do is asked for higher up."""

import re
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, replace

from bridge.catalog.aliases import Route
from bridge.catalog.deployments import Deployment
from bridge.chat import ChatRequest, ChatResponse
from bridge.config import CascadeConfig
from bridge.decision import Decision, Escalation
from bridge.errors import BudgetExceededError, DeadlineExceededError, NoRouteError, ProviderError, SchemaViolationError
from bridge.json_types import JsonObject
from bridge.structured_output import answered_json

Ask = Callable[[tuple[Deployment, ...]], Awaitable[tuple[Deployment, ChatResponse]]]
"""Asks the first of the targets that can answer: who it was, and the answer."""
BETTER_THAN_NOTHING = (ProviderError, DeadlineExceededError, BudgetExceededError, NoRouteError)
"""After these the answer that was passed over stands after all."""


@dataclass(frozen=True, slots=True)
class Climbed:
    """The answer that stands, who gave it, and what was passed over on the way."""

    target: Deployment
    response: ChatResponse
    escalations: tuple[Escalation, ...] = ()

    def noted_in(self, decision: Decision | None) -> Decision | None:
        """The decision with what became of it."""
        if decision is None or not self.escalations:
            return decision
        return replace(decision, escalations=self.escalations)


def cascade_of(route: Route) -> CascadeConfig | None:
    """The cascade of a route whose policy is one; its rules are the default ones when the alias gives none."""
    if route.policy != "cascade":
        return None
    return (route.rules.cascade if route.rules is not None else None) or CascadeConfig()


def asked_with_confidence(request: ChatRequest, rules: CascadeConfig) -> ChatRequest:
    """The request with the log probabilities that the confidence is read from; where there are none, none is read."""
    return request if rules.min_mean_logprob is None or request.logprobs else replace(request, logprobs=True)


async def climb(
    targets: Sequence[Deployment], fallback: Collection[str], request: ChatRequest, rules: CascadeConfig, ask: Ask
) -> Climbed:
    """Ask upwards until an answer will do, none is left to ask, or `max_escalations` answers were passed over.

    Fallbacks answer when nobody else can; no answer is passed over for theirs. When a better model fails, the answer
    before it stands. Raises what `ask` raises when there is no answer at all.
    """
    left, passed_over = tuple(targets), list[Escalation]()
    best: tuple[Deployment, ChatResponse] | None = None
    while True:
        try:
            target, response = await ask(left)
        except BETTER_THAN_NOTHING:
            if best is None:
                raise
            return Climbed(*best, tuple(passed_over))
        best = target, response
        above = _above(target, left, fallback)
        reason = escalation_reason(response, request, rules)
        if reason is None or not above or len(passed_over) >= rules.max_escalations:
            return Climbed(target, response, tuple(passed_over))
        passed_over.append(Escalation(target.name, reason))
        left = above


def escalation_reason(response: ChatResponse, request: ChatRequest, rules: CascadeConfig) -> str | None:
    """Why the answer will not do, in plain words; None when it will."""
    text, calls_tools = response.text.strip(), bool(response.tool_calls)
    if response.refusal:
        return "it refused"
    if not calls_tools and len(text) < rules.min_chars:
        return f"{len(text)} characters, at least {rules.min_chars} wanted"
    if rules.on_length and response.finish_reason == "length":
        return "cut by the token limit"
    refused = next((pattern for pattern in rules.refusal_patterns if re.search(pattern, text)), None)
    if refused is not None:
        return f"matches the refusal pattern {refused!r}"
    confidence = mean_logprob(response.logprobs)
    if rules.min_mean_logprob is not None and confidence is not None and confidence < rules.min_mean_logprob:
        return f"mean log probability of {confidence:.2f}, at least {rules.min_mean_logprob:g} wanted"
    return None if calls_tools else _schema_problem(response, request)


def mean_logprob(logprobs: JsonObject | None) -> float | None:
    """The mean over all tokens (`content[].logprob`, as OpenAI writes them); None where there are none."""
    tokens = logprobs.get("content") if logprobs is not None else None
    if not isinstance(tokens, (list, tuple)):
        return None
    found = [token.get("logprob") for token in tokens if isinstance(token, dict)]
    known = [float(one) for one in found if isinstance(one, int | float)]
    return sum(known) / len(known) if known else None


def _above(target: Deployment, targets: tuple[Deployment, ...], fallback: Collection[str]) -> tuple[Deployment, ...]:
    """What comes after `target`; nothing when that is fallbacks alone."""
    rest = targets[targets.index(target) + 1 :]
    return rest if any(one.name not in fallback for one in rest) else ()


def _schema_problem(response: ChatResponse, request: ChatRequest) -> str | None:
    if request.response_format is None:
        return None
    try:
        answered_json(response.text, request.response_format)
    except SchemaViolationError as violation:
        return f"not the JSON that was asked for: {violation.problem}"
    return None
