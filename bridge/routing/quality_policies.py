"""Policies that trade quality: the best, and the cheapest that is nearly as good."""

from collections.abc import Sequence
from dataclasses import replace

from bridge.decision import RoutingQuestion, Snapshot
from bridge.routing.draws import Draws
from bridge.routing.exploration import explored
from bridge.routing.ranking import Ranking, Scored, two_choices
from bridge.routing.score import score_terms, weighted_score
from bridge.routing.simple_policies import cheapest

NEAR_QUALITY = 0.01


def best(offers: Sequence[Scored], question: RoutingQuestion, snapshot: Snapshot, rng: Draws) -> Ranking:
    """Highest lower bound of quality for the task; equals by load. A share of the calls explores, when configured."""
    del snapshot
    top = max(one.quality_bound for one in offers)
    near = [one for one in offers if one.quality_bound >= top - NEAR_QUALITY]
    rest = [one for one in offers if one.quality_bound < top - NEAR_QUALITY]
    head, first = two_choices(near, rng)
    tail = sorted(rest, key=lambda one: (-one.quality_bound, one.position))
    ranking = Ranking((*head, *tail), first, {one.name: quality_words(one) for one in offers})
    return explored(ranking, question.exploration, rng) if question.exploration > 0 and len(offers) > 1 else ranking


def balanced(offers: Sequence[Scored], question: RoutingQuestion, snapshot: Snapshot, rng: Draws) -> Ranking:
    """The cheapest whose quality bound is within epsilon of the best and whose p95 latency meets the target.

    With `score_weights` the weighted score decides among those instead of price alone.
    """
    top = max(one.quality_bound for one in offers)
    enough = top * (1 - question.epsilon)
    good = [one for one in offers if one.quality_bound >= enough and _is_quick(one, question)]
    if not good:
        good = [one for one in offers if one.quality_bound >= enough]
    kept = {one.name for one in good}
    rest = sorted((one for one in offers if one.name not in kept), key=lambda one: (-one.quality_bound, one.position))
    chosen = _by_score(good, question) if question.score_weights else cheapest(good, question, snapshot, rng)
    reasons = {name: f"good enough (quality bound {enough:.2f}), {why}" for name, why in chosen.reasons.items()}
    reasons |= {one.name: _shortfall(one, enough, question) for one in rest}
    return replace(chosen, order=(*chosen.order, *rest), reasons=reasons)


def quality_words(one: Scored) -> str:
    """Its quality in words, with what the estimate rests on."""
    if one.quality is None:
        return "quality unknown"
    source = "prior" if one.quality.n_scores == 0 else f"{one.quality.n_scores} scores"
    return f"quality at least {one.quality.lower_bound:.2f} ({source})"


def _by_score(good: Sequence[Scored], question: RoutingQuestion) -> Ranking:
    scores = {one.name: weighted_score(score_terms(one, good), question.score_weights) for one in good}
    order = tuple(sorted(good, key=lambda one: (-scores[one.name], one.position)))
    reasons = {one.name: f"weighted score {scores[one.name]:.3f}" for one in good}
    return Ranking(order, {order[0].name: 1.0}, reasons, scores)


def _is_quick(one: Scored, question: RoutingQuestion) -> bool:
    return one.state.latency_p95_s is None or one.state.latency_p95_s <= question.latency_target_s


def _shortfall(one: Scored, enough: float, question: RoutingQuestion) -> str:
    if one.quality_bound < enough:
        return f"{quality_words(one)}, under the bound of {enough:.2f}"
    return f"p95 latency of {one.state.latency_p95_s:.2f} s misses the target of {question.latency_target_s:g} s"
