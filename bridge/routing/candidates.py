"""Which deployments are eligible for a request, and in plain words why the others are not."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from bridge.catalog.aliases import Option, Route
from bridge.catalog.deployments import Deployment
from bridge.catalog.prices import Prices
from bridge.chat import ChatRequest, ImagePart, RoutingOverrides
from bridge.config import DefaultsConfig
from bridge.decision import Constraints, DeploymentState, Offer, RoutingQuestion, Snapshot
from bridge.money import from_nano_usd
from bridge.tokens import TokenEstimator

SURELY_TOO_LONG = 0.75
"""The token estimate may be a quarter too high: a request is dropped only when even then it does not fit."""
UNKNOWN_STATE = DeploymentState()
DropKind = Literal["off", "feature", "size", "region", "price", "budget", "latency", "quality"]


@dataclass(frozen=True, slots=True)
class RequestFacts:
    """What the gateway knows about a call beside the request."""

    task: str
    is_stream: bool
    is_budgeted: bool
    max_output_tokens: int | None
    """The output limit that will be sent."""
    at: datetime


def ask(
    request: ChatRequest, route: Route, facts: RequestFacts, *, prices: Prices, defaults: DefaultsConfig
) -> RoutingQuestion:
    """The request as the router sees it: needs, constraints, and an offer for every deployment of the route."""
    output_tokens = min(defaults.expected_output_tokens, facts.max_output_tokens or defaults.expected_output_tokens)
    input_tokens = TokenEstimator().input_tokens(route.requested, request)
    rules = route.rules
    weights = rules.score_weights.model_dump() if rules is not None and rules.score_weights is not None else {}

    def offer(option: Option, deployment: Deployment, *, is_fallback: bool) -> Offer:
        expected = prices.expected_nano_usd(deployment, input_tokens, output_tokens, facts.at)
        return _offer(option, deployment, expected, is_fallback=is_fallback)

    offers = [
        one
        for options, is_fallback in ((route.candidates, False), (route.fallback, True))
        for option in options
        for one in (
            [offer(option, deployment, is_fallback=is_fallback) for deployment in option.deployments]
            or [_off(option, is_fallback=is_fallback)]
        )
    ]
    constraints = _constraints(route, request.routing, needs_known_price=facts.is_budgeted)
    return RoutingQuestion(
        requested=route.requested,
        alias=route.alias,
        policy=route.policy,
        task=facts.task,
        offers=_each_once(offers),
        needs=_needs(request, route, is_stream=facts.is_stream),
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        max_output_tokens=request.max_output_tokens,
        constraints=constraints,
        epsilon=rules.epsilon if rules is not None and rules.epsilon is not None else defaults.epsilon,
        latency_target_s=constraints.max_latency_s or defaults.latency_target_ms / 1000,
        score_weights=weights,
    )


@dataclass(frozen=True, slots=True)
class Drop:
    """Why an offer cannot serve a request, as a kind and in plain words."""

    kind: DropKind
    reason: str


def drop_of(offer: Offer, question: RoutingQuestion, snapshot: Snapshot) -> Drop | None:
    """Why the offer cannot serve this request whatever its health; None when it can."""
    constraints = question.constraints
    checks: tuple[tuple[DropKind, str | None], ...] = (
        ("off", offer.off_reason),
        ("feature", _missing_capability(offer, question)),
        ("size", _too_small(offer, question)),
        ("region", _wrong_region(offer, constraints)),
        ("price", _too_dear(offer, constraints)),
        ("budget", _unpriced(offer, constraints)),
        ("latency", _too_slow(offer, constraints, snapshot)),
        ("quality", _too_poor(offer, constraints, snapshot)),
    )
    return next((Drop(kind, reason) for kind, reason in checks if reason is not None), None)


def health_reason(offer: Offer, snapshot: Snapshot) -> str | None:
    """Why the offer should be left alone for now; None when it may be called."""
    state = snapshot.deployments.get(offer.deployment, UNKNOWN_STATE)
    if state.circuit == "open":
        return f"circuit open after failures; may be tried again in {state.retry_at_s:.1f} s"
    if state.circuit == "half_open" and state.retry_at_s > 0:
        return "circuit half open, and a probe is under way"
    if state.retry_at_s > 0:
        return f"asked for a pause of {state.retry_at_s:.1f} s more"
    return None


def _each_once(offers: list[Offer]) -> tuple[Offer, ...]:
    """A fallback that is a candidate already is no second offer."""
    first: dict[str, Offer] = {}
    for offer in offers:
        first.setdefault(offer.deployment, offer)
    return tuple(first.values())


def _offer(option: Option, deployment: Deployment, expected_nano_usd: int | None, *, is_fallback: bool) -> Offer:
    entry = deployment.entry
    regions = {deployment.region} if deployment.region else entry.regions
    return Offer(
        deployment=deployment.name,
        model=entry.name,
        provider=entry.provider,
        is_fallback=is_fallback,
        capabilities=tuple(sorted(entry.capabilities)),
        context_window=entry.context_window,
        max_output_tokens=entry.max_output_tokens,
        regions=tuple(sorted(regions)),
        weight=deployment.weight if option.weight is None else option.weight,
        input_usd_per_mtok=entry.input_usd_per_mtok,
        output_usd_per_mtok=entry.output_usd_per_mtok,
        cost_usd=None if expected_nano_usd is None else float(from_nano_usd(expected_nano_usd)),
    )


def _off(option: Option, *, is_fallback: bool) -> Offer:
    entry = option.entry
    return Offer(entry.name, entry.name, entry.provider, is_fallback, option.off_reason or "off")


def _needs(request: ChatRequest, route: Route, *, is_stream: bool) -> tuple[str, ...]:
    needs = {"chat", "stream"} if is_stream else {"chat"}
    if request.tools:
        needs.add("tools")
    if any(isinstance(part, ImagePart) for message in request.messages for part in message.content):
        needs.add("vision")
    if route.rules is not None:
        needs.update(route.rules.capabilities)
    return tuple(sorted(needs))


def _constraints(route: Route, overrides: RoutingOverrides | None, *, needs_known_price: bool) -> Constraints:
    """The alias's constraints, each tightened or replaced by the request's own."""
    rules, asked = route.rules, overrides or RoutingOverrides()
    alias_latency = rules.max_latency_ms if rules is not None else None
    latency_ms = asked.max_latency_ms or alias_latency
    floor = asked.quality_floor if asked.quality_floor is not None else (rules.quality_floor if rules else None)
    return Constraints(
        context_window=rules.context_window if rules else None,
        regions=tuple(sorted(asked.regions or (rules.regions if rules else ()))),
        max_input_usd_per_mtok=rules.max_input_usd_per_mtok if rules else None,
        max_output_usd_per_mtok=rules.max_output_usd_per_mtok if rules else None,
        max_cost_usd=asked.max_cost_usd,
        max_latency_s=None if latency_ms is None else latency_ms / 1000,
        quality_floor=floor,
        needs_known_price=needs_known_price,
    )


def _missing_capability(offer: Offer, question: RoutingQuestion) -> str | None:
    missing = [need for need in question.needs if need not in offer.capabilities]
    return f"lacks {', '.join(missing)}" if missing else None


def _too_small(offer: Offer, question: RoutingQuestion) -> str | None:
    """Of the prompt only: an output limit is the most a caller wants, so a model that answers less will do."""
    window, wanted = offer.context_window, question.constraints.context_window
    if wanted is not None and (window is None or window < wanted):
        return f"context window of {window or 'unknown'} tokens, {wanted} asked for"
    if window is not None and int(question.input_tokens * SURELY_TOO_LONG) > window:
        return f"context window of {window} tokens is too small for about {question.input_tokens}"
    return None


def _wrong_region(offer: Offer, constraints: Constraints) -> str | None:
    if not constraints.regions or set(constraints.regions) & set(offer.regions):
        return None
    served = ", ".join(offer.regions) or "an unknown region"
    return f"serves from {served}, not from {', '.join(constraints.regions)}"


def _too_dear(offer: Offer, constraints: Constraints) -> str | None:
    limits = (
        (constraints.max_input_usd_per_mtok, offer.input_usd_per_mtok, "per million input tokens"),
        (constraints.max_output_usd_per_mtok, offer.output_usd_per_mtok, "per million output tokens"),
        (constraints.max_cost_usd, offer.cost_usd, "expected for this request"),
    )
    for limit, price, what in limits:
        if limit is not None and price is None:
            return f"its price is unknown, and at most ${limit:g} {what} is allowed"
        if limit is not None and price is not None and price > limit:
            return f"${price:g} {what} is over the limit of ${limit:g}"
    return None


def _unpriced(offer: Offer, constraints: Constraints) -> str | None:
    is_refused = constraints.needs_known_price and offer.cost_usd is None
    return "its price is unknown, and a budget applies" if is_refused else None


def _too_slow(offer: Offer, constraints: Constraints, snapshot: Snapshot) -> str | None:
    limit = constraints.max_latency_s
    p95 = snapshot.deployments.get(offer.deployment, UNKNOWN_STATE).latency_p95_s
    if limit is None or p95 is None or p95 <= limit:
        return None
    return f"p95 latency of {p95:.2f} s is over the limit of {limit:g} s"


def _too_poor(offer: Offer, constraints: Constraints, snapshot: Snapshot) -> str | None:
    floor = constraints.quality_floor
    if floor is None:
        return None
    known = snapshot.quality.get(offer.model)
    if known is None:
        return f"its quality is unknown, and at least {floor:g} is asked for"
    if known.lower_bound < floor:
        return f"quality of at least {known.lower_bound:.2f} is under the floor of {floor:g}"
    return None
