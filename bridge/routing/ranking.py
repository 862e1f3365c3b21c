"""What a routing policy is given and what it gives back."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from bridge.decision import DeploymentState, Offer, QualityEstimate, RoutingQuestion, Snapshot
from bridge.routing.draws import Draws

UNKNOWN_STATE = DeploymentState()
UNMEASURED_TTFT_S = 1.0
UNMEASURED_S_PER_TOKEN = 0.02
"""What an unmeasured deployment is taken to need until it was called."""
LEAST_WEIGHT = 1e-6
"""Of the largest one: so little is drawn of what has weight 0, and only where nothing else is left to draw."""


class Scored(NamedTuple):
    """An eligible offer with everything policies compare. A tuple, since twelve are made for every call."""

    offer: Offer
    position: int
    """Its place in the alias."""
    state: DeploymentState
    quality: QualityEstimate | None
    latency_s: float
    """Predicted: time to first token + expected output tokens x time per token."""
    cost_usd: float | None
    """Expected for this request: its cache hits and its usual length of answer counted in. None: price unknown."""
    weight: float
    """Learned or scheduled, else the offer's own."""
    name: str
    """The deployment's."""

    @property
    def quality_bound(self) -> float:
        """Lower bound of its quality; 0 when nobody knows."""
        return self.quality.lower_bound if self.quality is not None else 0.0

    @property
    def load(self) -> float:
        """Predicted latency x (calls in flight + 1) / weight: what power of two choices compares."""
        return self.latency_s * (self.state.in_flight + 1) / max(self.weight, 1e-9)

    def terms(self) -> dict[str, float]:
        """Its numbers by name, unknown ones left out."""
        state, quality, cost_usd = self.state, self.quality, self.cost_usd
        found = {"latency_s": self.latency_s, "in_flight": float(state.in_flight), "weight": self.weight}
        if cost_usd is not None:
            found["cost_usd"] = cost_usd
        if quality is not None:
            found["quality"] = quality.lower_bound
        if state.latency_p95_s is not None:
            found["latency_p95_s"] = state.latency_p95_s
        if state.success_share is not None:
            found["success_share"] = state.success_share
        if state.cached_share is not None:
            found["cached_share"] = state.cached_share
        if state.output_tokens is not None:
            found["output_tokens"] = state.output_tokens
        return found


@dataclass(frozen=True, slots=True)
class Ranking:
    """An order, the probability with which each came first, and why each stands where it stands."""

    order: tuple[Scored, ...]
    first: dict[str, float]
    """Deployment -> probability of coming first; missing: 0."""
    reasons: dict[str, str] = field(default_factory=dict[str, str])
    scores: dict[str, float] = field(default_factory=dict[str, float])
    arm: str | None = None
    """Of an experiment, the one the unit is assigned to."""


class RoutingPolicy(Protocol):
    """Orders eligible offers. Pure: the same offers and the same random numbers give the same ranking."""

    def __call__(self, offers: Sequence[Scored], question: RoutingQuestion, snapshot: Snapshot, rng: Draws) -> Ranking:
        """All of `offers`, best first. `offers` is never empty."""
        ...


def scored(offer: Offer, position: int, question: RoutingQuestion, snapshot: Snapshot) -> Scored:
    """The offer with what the snapshot knows about it."""
    state = snapshot.deployments.get(offer.deployment, UNKNOWN_STATE)
    output_tokens = expected_output_tokens(state, question)
    ttft_s = UNMEASURED_TTFT_S if state.ttft_s is None else state.ttft_s
    per_token_s = UNMEASURED_S_PER_TOKEN if state.s_per_output_token is None else state.s_per_output_token
    return Scored(
        offer,
        position,
        state,
        snapshot.quality.get(offer.model),
        ttft_s + per_token_s * output_tokens,
        offer.cost_usd(question.input_tokens, output_tokens, state.cached_share),
        snapshot.weights.get(offer.deployment, offer.weight),
        offer.deployment,
    )


def expected_output_tokens(state: DeploymentState, question: RoutingQuestion) -> float:
    """How long the answer there will be: its own average for the task, else the question's, within the limit sent."""
    if state.output_tokens is None:
        return question.output_tokens
    limit = question.max_output_tokens
    return state.output_tokens if limit is None else min(state.output_tokens, limit)


def two_choices(
    offers: Sequence[Scored], rng: Draws, weights: Sequence[float] | None = None
) -> tuple[tuple[Scored, ...], dict[str, float]]:
    """Power of two choices among equals: draw two, the less loaded one goes first, the rest by load.

    The two are drawn in proportion to `weights` when given. Also the exact probability with which each comes first.
    Source: Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing" (2001).
    """
    if len(offers) == 1:
        return tuple(offers), {offers[0].name: 1.0}
    least = LEAST_WEIGHT * max(weights, default=1.0) if weights is not None else 1.0
    given = [1.0] * len(offers) if weights is None else [max(weight, least) or 1.0 for weight in weights]
    loads = [(one.load, one.position) for one in offers]
    by_load = sorted(range(len(offers)), key=loads.__getitem__)
    ranked, shares = [offers[place] for place in by_load], [given[place] for place in by_load]
    total = sum(shares)
    one = _place(shares, rng.random() * total, without=-1)
    other = _place(shares, rng.random() * (total - shares[one]), without=one)
    first = min(one, other)
    return (ranked[first], *ranked[:first], *ranked[first + 1 :]), _first_of_two(ranked, shares, total)


def _first_of_two(ranked: Sequence[Scored], shares: Sequence[float], total: float) -> dict[str, float]:
    """How probable it is for each, by load, to be drawn with none of those before it.

    The sum over all j behind i of s_i s_j / total x (1 / (total - s_i) + 1 / (total - s_j)).
    """
    behind, odds = 0.0, 0.0
    found: dict[str, float] = {}
    for one, share in zip(reversed(ranked), reversed(shares), strict=True):
        left = total - share
        found[one.name] = share / total * (behind / left + odds)
        behind, odds = behind + share, odds + share / left
    return found


def _place(shares: Sequence[float], point: float, *, without: int) -> int:
    """The place whose stretch of the line holds `point`, when one place is left out of it."""
    found = -1
    for place, share in enumerate(shares):
        if place == without:
            continue
        found, point = place, point - share
        if point < 0:
            break
    return found


def near_best(
    offers: Sequence[Scored], measure: Callable[[Scored], float], *, tolerance: float
) -> tuple[list[Scored], list[Scored]]:
    """Offers whose measure is within `tolerance` of the lowest, and the others sorted by it."""
    measured = sorted([(measure(one), one.position, one) for one in offers])
    limit = measured[0][0] * (1 + tolerance)
    by_measure = [one for _, _, one in measured]
    n_near = sum(value <= limit for value, _, _ in measured)
    return by_measure[:n_near], by_measure[n_near:]
