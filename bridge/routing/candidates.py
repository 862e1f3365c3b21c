"""Which deployments are eligible for a request, and in plain words why the others are not."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from bridge.decision import DeploymentState, Offer, RoutingQuestion, Snapshot
from bridge.geo import is_within
from bridge.routing.ranking import UNKNOWN_STATE, expected_output_tokens

SURELY_TOO_LONG = 0.75
"""The token estimate may be a quarter too high: a request is dropped only when even then it does not fit."""
DropKind = Literal[
    "off", "policy", "feature", "size", "tags", "region", "deprecated", "price", "budget", "latency", "quality"
]


@dataclass(frozen=True, slots=True)
class Drop:
    """Why an offer cannot serve a request, as a kind and in plain words."""

    kind: DropKind
    reason: str


Check = Callable[[Offer, RoutingQuestion, Snapshot], str | None]
Checks = tuple[tuple[DropKind, Check], ...]


def checks_of(question: RoutingQuestion) -> Checks:
    """The checks that this question calls for, in the order in which their reasons are told."""
    limits = question.constraints
    has_price_limit = (limits.max_input_usd_per_mtok, limits.max_output_usd_per_mtok, limits.max_cost_usd) != NO_LIMITS
    every: tuple[tuple[DropKind, Check, bool], ...] = (
        ("off", _off, any(offer.off_reason is not None for offer in question.offers)),
        ("policy", _not_allowed, limits.allowed_models is not None),
        ("feature", _missing_capability, bool(question.needs)),
        ("feature", _cannot_honour, any(offer.lacks for offer in question.offers)),
        ("size", _too_small, True),
        ("tags", _missing_tag, bool(limits.tags)),
        ("region", _wrong_region, bool(limits.regions)),
        ("region", _outside_residency, question.geo is not None and question.geo.is_strict),
        ("deprecated", _deprecated, limits.served_on is not None),
        ("price", _too_dear, has_price_limit),
        ("budget", _unpriced, limits.needs_known_price),
        ("latency", _too_slow, limits.max_latency_s is not None),
        ("quality", _too_poor, limits.quality_floor is not None),
    )
    return tuple((kind, check) for kind, check, is_asked in every if is_asked)


def drop_of(offer: Offer, question: RoutingQuestion, snapshot: Snapshot, checks: Checks | None = None) -> Drop | None:
    """Why the offer cannot serve this request whatever its health; None when it can.

    `checks` are those of the question, when many offers are asked about.
    """
    for kind, check in checks_of(question) if checks is None else checks:
        reason = check(offer, question, snapshot)
        if reason is not None:
            return Drop(kind, reason)
    return None


def health_reason(offer: Offer, snapshot: Snapshot) -> str | None:
    """Why the offer should be left alone for now; None when it may be called."""
    state = snapshot.deployments.get(offer.deployment)
    return None if state is None else resting_reason(offer, state)


def resting_reason(offer: Offer, state: DeploymentState) -> str | None:
    """Why the offer, in this state, should be left alone for now."""
    limit = offer.in_flight_limit
    if limit is not None and state.in_flight >= limit:
        return f"{state.in_flight} calls in flight, as many as it takes"
    if state.wait_s <= 0 and state.retry_at_s <= 0 and state.circuit == "closed":
        return None
    return _unhealthy(state)


def _unhealthy(state: DeploymentState) -> str | None:
    if state.circuit == "open":
        return f"circuit open after failures; may be tried again in {state.retry_at_s:.1f} s"
    if state.circuit == "half_open" and state.retry_at_s > 0:
        return "circuit half open, and a probe is under way"
    if state.retry_at_s > 0:
        return f"asked for a pause of {state.retry_at_s:.1f} s more"
    return f"rate limit reached, room in {state.wait_s:.1f} s" if state.wait_s > 0 else None


def dropped_features(offer: Offer, question: RoutingQuestion) -> tuple[str, ...]:
    """What the request asks for and is sent there without, since the alias allows it."""
    return tuple(feature for feature in offer.lacks if feature in question.may_drop) if offer.lacks else ()


NO_LIMITS = (None, None, None)


def _off(offer: Offer, question: RoutingQuestion, snapshot: Snapshot) -> str | None:
    del question, snapshot
    return offer.off_reason


def _not_allowed(offer: Offer, question: RoutingQuestion, snapshot: Snapshot) -> str | None:
    del snapshot
    allowed = question.constraints.allowed_models or ()
    names = (offer.model, f"{offer.provider}/*", question.requested, "*")
    return None if any(name in allowed for name in names) else "the caller may not use it"


def _missing_capability(offer: Offer, question: RoutingQuestion, snapshot: Snapshot) -> str | None:
    del snapshot
    for need in question.needs:
        if need not in offer.capabilities:
            return f"lacks {', '.join(each for each in question.needs if each not in offer.capabilities)}"
    return None


def _cannot_honour(offer: Offer, question: RoutingQuestion, snapshot: Snapshot) -> str | None:
    del snapshot
    if not offer.lacks:
        return None
    missing = [feature for feature in offer.lacks if feature not in question.may_drop]
    return f"cannot honour {', '.join(missing)}" if missing else None


def _too_small(offer: Offer, question: RoutingQuestion, snapshot: Snapshot) -> str | None:
    """Of the prompt only: an output limit is the most a caller wants, so a model that answers less will do."""
    del snapshot
    window, wanted = offer.context_window, question.constraints.context_window
    if wanted is not None and (window is None or window < wanted):
        return f"context window of {window or 'unknown'} tokens, {wanted} asked for"
    if window is not None and int(question.input_tokens * SURELY_TOO_LONG) > window:
        return f"context window of {window} tokens is too small for about {question.input_tokens}"
    return None


def _missing_tag(offer: Offer, question: RoutingQuestion, snapshot: Snapshot) -> str | None:
    del snapshot
    missing = [tag for tag in question.constraints.tags if tag not in offer.tags]
    return f"is not tagged {', '.join(missing)}" if missing else None


def _wrong_region(offer: Offer, question: RoutingQuestion, snapshot: Snapshot) -> str | None:
    del snapshot
    wanted = question.constraints.regions
    if any(is_within(region, area) for region in offer.regions for area in wanted):
        return None
    return f"serves from {_served_from(offer)}, not from {', '.join(wanted)}"


def _outside_residency(offer: Offer, question: RoutingQuestion, snapshot: Snapshot) -> str | None:
    """Every region that it may serve from has to lie inside."""
    del snapshot
    home = question.geo.home if question.geo is not None else None
    if home is None:
        return "nothing says where the request may be served, and it must not leave"
    if offer.regions and all(is_within(region, home) for region in offer.regions):
        return None
    return f"serves from {_served_from(offer)}, and the request must stay in {home}"


def _deprecated(offer: Offer, question: RoutingQuestion, snapshot: Snapshot) -> str | None:
    del snapshot
    today, ends = question.constraints.served_on, offer.deprecated_on
    return f"deprecated since {ends}" if ends is not None and today is not None and ends <= today else None


def _too_dear(offer: Offer, question: RoutingQuestion, snapshot: Snapshot) -> str | None:
    constraints = question.constraints
    limits = (
        (constraints.max_input_usd_per_mtok, offer.input_usd_per_mtok, "per million input tokens"),
        (constraints.max_output_usd_per_mtok, offer.output_usd_per_mtok, "per million output tokens"),
        (constraints.max_cost_usd, _cost_usd(offer, question, snapshot), "expected for this request"),
    )
    for limit, price, what in limits:
        if limit is not None and price is None:
            return f"its price is unknown, and at most ${limit:g} {what} is allowed"
        if limit is not None and price is not None and price > limit:
            return f"${price:g} {what} is over the limit of ${limit:g}"
    return None


def _unpriced(offer: Offer, question: RoutingQuestion, snapshot: Snapshot) -> str | None:
    del question, snapshot
    is_unknown = offer.input_usd_per_mtok is None or offer.output_usd_per_mtok is None
    return "its price is unknown, and a budget applies" if is_unknown else None


def _too_slow(offer: Offer, question: RoutingQuestion, snapshot: Snapshot) -> str | None:
    limit = question.constraints.max_latency_s
    p95 = snapshot.deployments.get(offer.deployment, UNKNOWN_STATE).latency_p95_s
    if limit is None or p95 is None or p95 <= limit:
        return None
    return f"p95 latency of {p95:.2f} s is over the limit of {limit:g} s"


def _too_poor(offer: Offer, question: RoutingQuestion, snapshot: Snapshot) -> str | None:
    floor = question.constraints.quality_floor
    if floor is None:
        return None
    known = snapshot.quality.get(offer.model)
    if known is None:
        return f"its quality is unknown, and at least {floor:g} is asked for"
    if known.lower_bound < floor:
        return f"quality of at least {known.lower_bound:.2f} is under the floor of {floor:g}"
    return None


def _cost_usd(offer: Offer, question: RoutingQuestion, snapshot: Snapshot) -> float | None:
    state = snapshot.deployments.get(offer.deployment, UNKNOWN_STATE)
    return offer.cost_usd(question.input_tokens, expected_output_tokens(state, question), state.cached_share)


def _served_from(offer: Offer) -> str:
    return ", ".join(offer.regions) or "an unknown region"
