"""What a routing policy is given and what it gives back."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from bridge.decision import DeploymentState, Offer, QualityEstimate, RoutingQuestion, Snapshot

UNMEASURED_TTFT_S = 1.0
UNMEASURED_S_PER_TOKEN = 0.02
"""What an unmeasured deployment is taken to need until it was called."""


@dataclass(frozen=True, slots=True)
class Scored:
    """An eligible offer with everything policies compare."""

    offer: Offer
    position: int
    """Its place in the alias."""
    state: DeploymentState
    quality: QualityEstimate | None
    latency_s: float
    """Predicted: time to first token + expected output tokens x time per token."""

    @property
    def name(self) -> str:
        """The deployment's name."""
        return self.offer.deployment

    @property
    def quality_bound(self) -> float:
        """Lower bound of its quality; 0 when nobody knows."""
        return self.quality.lower_bound if self.quality is not None else 0.0

    @property
    def load(self) -> float:
        """Predicted latency x (calls in flight + 1) / weight: what power of two choices compares."""
        return self.latency_s * (self.state.in_flight + 1) / max(self.offer.weight, 1e-9)

    def terms(self) -> dict[str, float]:
        """Its numbers by name, unknown ones left out."""
        found: dict[str, float | None] = {
            "cost_usd": self.offer.cost_usd,
            "latency_s": round(self.latency_s, 4),
            "latency_p95_s": self.state.latency_p95_s,
            "quality": None if self.quality is None else self.quality.lower_bound,
            "success_share": self.state.success_share,
            "in_flight": float(self.state.in_flight),
            "weight": self.offer.weight,
        }
        return {name: value for name, value in found.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Ranking:
    """An order, the probability with which each came first, and why each stands where it stands."""

    order: tuple[Scored, ...]
    first: dict[str, float]
    """Deployment -> probability of coming first; missing: 0."""
    reasons: dict[str, str] = field(default_factory=dict[str, str])
    scores: dict[str, float] = field(default_factory=dict[str, float])


class RoutingPolicy(Protocol):
    """Orders eligible offers. Pure: the same offers and the same random numbers give the same ranking."""

    def __call__(self, offers: Sequence[Scored], question: RoutingQuestion, turn: int, rng: random.Random) -> Ranking:
        """All of `offers`, best first. `offers` is never empty."""
        ...


def scored(offer: Offer, position: int, question: RoutingQuestion, snapshot: Snapshot) -> Scored:
    """The offer with what the snapshot knows about it."""
    state = snapshot.deployments.get(offer.deployment, DeploymentState())
    ttft_s = UNMEASURED_TTFT_S if state.ttft_s is None else state.ttft_s
    per_token_s = UNMEASURED_S_PER_TOKEN if state.s_per_output_token is None else state.s_per_output_token
    latency_s = ttft_s + per_token_s * question.output_tokens
    return Scored(offer, position, state, snapshot.quality.get(offer.model), latency_s)


def two_choices(offers: Sequence[Scored], rng: random.Random) -> tuple[tuple[Scored, ...], dict[str, float]]:
    """Power of two choices among equals: draw two, the less loaded one goes first, the rest by load.

    Also the exact probability with which each comes first. Source: Mitzenmacher, "The Power of Two Choices in
    Randomized Load Balancing" (2001).
    """
    by_load = sorted(offers, key=lambda one: (one.load, one.position))
    count = len(by_load)
    if count == 1:
        return tuple(by_load), {by_load[0].name: 1.0}
    first = min(rng.sample(range(count), 2))
    probability = {one.name: 2 * (count - 1 - rank) / (count * (count - 1)) for rank, one in enumerate(by_load)}
    return (by_load[first], *by_load[:first], *by_load[first + 1 :]), probability


def near_best(
    offers: Sequence[Scored], measure: Callable[[Scored], float], *, tolerance: float
) -> tuple[list[Scored], list[Scored]]:
    """Offers whose measure is within `tolerance` of the lowest, and the others sorted by it."""
    by_measure = sorted(offers, key=lambda one: (measure(one), one.position))
    limit = measure(by_measure[0]) * (1 + tolerance)
    near = [one for one in by_measure if measure(one) <= limit]
    return near, by_measure[len(near) :]
