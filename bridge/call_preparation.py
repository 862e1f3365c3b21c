"""Everything up to the first attempt of a call: resolve, look into the cache, limit, decide, hold the money."""

import random
from dataclasses import dataclass, replace

from bridge.affordability import Purchase, afford, longest_answer
from bridge.attempt import AttemptRunner
from bridge.budgets import scopes_of
from bridge.caching.answer_cache import AnswerCache, Lookup
from bridge.call_log import CallLog
from bridge.call_record import CallContext, CallJournal
from bridge.catalog.aliases import Aliases, Route
from bridge.catalog.deployments import Deployment
from bridge.catalog.prices import Prices
from bridge.chat import ChatRequest, ChatResponse
from bridge.clock import Clock
from bridge.config import AliasConfig, BridgeConfig
from bridge.decision import Decision
from bridge.escalation import cascade_of
from bridge.identifiers import NewId
from bridge.learning.quality import QualitySource
from bridge.lease_pool import LeasePool
from bridge.reliability.failover import Failover
from bridge.reliability.health_book import HealthBook
from bridge.reservation import Reservation
from bridge.router import Router, RouterParts
from bridge.routing.no_route import no_route_error
from bridge.snapshots import RoomSource
from bridge.state_store import StateStore
from bridge.structured_output import schema_problem


@dataclass(frozen=True, slots=True)
class Parts:
    """What calls are carried out with."""

    config: BridgeConfig
    aliases: Aliases
    prices: Prices
    health: HealthBook
    failover: Failover
    runner: AttemptRunner
    cache: AnswerCache
    quality: QualitySource
    leases: LeasePool | None
    clock: Clock
    new_id: NewId
    rng: random.Random
    state: StateStore | None = None
    """Shared by processes; None: each has its own."""
    throttle: RoomSource | None = None
    """None: no provider set a limit."""
    journal: CallJournal | None = None
    """Where attempts are written down before they are sent; None: nowhere."""


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
    def may_drop(self) -> frozenset[str]:
        """Features that may go unheeded: of the alias, of the request, and what a cascade asks for on its own."""
        rules, routing = self.route.rules, self.request.routing
        own = frozenset({"logprobs"}) if cascade_of(self.route) is not None else frozenset[str]()
        if routing is not None and routing.may_drop:
            own |= routing.may_drop
        return own if rules is None else rules.may_drop | own

    @property
    def served_by(self) -> str:
        """The models that may answer, for the cache's key."""
        options = (*self.route.candidates, *self.route.fallback)
        return f"{self.route.requested}={','.join(option.entry.name for option in options)}"


def lookup_of(ready: Ready, log: CallLog, rules: AliasConfig) -> Lookup:
    """The call as its cache sees it."""
    return Lookup(
        log.call_id,
        log.context.org_id,
        ready.route.requested,
        log.request,
        ready.served_by,
        rules,
        deadline_s=log.request.deadline_s or rules.deadline_s,
        is_stream=log.is_stream,
    )


class CallPreparation:
    """Prepares calls. One for a bridge."""

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
                throttle=parts.throttle,
            )
        )

    async def prepare(self, log: CallLog) -> Ready:
        """Everything up to the first attempt. Fills the log's alias, cache outcome and decision.

        Raises:
            UnknownModelError: Nothing is called that.
            UnsupportedFeatureError, NoRouteError: No candidate is eligible.
            BudgetExceededError: A budget applies, and the candidates cannot be priced or are too dear for it.
            BudgetUnavailableError: A budget applies, and nobody can say what is left of it.
        """
        request, context, began_s = log.request, log.context, self._parts.clock.monotonic()
        route = self._parts.aliases.resolve(request.model, request.routing)
        log.alias = route.alias
        if request.response_format is not None and request.response_format.schema is not None:
            schema_problem(None, request.response_format.schema)
        reservation = Reservation(
            self._parts.leases,
            context.org_id,
            scopes_of(context, route.alias),
            call_id=log.call_id,
            started_at=log.started_at,
        )
        ready = Ready(request, route, reservation)
        cached = await self._cached(ready, log)
        if cached is not None:
            return replace(ready, cached=cached)
        is_budgeted = await reservation.is_budgeted()
        if log.kind == "chat":
            request = self._limited(request, route, is_budgeted=is_budgeted, is_direct=context.run_id is None)
        log.decision = self._router.decided(
            request,
            context,
            route,
            is_stream=log.is_stream,
            is_budgeted=is_budgeted,
            bound_to=await self._router.bound_to(route, log.request, context) if log.kind == "chat" else None,
            kind=log.kind,
        )
        if not log.decision.attempts:
            raise no_route_error(log.decision)
        ends_at_s = began_s + self._deadline_s(request, route)
        known = route.deployments()
        if is_budgeted:
            wanted = Purchase(request, log.decision, known, _is_open_ended(log, route))
            bought = await afford(wanted, reservation, self._parts.prices, self._parts.clock.now())
            request, log.decision = bought.request, bought.decision
        targets = tuple(known[name] for name in log.decision.attempts)
        return Ready(request, route, reservation, targets, ends_at_s)

    def decided(
        self, request: ChatRequest, context: CallContext, route: Route, *, is_stream: bool, is_budgeted: bool
    ) -> Decision:
        """The router's decision on the state of this moment."""
        return self._router.decided(request, context, route, is_stream=is_stream, is_budgeted=is_budgeted)

    async def answered(self, ready: Ready, log: CallLog) -> None:
        """The call has its answer: the router learns from it."""
        await self._router.answered(ready.route, log)

    async def _cached(self, ready: Ready, log: CallLog) -> ChatResponse | None:
        if ready.route.rules is None or ready.route.rules.cache == "off" or log.kind != "chat":
            return None
        found = await self._parts.cache.find(lookup_of(ready, log, ready.route.rules))
        log.cache = "miss" if found is None else "hit"
        if found is None:
            return None
        log.cache_similarity = found.similarity
        return found.response

    def _limited(self, request: ChatRequest, route: Route, *, is_budgeted: bool, is_direct: bool) -> ChatRequest:
        """The request with the output limit that will be sent: its own, the alias's, or one that a budget needs."""
        if request.max_output_tokens is not None:
            return request
        limit = route.rules.max_tokens if route.rules is not None else None
        if limit is None and is_budgeted:
            default = self._parts.config.defaults.max_tokens
            limit = longest_answer(route.deployments(), default) if is_direct else default
        return request if limit is None else replace(request, max_output_tokens=limit)

    def _deadline_s(self, request: ChatRequest, route: Route) -> float:
        alias_s = route.rules.deadline_s if route.rules is not None else None
        return request.deadline_s or alias_s or self._parts.config.retry.deadline_s


def _is_open_ended(log: CallLog, route: Route) -> bool:
    """Did nobody set the output limit, so that it may be lowered to what a budget bears?"""
    is_unset = log.request.max_output_tokens is None and (route.rules is None or route.rules.max_tokens is None)
    return log.kind == "chat" and log.context.run_id is None and is_unset
