"""A small share of calls goes to another model than the best known one, so that its quality becomes known."""

import math
from collections.abc import Sequence
from dataclasses import replace

from bridge.routing.draws import Draws
from bridge.routing.ranking import Ranking, Scored

UNSURE = 0.15
"""Standard deviation of a prior that no score has tested."""
LEAST_DEVIATION = 0.005
Z_LOWER = 1.645
STEPS = 96
"""Even steps of the quadrature over quality in [-0.5, 1.5]; fixed, so that a decision re-executes."""


def explored(ranking: Ranking, share: float, rng: Draws) -> Ranking:
    """With probability `share` another draw decides who goes first: half of those by Thompson sampling, half even.

    Every candidate keeps a propensity of at least share / (2 x candidates), which off-policy estimates need.
    Source: Thompson, "On the likelihood that one unknown probability exceeds another" (1933).
    """
    chances = thompson_shares(ranking.order)
    even = 1 / len(ranking.order)
    drawn = {one.name: (chances[one.name] + even) / 2 for one in ranking.order}
    first = {name: (1 - share) * ranking.first.get(name, 0.0) + share * chance for name, chance in drawn.items()}
    point = rng.random()
    if point >= share:
        return replace(ranking, first=first)
    chosen = _at(ranking.order, drawn, point / share)
    order = (chosen, *(one for one in ranking.order if one is not chosen))
    why = f"explores: tried first in {share * drawn[chosen.name]:.2%} of calls to learn its quality"
    return replace(ranking, order=order, first=first, reasons={**ranking.reasons, chosen.name: why})


def thompson_shares(offers: Sequence[Scored]) -> dict[str, float]:
    """The probability of each to be the best when quality is drawn from its normal posterior; sums to 1.

    The integral over x of p_i(x) * product of P_j(x), j != i, on a fixed grid.
    """
    beliefs = [_belief(one) for one in offers]
    step = 2.0 / STEPS
    grid = [-0.5 + step * k for k in range(STEPS + 1)]
    below = [[_below(x, mean, deviation) for x in grid] for mean, deviation in beliefs]
    wins = [0.0] * len(offers)
    for k in range(STEPS):
        middle = [(row[k] + row[k + 1]) / 2 for row in below]
        for i, row in enumerate(below):
            others = math.prod(middle[:i]) * math.prod(middle[i + 1 :])
            wins[i] += (row[k + 1] - row[k]) * others
    total = sum(wins)
    return {one.name: win / total if total > 0 else 1 / len(offers) for one, win in zip(offers, wins, strict=True)}


def _belief(one: Scored) -> tuple[float, float]:
    """Mean and standard deviation."""
    known = one.quality
    if known is None:
        return 0.5, UNSURE
    if known.n_scores == 0:
        return known.mean, UNSURE
    return known.mean, max((known.mean - known.lower_bound) / Z_LOWER, LEAST_DEVIATION)


def _below(x: float, mean: float, deviation: float) -> float:
    return 0.5 * (1 + math.erf((x - mean) / (deviation * math.sqrt(2))))


def _at(order: Sequence[Scored], chances: dict[str, float], point: float) -> Scored:
    for one in order:
        point -= chances[one.name]
        if point < 0:
            return one
    return order[-1]
