"""Policies that look at one thing: place, weight, turn, load, price, speed or distance."""

import math
from collections.abc import Sequence

from bridge.decision import RoutingQuestion, Snapshot
from bridge.geo import distance_km
from bridge.routing.draws import Draws
from bridge.routing.ranking import Ranking, Scored, near_best, two_choices

NEAR_PRICE = 0.10
NEAR_LATENCY = 0.10
"""Within these shares of the best, offers count as equal and load decides."""
SHARED_LATENCY = 0.30
"""`latency` spreads the calls over all that are as quick as this."""
PRICE_EXPONENT = -2.0
"""Half the price, four times the chance to be drawn. Source: OpenRouter docs, "Provider routing"."""


def priority(offers: Sequence[Scored], question: RoutingQuestion, snapshot: Snapshot, rng: Draws) -> Ranking:
    """As listed."""
    del question, snapshot, rng
    order = as_listed(offers)
    reasons = {one.name: f"number {rank + 1} as listed" for rank, one in enumerate(order)}
    return Ranking(order, {order[0].name: 1.0}, reasons)


def weighted(offers: Sequence[Scored], question: RoutingQuestion, snapshot: Snapshot, rng: Draws) -> Ranking:
    """At random, each in proportion to its weight; the rest the same way, without replacement.

    Source: Efraimidis and Spirakis, "Weighted random sampling with a reservoir" (2006).
    """
    del question, snapshot
    total = sum(one.weight for one in offers)
    if total <= 0:
        return _at_random(offers, rng, "all weights are 0: drawn evenly")
    keys = {one.name: _arrival(one.weight, rng) for one in as_listed(offers)}
    order = tuple(sorted(offers, key=lambda one: (keys[one.name], one.position)))
    first = {one.name: one.weight / total for one in offers}
    of_all = f" of {total:g}"
    reasons = {one.name: f"drawn with weight {one.weight:g}{of_all}" for one in offers}
    return Ranking(order, first, reasons)


def round_robin(offers: Sequence[Scored], question: RoutingQuestion, snapshot: Snapshot, rng: Draws) -> Ranking:
    """Each in turn; the next ones in line are the fallbacks."""
    del question, rng
    listed = as_listed(offers)
    start = snapshot.turn % len(listed)
    order = (*listed[start:], *listed[:start])
    reasons = {one.name: f"{rank} places after whose turn it is" for rank, one in enumerate(order)}
    reasons[order[0].name] = "its turn"
    return Ranking(order, {order[0].name: 1.0}, reasons)


def least_busy(offers: Sequence[Scored], question: RoutingQuestion, snapshot: Snapshot, rng: Draws) -> Ranking:
    """Fewest calls in flight for its weight; equals at random."""
    del question, snapshot
    busy = {one.name: (one.state.in_flight + 1) / max(one.weight, 1e-9) for one in offers}
    order = sorted(offers, key=lambda one: (busy[one.name], one.position))
    least = busy[order[0].name]
    equals = [one for one in order if busy[one.name] == least]
    if len(equals) > 1:
        start = int(rng.random() * len(equals))
        order[: len(equals)] = [*equals[start:], *equals[:start]]
    reasons = {one.name: f"{one.state.in_flight} calls in flight at weight {one.weight:g}" for one in offers}
    return Ranking(tuple(order), {one.name: 1 / len(equals) for one in equals}, reasons)


def cheapest(offers: Sequence[Scored], question: RoutingQuestion, snapshot: Snapshot, rng: Draws) -> Ranking:
    """Lowest effective price; near-equals share the calls by price^-2 and load; unknown prices last."""
    del question, snapshot
    known = [one for one in offers if one.cost_usd is not None]
    unknown = as_listed([one for one in offers if one.cost_usd is None])
    reasons = {one.name: priced(one) for one in offers}
    if not known:
        return Ranking(unknown, {unknown[0].name: 1.0}, reasons)
    near, rest = near_best(known, lambda one: one.cost_usd or 0.0, tolerance=NEAR_PRICE)
    chances = [
        1.0 if not one.cost_usd else (one.cost_usd / (near[-1].cost_usd or 1.0)) ** PRICE_EXPONENT for one in near
    ]
    head, first = two_choices(near, rng, chances)
    return Ranking((*head, *rest, *unknown), first, reasons)


def fastest(offers: Sequence[Scored], question: RoutingQuestion, snapshot: Snapshot, rng: Draws) -> Ranking:
    """Lowest predicted latency; equals by load."""
    del question, snapshot
    near, rest = near_best(offers, lambda one: one.latency_s, tolerance=NEAR_LATENCY)
    head, first = two_choices(near, rng)
    return Ranking((*head, *rest), first, {one.name: _speed(one) for one in offers})


def latency(offers: Sequence[Scored], question: RoutingQuestion, snapshot: Snapshot, rng: Draws) -> Ranking:
    """Lowest predicted latency, but all that are about as quick share the traffic by weight and load."""
    del question, snapshot
    near, rest = near_best(offers, lambda one: one.latency_s, tolerance=SHARED_LATENCY)
    head, first = two_choices(near, rng, [one.weight for one in near])
    return Ranking((*head, *rest), first, {one.name: _speed(one) for one in offers})


def geo(offers: Sequence[Scored], question: RoutingQuestion, snapshot: Snapshot, rng: Draws) -> Ranking:
    """Nearest to the caller first; what serves from an unknown place last; equals by load."""
    home = question.geo.home if question.geo is not None else None
    if home is None:
        listed = priority(offers, question, snapshot, rng)
        return Ranking(listed.order, listed.first, dict.fromkeys(listed.reasons, "nobody said where the caller is"))
    far = {one.name: _distance_km(one, home) for one in offers}
    order = sorted(offers, key=lambda one: (far[one.name], one.load, one.position))
    equals = [one for one in order if far[one.name] == far[order[0].name]]
    head, first = two_choices(equals, rng)
    return Ranking((*head, *order[len(equals) :]), first, {one.name: _distance(one, far[one.name]) for one in offers})


def cascade(offers: Sequence[Scored], question: RoutingQuestion, snapshot: Snapshot, rng: Draws) -> Ranking:
    """Lowest expected cost first, unknown prices last: the order in which answers are asked for and judged."""
    del question, snapshot, rng
    order = tuple(sorted(offers, key=lambda one: (_cost(one), one.position)))
    reasons = {one.name: f"step {step + 1}: {priced(one)}" for step, one in enumerate(order)}
    return Ranking(order, {order[0].name: 1.0}, reasons)


def as_listed(offers: Sequence[Scored]) -> tuple[Scored, ...]:
    """In the alias's order."""
    return tuple(sorted(offers, key=lambda one: one.position))


def priced(one: Scored) -> str:
    """Its expected cost in words, with what the estimate rests on."""
    if one.cost_usd is None:
        return "its price is unknown"
    cached = one.state.cached_share
    counted = f", {cached:.0%} of its input cached" if cached and one.offer.is_cheaper_when_cached else ""
    return f"${one.cost_usd:.6f} expected for this request{counted}"


def _cost(one: Scored) -> float:
    return math.inf if one.cost_usd is None else one.cost_usd


def _speed(one: Scored) -> str:
    measured = "" if one.state.ttft_s is not None else " (not measured yet)"
    return f"{one.latency_s:.2f} s predicted{measured}"


def _distance_km(one: Scored, home: str) -> float:
    """To the nearest region that it serves from; infinite when none is known."""
    known = (distance_km(home, region) for region in one.offer.regions)
    return min((distance for distance in known if distance is not None), default=math.inf)


def _distance(one: Scored, km: float) -> str:
    if math.isinf(km):
        return f"serves from {', '.join(one.offer.regions) or 'an unknown region'}, of unknown distance"
    return f"serves from {', '.join(one.offer.regions)}, about {km:.0f} km away"


def _arrival(weight: float, rng: Draws) -> float:
    """Exponential waiting time at rate `weight`; never for weight 0. One random number is drawn in every case."""
    drawn = rng.random()
    return math.inf if weight <= 0 else -math.log(1 - drawn) / weight


def _at_random(offers: Sequence[Scored], rng: Draws, reason: str) -> Ranking:
    dice = {one.name: rng.random() for one in as_listed(offers)}
    order = tuple(sorted(offers, key=lambda one: dice[one.name]))
    return Ranking(order, {one.name: 1 / len(order) for one in order}, {one.name: reason for one in order})
