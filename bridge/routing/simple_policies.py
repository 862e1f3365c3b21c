"""Policies that look at one thing: place, weight, turn, load, price or speed."""

import math
import random
from collections.abc import Sequence

from bridge.decision import RoutingQuestion
from bridge.routing.ranking import Ranking, Scored, near_best, two_choices

NEAR_PRICE = 0.02
NEAR_LATENCY = 0.10
SHARED_LATENCY = 0.30
"""Within these shares of the best, offers count as equal and load decides."""


def priority(offers: Sequence[Scored], question: RoutingQuestion, turn: int, rng: random.Random) -> Ranking:
    """As listed."""
    del question, turn, rng
    order = tuple(sorted(offers, key=lambda one: one.position))
    reasons = {one.name: f"number {rank + 1} as listed" for rank, one in enumerate(order)}
    return Ranking(order, {order[0].name: 1.0}, reasons)


def weighted(offers: Sequence[Scored], question: RoutingQuestion, turn: int, rng: random.Random) -> Ranking:
    """At random, each in proportion to its weight; the rest the same way, without replacement.

    Source: Efraimidis and Spirakis, "Weighted random sampling with a reservoir" (2006).
    """
    del question, turn
    total = sum(one.offer.weight for one in offers)
    if total <= 0:
        return _at_random(offers, rng, "all weights are 0: drawn evenly")
    keys = {one.name: _arrival(one.offer.weight, rng) for one in sorted(offers, key=lambda one: one.position)}
    order = tuple(sorted(offers, key=lambda one: (keys[one.name], one.position)))
    first = {one.name: one.offer.weight / total for one in offers}
    reasons = {one.name: f"drawn with weight {one.offer.weight:g} of {total:g}" for one in offers}
    return Ranking(order, first, reasons)


def round_robin(offers: Sequence[Scored], question: RoutingQuestion, turn: int, rng: random.Random) -> Ranking:
    """Each in turn; the next ones in line are the fallbacks."""
    del question, rng
    listed = sorted(offers, key=lambda one: one.position)
    start = turn % len(listed)
    order = (*listed[start:], *listed[:start])
    reasons = {one.name: f"{rank} places after whose turn it is" for rank, one in enumerate(order)}
    reasons[order[0].name] = "its turn"
    return Ranking(order, {order[0].name: 1.0}, reasons)


def least_busy(offers: Sequence[Scored], question: RoutingQuestion, turn: int, rng: random.Random) -> Ranking:
    """Fewest calls in flight for its weight; equals at random."""
    del question, turn
    busy = {one.name: (one.state.in_flight + 1) / max(one.offer.weight, 1e-9) for one in offers}
    dice = {one.name: rng.random() for one in sorted(offers, key=lambda one: one.position)}
    order = tuple(sorted(offers, key=lambda one: (busy[one.name], dice[one.name])))
    equals = [one for one in offers if busy[one.name] == busy[order[0].name]]
    reasons = {one.name: f"{one.state.in_flight} calls in flight at weight {one.offer.weight:g}" for one in offers}
    return Ranking(order, {one.name: 1 / len(equals) for one in equals}, reasons)


def cheapest(offers: Sequence[Scored], question: RoutingQuestion, turn: int, rng: random.Random) -> Ranking:
    """Lowest expected cost; equals by load; unknown prices last."""
    del question, turn
    known = [one for one in offers if one.offer.cost_usd is not None]
    unknown = sorted((one for one in offers if one.offer.cost_usd is None), key=lambda one: one.position)
    reasons = {one.name: "its price is unknown" for one in unknown}
    if not known:
        return Ranking(tuple(unknown), {unknown[0].name: 1.0}, reasons)
    near, rest = near_best(known, lambda one: one.offer.cost_usd or 0.0, tolerance=NEAR_PRICE)
    head, first = two_choices(near, rng)
    reasons |= {one.name: f"${one.offer.cost_usd or 0.0:.6f} expected for this request" for one in known}
    return Ranking((*head, *rest, *unknown), first, reasons)


def fastest(offers: Sequence[Scored], question: RoutingQuestion, turn: int, rng: random.Random) -> Ranking:
    """Lowest predicted latency; equals by load."""
    del question, turn
    near, rest = near_best(offers, lambda one: one.latency_s, tolerance=NEAR_LATENCY)
    head, first = two_choices(near, rng)
    reasons = {one.name: _speed(one) for one in offers}
    return Ranking((*head, *rest), first, reasons)


def latency(offers: Sequence[Scored], question: RoutingQuestion, turn: int, rng: random.Random) -> Ranking:
    """Lowest predicted latency, but all that are about as quick share the traffic by weight and load."""
    del question, turn
    near, rest = near_best(offers, lambda one: one.latency_s, tolerance=SHARED_LATENCY)
    head, first = two_choices(near, rng, [one.offer.weight for one in near])
    return Ranking((*head, *rest), first, {one.name: _speed(one) for one in offers})


def cascade(offers: Sequence[Scored], question: RoutingQuestion, turn: int, rng: random.Random) -> Ranking:
    """Lowest expected cost first, unknown prices last: the order in which answers are asked for and judged."""
    del question, turn, rng
    order = tuple(sorted(offers, key=lambda one: (_cost(one), one.position)))
    reasons = {one.name: f"step {step + 1}: {_price(one)}" for step, one in enumerate(order)}
    return Ranking(order, {order[0].name: 1.0}, reasons)


def _cost(one: Scored) -> float:
    return math.inf if one.offer.cost_usd is None else one.offer.cost_usd


def _price(one: Scored) -> str:
    cost = one.offer.cost_usd
    return "its price is unknown" if cost is None else f"${cost:.6f} expected for this request"


def _speed(one: Scored) -> str:
    measured = "" if one.state.ttft_s is not None else " (not measured yet)"
    return f"{one.latency_s:.2f} s predicted{measured}"


def _arrival(weight: float, rng: random.Random) -> float:
    """Exponential waiting time at rate `weight`; never for weight 0. One random number is drawn in every case."""
    drawn = rng.random()
    return math.inf if weight <= 0 else -math.log(1 - drawn) / weight


def _at_random(offers: Sequence[Scored], rng: random.Random, reason: str) -> Ranking:
    order = sorted(offers, key=lambda one: one.position)
    rng.shuffle(order)
    return Ranking(tuple(order), {one.name: 1 / len(order) for one in order}, {one.name: reason for one in order})
