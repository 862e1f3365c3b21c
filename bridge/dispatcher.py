"""Takes one call from its request to an answer: resolve, cache, budget, decide, fail over, validate.

Shared by whole and streamed answers; what differs is only how an attempt is made.
"""

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import TypeVar

from bridge.attempt import AttemptLimits, AttemptRunner, AttemptStream
from bridge.budgets import attempt_bound_nano_usd, scopes_of
from bridge.caching.exact import ExactCache
from bridge.call_log import CallLog
from bridge.call_record import AttemptRecord, BudgetLedger, CallContext
from bridge.catalog.aliases import Aliases, Route
from bridge.catalog.deployments import Deployment
from bridge.catalog.prices import Prices
from bridge.chat import ChatRequest, ChatResponse, StreamChunk
from bridge.clock import Clock
from bridge.config import BridgeConfig
from bridge.decision import Decision
from bridge.errors import BudgetExceededError, SchemaViolationError
from bridge.identifiers import NewId
from bridge.json_types import JsonValue
from bridge.learning.quality import QualitySource
from bridge.money import usd_number
from bridge.reliability.failover import Failover, FailoverPlan
from bridge.reliability.health_book import HealthBook
from bridge.reservation import Reservation
from bridge.router import Router, RouterParts
from bridge.routing.no_route import no_route_error
from bridge.routing.policy import without
from bridge.state_store import StateStore
from bridge.structured_output import answered_json, re_ask, schema_problem, shaped_for

AnswerT = TypeVar("AnswerT")


@dataclass(frozen=True, slots=True)
class Parts:
    """What the dispatcher works with."""

    config: BridgeConfig
    aliases: Aliases
    prices: Prices
    health: HealthBook
    failover: Failover
    runner: AttemptRunner
    cache: ExactCache
    quality: QualitySource
    ledger: BudgetLedger | None
    clock: Clock
    new_id: NewId
    rng: random.Random
    state: StateStore | None = None
    """Shared by processes; None: each has its own."""


@dataclass(frozen=True, slots=True)
class Ready:
    """A call that may be dispatched, or whose answer was in the cache."""

    request: ChatRequest
    """With the output limit that is sent."""
    route: Route
    reservation: Reservation
    targets: tuple[Deployment, ...] = ()
    ends_at_s: float = 0.0
    cached: ChatResponse | None = None

    @property
    def served_by(self) -> str:
        """The models that may answer, for the cache's key."""
        options = (*self.route.candidates, *self.route.fallback)
        return f"{self.route.requested}={','.join(option.entry.name for option in options)}"


@dataclass(frozen=True, slots=True)
class Opened:
    """A stream after its first content: from here on there is no way back."""

    first: StreamChunk
    rest: AttemptStream
    target: Deployment


class Dispatcher:
    """Carries calls out. One for a bridge."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._router = Router(
            RouterParts(
                config=parts.config,
                prices=parts.prices,
                health=parts.health,
                quality=parts.quality,
                clock=parts.clock,
                new_id=parts.new_id,
                rng=parts.rng,
                state=parts.state,
            )
        )

    async def prepare(self, log: CallLog) -> Ready:
        """Everything up to the first attempt. Fills the log's alias, cache outcome and decision.

        Raises:
            UnknownModelError: Nothing is called that.
            UnsupportedFeatureError, NoRouteError: No candidate is eligible.
            BudgetExceededError: The only candidates cannot be priced, and a budget applies.
        """
        request, context = log.request, log.context
        route = self._parts.aliases.resolve(request.model, request.routing)
        log.alias = route.alias
        if request.response_format is not None and request.response_format.schema is not None:
            schema_problem(None, request.response_format.schema)
        reservation = Reservation(self._parts.ledger, context.org_id, scopes_of(context, route.alias))
        ready = Ready(request, route, reservation)
        cached = await self._cached(ready, log)
        if cached is not None:
            return replace(ready, cached=cached)
        is_budgeted = await reservation.is_budgeted()
        request = self._limited(request, route, is_budgeted=is_budgeted)
        log.decision = self._router.decided(
            request,
            context,
            route,
            is_stream=log.is_stream,
            is_budgeted=is_budgeted,
            bound_to=await self._router.bound_to(route, log.request, context),
        )
        if not log.decision.attempts:
            raise no_route_error(log.decision)
        ready = replace(
            ready, request=request, ends_at_s=self._parts.clock.monotonic() + self._deadline_s(request, route)
        )
        if is_budgeted:
            log.decision = await self._afforded(ready, log.decision)
        known = route.deployments()
        return replace(ready, targets=tuple(known[name] for name in log.decision.attempts))

    def decided(
        self, request: ChatRequest, context: CallContext, route: Route, *, is_stream: bool, is_budgeted: bool
    ) -> Decision:
        """The router's decision on the state of this moment."""
        return self._router.decided(request, context, route, is_stream=is_stream, is_budgeted=is_budgeted)

    async def _afforded(self, ready: Ready, decision: Decision) -> Decision:
        """The decision with its dearest attempt's money held, taken again without what the budget cannot bear.

        Raises:
            BudgetExceededError: Not even the least expensive target fits. Nothing is held then.
        """
        bounds = {name: self._bound(ready, one) for name, one in ready.route.deployments().items()}
        while True:
            try:
                await ready.reservation.cover((), max(bounds[name] for name in decision.attempts))
            except BudgetExceededError as refusal:
                left = refusal.left_nano_usd
                dear = {name: _too_dear(bounds[name], left) for name in decision.attempts if bounds[name] > left}
                decision = without(decision, dear)
                if not dear or not decision.attempts:
                    raise
            else:
                return decision

    async def complete(self, ready: Ready, log: CallLog) -> tuple[ChatResponse, JsonValue]:
        """A whole answer, and the validated JSON when one was asked for; an invalid one is asked for once more."""
        target, response = await self._completed(ready, log)
        try:
            return response, parsed_answer(ready.request, response)
        except SchemaViolationError as violation:
            log.re_asks = 1
            others = tuple(one for one in ready.targets if one is not target)
            again = re_ask(ready.request, response.text, violation.problem)
            _, response = await self._completed(replace(ready, request=again, targets=(target, *others)), log)
            return response, parsed_answer(ready.request, response)

    async def open_stream(self, ready: Ready, log: CallLog) -> Opened:
        """A stream with its first content; whatever failed before it was made up for elsewhere."""

        async def attempt(target: Deployment, limits: AttemptLimits) -> Opened:
            stream = self._parts.runner.stream(
                self._shaped(ready.request, target), target, limits, on_record=self._on_record(log)
            )
            try:
                return Opened(await anext(stream), stream, target)
            except BaseException:
                await stream.aclose()
                raise

        return await self._failed_over(ready, log, attempt)

    async def keep(self, ready: Ready, log: CallLog, response: ChatResponse) -> None:
        """Store the answer for the next one who asks the same, where the alias says so."""
        await self._router.answered(ready.route, log)
        rules = ready.route.rules
        if log.cache == "miss" and rules is not None:
            await self._parts.cache.keep(
                log.context.org_id, log.request, ready.served_by, response, alias_ttl_s=rules.cache_ttl_s
            )

    async def _completed(self, ready: Ready, log: CallLog) -> tuple[Deployment, ChatResponse]:
        async def attempt(target: Deployment, limits: AttemptLimits) -> tuple[Deployment, ChatResponse]:
            shaped = self._shaped(ready.request, target)
            attempted = await self._parts.runner.complete(shaped, target, limits, on_record=self._on_record(log))
            return target, attempted.response

        return await self._failed_over(ready, log, attempt)

    async def _failed_over(
        self, ready: Ready, log: CallLog, attempt: Callable[[Deployment, AttemptLimits], Awaitable[AnswerT]]
    ) -> AnswerT:
        """Try the targets in order, with the money of each held before it is asked."""
        parts, rules = self._parts, ready.route.rules

        async def before_attempt(target: Deployment) -> None:
            if ready.reservation.has_budget:
                await ready.reservation.cover(log.attempts, self._bound(ready, target))

        plan = FailoverPlan(
            targets=ready.targets,
            deadline_s=max(ready.ends_at_s - parts.clock.monotonic(), 0.0),
            is_hard_deadline=self._has_own_deadline(ready),
            is_stream=log.is_stream,
            fallback=frozenset(deployment.name for option in ready.route.fallback for deployment in option.deployments),
            on_content_filter=rules.on_content_filter if rules is not None else "stop",
            before_attempt=before_attempt,
        )
        return await parts.failover.run(plan, attempt)

    def _bound(self, ready: Ready, target: Deployment) -> int:
        """What one attempt there costs at most; 0 when unknown, which no budget lets through."""
        now = self._parts.clock.now()
        return attempt_bound_nano_usd(self._parts.prices, self._shaped(ready.request, target), target, now) or 0

    async def _cached(self, ready: Ready, log: CallLog) -> ChatResponse | None:
        if ready.route.rules is None or ready.route.rules.cache == "off":
            return None
        found = await self._parts.cache.find(log.context.org_id, log.request, ready.served_by)
        log.cache = "miss" if found is None else "hit"
        return found

    def _limited(self, request: ChatRequest, route: Route, *, is_budgeted: bool) -> ChatRequest:
        """The request with the output limit that will be sent: its own, the alias's, or a default under a budget."""
        if request.max_output_tokens is not None:
            return request
        limit = route.rules.max_tokens if route.rules is not None else None
        if limit is None and is_budgeted:
            limit = self._parts.config.defaults.max_tokens
        return request if limit is None else replace(request, max_output_tokens=limit)

    def _shaped(self, request: ChatRequest, target: Deployment) -> ChatRequest:
        """The request as this target takes it: its way of asking for JSON, its largest answer."""
        shaped = shaped_for(request, target)
        largest, asked = target.entry.max_output_tokens, shaped.max_output_tokens
        if largest is None or asked is None or asked <= largest:
            return shaped
        return replace(shaped, max_output_tokens=largest)

    def _on_record(self, log: CallLog) -> Callable[[AttemptRecord], None]:
        def on_record(record: AttemptRecord) -> None:
            log.attempted(record)
            self._parts.health.observe(record, self._parts.clock.monotonic())

        return on_record

    def _deadline_s(self, request: ChatRequest, route: Route) -> float:
        alias_s = route.rules.deadline_s if route.rules is not None else None
        return request.deadline_s or alias_s or self._parts.config.retry.deadline_s

    @staticmethod
    def _has_own_deadline(ready: Ready) -> bool:
        """Did the request or its alias set a deadline, which then holds for the whole stream too?"""
        rules = ready.route.rules
        return ready.request.deadline_s is not None or (rules is not None and rules.deadline_s is not None)


def _too_dear(bound_nano_usd: int, left_nano_usd: int) -> str:
    bound, left = usd_number(bound_nano_usd), usd_number(left_nano_usd)
    return f"it may cost up to ${bound:.6f}, and ${left:.6f} of the budget is left"


def parsed_answer(request: ChatRequest, response: ChatResponse) -> JsonValue:
    """The validated JSON of the answer; None when none was asked for, or the model calls tools instead.

    Raises:
        SchemaViolationError: The answer is not what was asked for.
    """
    if request.response_format is None or response.tool_calls:
        return None
    return answered_json(response.text, request.response_format)
