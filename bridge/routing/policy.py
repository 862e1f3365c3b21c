"""`decide()`: the one pure function that chooses. No clock, no I/O, randomness by seed only."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import NamedTuple

from bridge.chat import Policy
from bridge.decision import Candidate, Decision, DeploymentState, RoutingQuestion, Snapshot
from bridge.routing import mapped_policies, quality_policies, simple_policies
from bridge.routing.candidates import Checks, checks_of, dropped_features, resting_reason
from bridge.routing.draws import Draws, SeededDraws
from bridge.routing.ranking import Ranking, RoutingPolicy, Scored, scored

MAX_RAMPING = 6
"""Recovering deployments whose coin tosses are enumerated for exact propensities (2^6 cases)."""


class _Judged(NamedTuple):
    """An offer with what is known of it and the verdict on it."""

    facts: Scored
    reason: str | None
    """Why it is dropped; None: kept."""
    is_resting: bool = False
    """Dropped for its health alone: it may still serve as the last target."""
    is_last_target: bool = False


def decide(question: RoutingQuestion, snapshot: Snapshot, *, seed: int, decision_id: str = "") -> Decision:
    """The order in which deployments are to be tried. The same arguments give the same Decision.

    When nothing but resting deployments is left, the one that recovers first is tried: the last target is never
    ejected. No eligible candidate at all leaves `attempts` empty.
    """
    checks = checks_of(question)
    judged = _with_last_target(
        [
            _judge(scored(offer, n, question, snapshot), question, snapshot, checks)
            for n, offer in enumerate(question.offers)
        ]
    )
    rng = SeededDraws(seed)
    kept = [one for one in judged if one.reason is None or one.is_last_target]
    main = [one.facts for one in kept if not one.facts.offer.is_fallback]
    spare = [one.facts for one in kept if one.facts.offer.is_fallback]
    ranking = _bound(_ranked(main, question, snapshot, rng), question, snapshot) if main else Ranking((), {})
    notes = _notes(kept, question)
    eligible = [_kept(one, ranking, notes.get(one.name)) for one in ranking.order]
    eligible += [_fallback(one, n, is_first=not main, note=notes.get(one.name)) for n, one in enumerate(spare)]
    dropped = [_dropped(one) for one in judged if one.reason is not None and not one.is_last_target]
    return Decision(
        id=decision_id,
        requested=question.requested,
        alias=question.alias,
        policy=question.policy,
        task=question.task,
        seed=seed,
        attempts=tuple([candidate.deployment for candidate in eligible]),
        candidates=(*eligible, *dropped),
        snapshot=snapshot,
        question=question,
        arm=ranking.arm,
    )


def re_execute(decision: Decision) -> Decision:
    """The decision taken again from what it recorded about itself. Raises ValueError when it recorded no question."""
    if decision.question is None:
        raise ValueError(f"decision {decision.id} holds no question")
    again = decide(decision.question, decision.snapshot, seed=decision.seed, decision_id=decision.id)
    return replace(again, escalations=decision.escalations) if decision.escalations else again


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


def policy_of(name: Policy) -> RoutingPolicy:
    """The policy called `name`."""
    return POLICIES[name]


POLICIES: Mapping[Policy, RoutingPolicy] = {
    "fastest": simple_policies.fastest,
    "cheapest": simple_policies.cheapest,
    "best": quality_policies.best,
    "balanced": quality_policies.balanced,
    "priority": simple_policies.priority,
    "weighted": simple_policies.weighted,
    "round_robin": simple_policies.round_robin,
    "least_busy": simple_policies.least_busy,
    "latency": simple_policies.latency,
    "geo": simple_policies.geo,
    "semantic": mapped_policies.semantic,
    "cascade": simple_policies.cascade,
    "experiment": mapped_policies.experiment,
}


def _judge(facts: Scored, question: RoutingQuestion, snapshot: Snapshot, checks: Checks) -> _Judged:
    offer = facts.offer
    for _, check in checks:
        reason = check(offer, question, snapshot)
        if reason is not None:
            return _Judged(facts, reason)
    resting = resting_reason(offer, facts.state)
    return _Judged(facts, resting, resting is not None)


def _with_last_target(judged: list[_Judged]) -> list[_Judged]:
    """When every usable offer rests, the one that recovers first is kept."""
    resting = [one for one in judged if one.is_resting]
    if not resting or any(one.reason is None for one in judged):
        return judged
    soonest = min(resting, key=lambda one: (_rests_s(one.facts.state), one.facts.position))
    last = _Judged(soonest.facts, f"last target left: {soonest.reason}", is_last_target=True)
    return [last if one is soonest else one for one in judged]


def _rests_s(state: DeploymentState) -> float:
    return max(state.retry_at_s, state.wait_s)


def _ranked(main: list[Scored], question: RoutingQuestion, snapshot: Snapshot, rng: Draws) -> Ranking:
    """The policy's ranking; a recovering deployment takes part only in its share of the calls, else it goes last."""
    policy = policy_of(question.policy)
    ramping = [one for one in main if one.state.ramp_share < 1.0][:MAX_RAMPING]
    if not ramping:
        return policy(main, question, snapshot, rng)
    tossed = {one.name: rng.random() < one.state.ramp_share for one in ramping}
    rank_seed = rng.getrandbits(64)

    def ranked(taking_part: dict[str, bool]) -> Ranking:
        ahead = [one for one in main if taking_part.get(one.name, True)] or main
        in_front = {one.name for one in ahead}
        behind = [one for one in main if one.name not in in_front]
        ranking = policy(ahead, question, snapshot, SeededDraws(rank_seed))
        if not behind:
            return ranking
        tail = policy(behind, question, snapshot, SeededDraws(rank_seed))
        reasons = {one.name: f"recovering: takes {one.state.ramp_share:.0%} of its traffic" for one in behind}
        return replace(ranking, order=(*ranking.order, *tail.order), reasons={**ranking.reasons, **reasons})

    first: dict[str, float] = {}
    for taking_part, probability in _tosses(ramping):
        for name, share in ranked(taking_part).first.items():
            first[name] = first.get(name, 0.0) + share * probability
    return replace(ranked(tossed), first=first)


def _tosses(ramping: Sequence[Scored]) -> Iterator[tuple[dict[str, bool], float]]:
    """Every outcome of the coin tosses with its probability."""
    for outcome in product((True, False), repeat=len(ramping)):
        probability = 1.0
        for one, takes_part in zip(ramping, outcome, strict=True):
            probability *= one.state.ramp_share if takes_part else 1 - one.state.ramp_share
        yield {one.name: takes_part for one, takes_part in zip(ramping, outcome, strict=True)}, probability


def _bound(ranking: Ranking, question: RoutingQuestion, snapshot: Snapshot) -> Ranking:
    """A conversation goes on where its prompt is cached, whatever the policy; an experiment's arm is not moved."""
    name = snapshot.bound_to
    if name is None or question.policy == "experiment":
        return ranking
    bound = next((one for one in ranking.order if one.name == name and one.state.ramp_share >= 1.0), None)
    if bound is None:
        return ranking
    order = (bound, *(one for one in ranking.order if one is not bound))
    why = "this conversation's prompt is in its cache, where reading costs less"
    return replace(ranking, order=order, first={name: 1.0}, reasons={**ranking.reasons, name: why})


def _notes(kept: Sequence[_Judged], question: RoutingQuestion) -> dict[str, str]:
    """What is to be said of some before the policy's own reason."""
    notes: dict[str, str] = {}
    for one in kept:
        if one.reason is None and not one.facts.offer.lacks:
            continue
        said = [one.reason] if one.reason is not None else []
        without_features = dropped_features(one.facts.offer, question)
        if without_features:
            said.append(f"is sent the request without {', '.join(without_features)}")
        if said:
            notes[one.facts.offer.deployment] = "; ".join(said)
    return notes


def _kept(one: Scored, ranking: Ranking, note: str | None) -> Candidate:
    name = one.name
    reason = ranking.reasons.get(name, "")
    if note is not None:
        reason = f"{note}; {reason}"
    return _candidate(one, reason, ranking.scores.get(name), ranking.first.get(name, 0.0))


def _fallback(one: Scored, number: int, *, is_first: bool, note: str | None) -> Candidate:
    reason = f"fallback number {number + 1}"
    return _candidate(one, f"{note}; {reason}" if note else reason, None, 1.0 if is_first and number == 0 else 0.0)


def _candidate(one: Scored, reason: str, score: float | None, propensity: float) -> Candidate:
    offer = one.offer
    return Candidate(
        deployment=offer.deployment,
        model=offer.model,
        provider=offer.provider,
        is_eligible=True,
        reason=reason,
        is_fallback=offer.is_fallback,
        score=score,
        terms=one.terms(),
        propensity=propensity,
        cost_usd=one.cost_usd,
        latency_s=one.latency_s,
    )


def _dropped(one: _Judged) -> Candidate:
    offer = one.facts.offer
    return Candidate(
        deployment=offer.deployment,
        model=offer.model,
        provider=offer.provider,
        is_eligible=False,
        reason=one.reason or "",
        is_fallback=offer.is_fallback,
        terms=one.facts.terms(),
        cost_usd=one.facts.cost_usd,
    )
