"""One number out of cost, latency, quality and reliability, by weights that always sum to 1."""

from collections.abc import Mapping, Sequence

from bridge.routing.ranking import Scored

TERMS = ("cost", "latency", "quality", "reliability")


def normalised(weights: Mapping[str, float]) -> dict[str, float]:
    """The weights scaled to sum 1; equal ones when all are 0."""
    total = sum(weights.get(term, 0.0) for term in TERMS)
    return {term: weights.get(term, 0.0) / total if total > 0 else 1 / len(TERMS) for term in TERMS}


def score_terms(one: Scored, among: Sequence[Scored]) -> dict[str, float]:
    """Each term in [0, 1], 1 best, relative to the best among `among`. An unknown price scores 0, unknown
    reliability 1: what was never called is not held against it.
    """
    costs = [other.cost_usd for other in among if other.cost_usd is not None]
    return {
        "cost": _ratio(min(costs), one.cost_usd) if costs and one.cost_usd is not None else 0.0,
        "latency": _ratio(min(other.latency_s for other in among), one.latency_s),
        "quality": one.quality_bound,
        "reliability": 1.0 if one.state.success_share is None else one.state.success_share,
    }


def weighted_score(terms: Mapping[str, float], weights: Mapping[str, float]) -> float:
    """Sum of weight x term, in [0, 1]."""
    scaled = normalised(weights)
    return sum(scaled[term] * terms[term] for term in TERMS)


def _ratio(best: float, own: float) -> float:
    return 1.0 if own <= best else best / own
