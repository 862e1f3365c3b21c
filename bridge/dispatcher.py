"""Carries a prepared call out: attempts with failover, validated JSON, and what is kept of the answer.

Shared by whole and streamed answers; what differs is only how an attempt is made.
"""

from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from bridge.attempt import AttemptStream
from bridge.call_log import CallLog
from bridge.call_preparation import CallPreparation, Parts, Ready, lookup_of
from bridge.call_record import CallContext
from bridge.call_watch import CallWatch
from bridge.catalog.aliases import Route
from bridge.catalog.deployments import Deployment
from bridge.chat import ChatRequest, ChatResponse, StreamChunk
from bridge.decision import Decision, RoutingQuestion
from bridge.embedding import EmbeddingRequest, EmbeddingResponse
from bridge.errors import SchemaViolationError
from bridge.escalation import asked_with_confidence, cascade_of, climb
from bridge.json_types import JsonValue
from bridge.reliability.course import HedgePlan
from bridge.reliability.failover import FailoverPlan, Trial
from bridge.reliability.hedging import HedgeBudgets
from bridge.rerank import RerankRequest, RerankResponse
from bridge.shaping import bound_nano_usd, shaped
from bridge.structured_output import answered_json, re_ask

__all__ = ["Dispatcher", "Opened", "Parts", "Ready", "parsed_answer"]

AnswerT = TypeVar("AnswerT")
MIN_TO_HEDGE = 2


@dataclass(frozen=True, slots=True)
class Opened:
    """A stream after its first content: from here on there is no way back."""

    first: StreamChunk
    rest: AttemptStream
    trial: Trial

    @property
    def target(self) -> Deployment:
        """Who answers."""
        return self.trial.target


class Dispatcher:
    """Carries calls out. One for a bridge."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._preparation = CallPreparation(parts)
        self._hedges = HedgeBudgets()

    async def prepare(self, log: CallLog) -> Ready:
        """Everything up to the first attempt; see CallPreparation.prepare."""
        return await self._preparation.prepare(log)

    def decided(
        self, request: ChatRequest, context: CallContext, route: Route, *, is_stream: bool, is_budgeted: bool
    ) -> Decision:
        """The router's decision on the state of this moment."""
        return self._preparation.decided(request, context, route, is_stream=is_stream, is_budgeted=is_budgeted)

    async def complete(self, ready: Ready, log: CallLog) -> tuple[ChatResponse, JsonValue]:
        """A whole answer, and the validated JSON when one was asked for; an invalid one is asked for once more."""
        target, response = await self._answered(ready, log)
        try:
            return response, parsed_answer(ready.request, response)
        except SchemaViolationError as violation:
            log.re_asks = 1
            again_first = sorted(ready.targets, key=lambda one: one.name != target.name)
            again = re_ask(ready.request, response.text, violation.problem)
            _, response = await self._completed(replace(ready, request=again, targets=tuple(again_first)), log)
            return response, parsed_answer(ready.request, response)

    async def judged(self, ready: Ready, log: CallLog) -> ChatResponse | None:
        """The answer of a cascade, which a stream holds back until it is judged; None when the call is no cascade."""
        if cascade_of(ready.route) is None:
            return None
        _, response = await self._answered(ready, log)
        return response

    async def open_stream(
        self, ready: Ready, log: CallLog, *, until: Callable[[AttemptStream], Awaitable[StreamChunk]] = anext
    ) -> Opened:
        """A stream with its first content, which `until` reads; whatever failed before was made up for elsewhere."""

        async def attempt(trial: Trial) -> Opened:
            asked, watch = shaped(ready.request, trial.target, ready.may_drop), self._watch(ready, log, trial)
            stream = self._parts.runner.stream(asked, trial.target, trial.limits, watch=watch)
            try:
                return Opened(await until(stream), stream, trial)
            except BaseException:
                await stream.aclose()
                raise

        return await self._failed_over(ready, log, attempt, self.close_stream)

    def rescues(self, ready: Ready) -> bool:
        """May another target take up a stream that broke off?"""
        rules = ready.route.rules
        mode = rules.rescue if rules is not None else None
        return (mode or self._parts.config.streams.rescue) == "continue"

    def prolonged(self, ready: Ready) -> Ready:
        """The call with time for another start. A deadline that was set for the call itself stays."""
        if self._has_own_deadline(ready):
            return ready
        return replace(ready, ends_at_s=self._parts.clock.monotonic() + self._parts.config.retry.deadline_s)

    async def embed(
        self, ready: Ready, log: CallLog, request: EmbeddingRequest
    ) -> tuple[Deployment, EmbeddingResponse]:
        """The vectors of one batch, and who made them."""

        async def attempt(trial: Trial) -> tuple[Deployment, EmbeddingResponse]:
            watch = self._watch(ready, log, trial)
            made = await self._parts.runner.embed(request, trial.target, trial.limits, watch=watch)
            return trial.target, made.response

        return await self._failed_over(ready, log, attempt)

    async def rerank(self, ready: Ready, log: CallLog, request: RerankRequest) -> RerankResponse:
        """The ranking, by the first target that gives one."""

        async def attempt(trial: Trial) -> RerankResponse:
            watch = self._watch(ready, log, trial)
            made = await self._parts.runner.rerank(request, trial.target, trial.limits, watch=watch)
            return made.response

        return await self._failed_over(ready, log, attempt)

    async def close_stream(self, opened: Opened) -> None:
        """Stop a stream wherever it is, and settle what it took. Idempotent."""
        await opened.rest.aclose()
        await self._parts.failover.settle(opened.trial.flight)

    async def keep(self, ready: Ready, log: CallLog, response: ChatResponse) -> None:
        """Store the answer for the next one who asks the same, where the alias says so."""
        await self._preparation.answered(ready, log)
        rules = ready.route.rules
        if log.cache == "miss" and rules is not None and not log.is_rescued:
            cost = sum(attempt.cost_nano_usd or 0 for attempt in log.attempts)
            await self._parts.cache.keep(lookup_of(ready, log, rules), response, cost_nano_usd=cost)

    async def _answered(self, ready: Ready, log: CallLog) -> tuple[Deployment, ChatResponse]:
        """The first answer that comes or, of a cascade, the first that will do."""
        rules = cascade_of(ready.route)
        if rules is None:
            return await self._completed(ready, log)
        asked = replace(ready, request=asked_with_confidence(ready.request, rules))

        async def ask(targets: tuple[Deployment, ...]) -> tuple[Deployment, ChatResponse]:
            return await self._completed(replace(asked, targets=targets), log)

        climbed = await climb(ready.targets, _fallback_names(ready.route), ready.request, rules, ask)
        log.decision = climbed.noted_in(log.decision)
        response = climbed.response
        return climbed.target, response if ready.request.logprobs else replace(response, logprobs=None)

    async def _completed(self, ready: Ready, log: CallLog) -> tuple[Deployment, ChatResponse]:
        async def attempt(trial: Trial) -> tuple[Deployment, ChatResponse]:
            asked, watch = shaped(ready.request, trial.target, ready.may_drop), self._watch(ready, log, trial)
            attempted = await self._parts.runner.complete(asked, trial.target, trial.limits, watch=watch)
            return trial.target, attempted.response

        return await self._failed_over(ready, log, attempt)

    async def _failed_over(
        self,
        ready: Ready,
        log: CallLog,
        attempt: Callable[[Trial], Coroutine[Any, Any, AnswerT]],
        discard: Callable[[AnswerT], Awaitable[None]] | None = None,
    ) -> AnswerT:
        """Try the targets in order, with the money of each held before it is asked."""
        parts, rules = self._parts, ready.route.rules

        async def before_attempt(target: Deployment, beside: Deployment | None) -> None:
            if beside is None and not log.attempts:
                return  # `prepare` holds enough for any first attempt
            asked = (target,) if beside is None else (target, beside)
            bounds = (bound_nano_usd(parts.prices, ready.request, one, parts.clock.now()) for one in asked)
            await ready.reservation.cover(log.attempts, sum(bounds))

        question = None if log.decision is None else log.decision.question
        plan = FailoverPlan(
            targets=ready.targets,
            deadline_s=max(ready.ends_at_s - parts.clock.monotonic(), 0.0),
            is_hard_deadline=self._has_own_deadline(ready),
            is_stream=log.is_stream and cascade_of(ready.route) is None,
            fallback=_fallback_names(ready.route),
            on_content_filter=rules.on_content_filter if rules is not None else "stop",
            org_id=log.context.org_id,
            input_tokens=0 if question is None else question.input_tokens,
            max_tokens=0 if question is None else question.input_tokens + _most_output(ready.request, question),
            hedge=self._hedge(ready, log),
            before_attempt=before_attempt if ready.reservation.has_budget else None,
        )
        return await parts.failover.run(plan, attempt, discard=discard)

    def _hedge(self, ready: Ready, log: CallLog) -> HedgePlan | None:
        """The plan to ask a second target too, where the alias wants that and the first one's pace is known."""
        rules = ready.route.rules
        if rules is None or rules.hedge is None or len(ready.targets) < MIN_TO_HEDGE:
            return None
        budget = self._hedges.of(ready.route.requested, rules.hedge)
        first = ready.targets[0].name
        after_s = self._parts.health.slow_s(first, rules.hedge.quantile, is_stream=log.is_stream)
        return None if after_s is None else HedgePlan(after_s, budget)

    def _watch(self, ready: Ready, log: CallLog, trial: Trial) -> CallWatch:
        return CallWatch(log, ready.reservation, self._parts.journal, self._parts.failover, trial.flight)

    @staticmethod
    def _has_own_deadline(ready: Ready) -> bool:
        """Did the request or its alias set a deadline, which then holds for the whole stream too?"""
        rules = ready.route.rules
        return ready.request.deadline_s is not None or (rules is not None and rules.deadline_s is not None)


def _most_output(request: ChatRequest, question: RoutingQuestion) -> int:
    return (request.max_output_tokens or question.output_tokens) * max(request.n, 1)


def _fallback_names(route: Route) -> frozenset[str]:
    return frozenset(deployment.name for option in route.fallback for deployment in option.deployments)


def parsed_answer(request: ChatRequest, response: ChatResponse) -> JsonValue:
    """The validated JSON of the answer; None when none was asked for, or the model calls tools instead.

    Raises:
        SchemaViolationError: The answer is not what was asked for.
    """
    if request.response_format is None or response.tool_calls:
        return None
    return answered_json(response.text, request.response_format)
