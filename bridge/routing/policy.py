"""`decide()`: the one pure function that chooses. No clock, no I/O, randomness by seed only."""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import assert_never

from bridge.chat import Policy
from bridge.decision import Candidate, Decision, DeploymentState, Offer, RoutingQuestion, Snapshot
from bridge.routing import quality_policies, simple_policies
from bridge.routing.candidates import drop_of, health_reason
from bridge.routing.ranking import Ranking, RoutingPolicy, Scored, scored

MAX_RAMPING = 6
"""Recovering deployments whose coin tosses are enumerated for exact propensities (2^6 cases)."""


@dataclass(frozen=True, slots=True)
class _Judged:
    """An offer with the verdict on it."""

    offer: Offer
    position: int
    reason: str | None
    """Why it is dropped; None: kept."""
    is_resting: bool = False
    """Dropped for its health alone: it may still serve as the last target."""
    is_last_target: bool = False

    @property
    def is_kept(self) -> bool:
        """Is it to be tried?"""
        return self.reason is None or self.is_last_target


def decide(question: RoutingQuestion, snapshot: Snapshot, *, seed: int, decision_id: str = "") -> Decision:
    """The order in which deployments are to be tried. The same arguments give the same Decision.

    When nothing but resting deployments is left, the one that recovers first is tried: the last target is never
    ejected. No eligible candidate at all leaves `attempts` empty.
    """
    judged = _with_last_target(
        [_judge(offer, n, question, snapshot) for n, offer in enumerate(question.offers)], snapshot
    )
    rng = random.Random(seed)  # noqa: S311  # load spreading, not a secret
    kept = [one for one in judged if one.is_kept]
    main = [scored(one.offer, one.position, question, snapshot) for one in kept if not one.offer.is_fallback]
    spare = [scored(one.offer, one.position, question, snapshot) for one in kept if one.offer.is_fallback]
    ranking = _ranked(main, question, snapshot, rng) if main else Ranking((), {})
    notes = {one.offer.deployment: one.reason for one in kept if one.reason is not None}
    eligible = [_kept(one, ranking, notes.get(one.name)) for one in ranking.order]
    eligible += [_fallback(one, n, is_first=not main, note=notes.get(one.name)) for n, one in enumerate(spare)]
    dropped = [_dropped(one, question, snapshot) for one in judged if not one.is_kept]
    return Decision(
        id=decision_id,
        requested=question.requested,
        alias=question.alias,
        policy=question.policy,
        task=question.task,
        seed=seed,
        attempts=tuple(candidate.deployment for candidate in eligible),
        candidates=(*eligible, *dropped),
        snapshot=snapshot,
        question=question,
    )


def re_execute(decision: Decision) -> Decision:
    """The decision taken again from what it recorded about itself. Raises ValueError when it recorded no question."""
    if decision.question is None:
        raise ValueError(f"decision {decision.id} holds no question")
    return decide(decision.question, decision.snapshot, seed=decision.seed, decision_id=decision.id)


def without(decision: Decision, reasons: Mapping[str, str]) -> Decision:
    """The decision taken again without some deployments, each with the reason why. It re-executes like any other."""
    if decision.question is None:
        raise ValueError(f"decision {decision.id} holds no question")
    offers = tuple(
        replace(offer, off_reason=offer.off_reason or reasons.get(offer.deployment))
        for offer in decision.question.offers
    )
    question = replace(decision.question, offers=offers)
    return decide(question, decision.snapshot, seed=decision.seed, decision_id=decision.id)


def policy_of(name: Policy) -> RoutingPolicy:  # noqa: C901, PLR0911  # a table; the checker watches that it is whole
    """The policy called `name`."""
    match name:
        case "priority":
            return simple_policies.priority
        case "weighted":
            return simple_policies.weighted
        case "round_robin":
            return simple_policies.round_robin
        case "least_busy":
            return simple_policies.least_busy
        case "cheapest":
            return simple_policies.cheapest
        case "fastest":
            return simple_policies.fastest
        case "latency":
            return simple_policies.latency
        case "cascade":
            return simple_policies.cascade
        case "geo" | "semantic" | "experiment":
            return simple_policies.priority
        case "best":
            return quality_policies.best
        case "balanced":
            return quality_policies.balanced
        case _:
            assert_never(name)


def _judge(offer: Offer, position: int, question: RoutingQuestion, snapshot: Snapshot) -> _Judged:
    drop = drop_of(offer, question, snapshot)
    if drop is not None:
        return _Judged(offer, position, drop.reason)
    resting = health_reason(offer, snapshot)
    return _Judged(offer, position, resting, is_resting=resting is not None)


def _with_last_target(judged: list[_Judged], snapshot: Snapshot) -> list[_Judged]:
    """When every usable offer rests, the one that recovers first is kept."""
    resting = [one for one in judged if one.is_resting]
    if not resting or any(one.reason is None for one in judged):
        return judged
    soonest = min(resting, key=lambda one: (_state(one.offer, snapshot).retry_at_s, one.position))
    return [
        replace(one, reason=f"last target left: {one.reason}", is_last_target=True) if one is soonest else one
        for one in judged
    ]


def _ranked(main: Sequence[Scored], question: RoutingQuestion, snapshot: Snapshot, rng: random.Random) -> Ranking:
    """The policy's ranking; a recovering deployment takes part only in its share of the calls, else it goes last."""
    policy = policy_of(question.policy)
    ramping = [one for one in main if one.state.ramp_share < 1.0][:MAX_RAMPING]
    tossed = {one.name: rng.random() < one.state.ramp_share for one in ramping}
    rank_seed = rng.getrandbits(64)

    def ranked(taking_part: dict[str, bool]) -> Ranking:
        ahead = [one for one in main if taking_part.get(one.name, True)] or list(main)
        in_front = {one.name for one in ahead}
        behind = [one for one in main if one.name not in in_front]
        ranking = policy(ahead, question, snapshot.turn, random.Random(rank_seed))  # noqa: S311
        if not behind:
            return ranking
        tail = policy(behind, question, snapshot.turn, random.Random(rank_seed))  # noqa: S311
        reasons = {one.name: f"recovering: takes {one.state.ramp_share:.0%} of its traffic" for one in behind}
        return Ranking((*ranking.order, *tail.order), ranking.first, {**ranking.reasons, **reasons}, ranking.scores)

    chosen = ranked(tossed)
    if not ramping:
        return chosen
    first: dict[str, float] = {}
    for taking_part, probability in _tosses(ramping):
        for name, share in ranked(taking_part).first.items():
            first[name] = first.get(name, 0.0) + share * probability
    return Ranking(chosen.order, first, chosen.reasons, chosen.scores)


def _tosses(ramping: Sequence[Scored]) -> Iterator[tuple[dict[str, bool], float]]:
    """Every outcome of the coin tosses with its probability."""
    for outcome in product((True, False), repeat=len(ramping)):
        probability = 1.0
        for one, takes_part in zip(ramping, outcome, strict=True):
            probability *= one.state.ramp_share if takes_part else 1 - one.state.ramp_share
        yield {one.name: takes_part for one, takes_part in zip(ramping, outcome, strict=True)}, probability


def _kept(one: Scored, ranking: Ranking, note: str | None) -> Candidate:
    reason = ranking.reasons.get(one.name, "")
    return _candidate(
        one,
        reason=f"{note}; {reason}" if note else reason,
        score=ranking.scores.get(one.name),
        propensity=ranking.first.get(one.name, 0.0),
    )


def _fallback(one: Scored, number: int, *, is_first: bool, note: str | None) -> Candidate:
    reason = f"fallback number {number + 1}"
    return _candidate(
        one,
        reason=f"{note}; {reason}" if note else reason,
        score=None,
        propensity=1.0 if is_first and number == 0 else 0.0,
    )


def _candidate(one: Scored, *, reason: str, score: float | None, propensity: float) -> Candidate:
    return Candidate(
        deployment=one.name,
        model=one.offer.model,
        provider=one.offer.provider,
        is_eligible=True,
        reason=reason,
        is_fallback=one.offer.is_fallback,
        score=score,
        terms=one.terms(),
        propensity=propensity,
        cost_usd=one.offer.cost_usd,
        latency_s=one.latency_s,
    )


def _dropped(one: _Judged, question: RoutingQuestion, snapshot: Snapshot) -> Candidate:
    facts = scored(one.offer, one.position, question, snapshot)
    return Candidate(
        deployment=one.offer.deployment,
        model=one.offer.model,
        provider=one.offer.provider,
        is_eligible=False,
        reason=one.reason or "",
        is_fallback=one.offer.is_fallback,
        terms=facts.terms(),
        cost_usd=one.offer.cost_usd,
    )


def _state(offer: Offer, snapshot: Snapshot) -> DeploymentState:
    return snapshot.deployments.get(offer.deployment, DeploymentState())
