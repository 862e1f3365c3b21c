"""The weights of an alias's deployments as they are now: given, on a schedule from one set to another, or learned."""

from collections.abc import Mapping
from datetime import datetime

from bridge.catalog.aliases import Option, Route
from bridge.config import RampConfig
from bridge.decision import DeploymentState

LEAST_LEARNED, MOST_LEARNED = 0.1, 4.0
"""Learned weights stay within these factors of the given ones, so that nothing starves and recovery is seen."""
SUCCESS_EXPONENT = 4.0
"""A deployment that fails a tenth of its calls keeps about two thirds of its weight."""


def weights_now(route: Route, states: Mapping[str, DeploymentState], at: datetime) -> dict[str, float]:
    """By deployment, those that differ from the ones given; empty for most aliases."""
    rules = route.rules
    if rules is None or (rules.ramp is None and not rules.learned_weights):
        return {}
    given = {one.name: _given(option, one.weight) for option in route.candidates for one in option.deployments}
    if rules.ramp is not None:
        scheduled = ramped(_by_candidate(route), rules.ramp, at)
        for option in route.candidates:
            if option.listed_as in scheduled:
                given.update({one.name: scheduled[option.listed_as] for one in option.deployments})
    return learned(given, states) if rules.learned_weights else given


def ramped(weights: Mapping[str, float], ramp: RampConfig, at: datetime) -> dict[str, float]:
    """By candidate: `weights` before the ramp, `ramp.to` after it, in between in even steps of time.

    The first step is taken as the ramp starts, the last as it ends.
    """
    whole_s = (ramp.ends_at - ramp.starts_at).total_seconds()
    passed = (at - ramp.starts_at).total_seconds() / whole_s if whole_s > 0 else 1.0
    if passed < 0:
        return dict(weights)
    share = 1.0 if passed >= 1 else (int(passed * ramp.steps) + 1) / (ramp.steps + 1)
    names = {*weights, *ramp.to}
    return {
        name: (1 - share) * weights.get(name, 1.0) + share * ramp.to.get(name, weights.get(name, 1.0)) for name in names
    }


def learned(weights: Mapping[str, float], states: Mapping[str, DeploymentState]) -> dict[str, float]:
    """Each weight times its success and its speed against the average of those that were measured."""
    seconds = [state.ttft_s for name, state in states.items() if name in weights and state.ttft_s]
    usual_s = sum(seconds) / len(seconds) if seconds else None
    return {name: weight * _factor(states.get(name), usual_s) for name, weight in weights.items()}


def _factor(state: DeploymentState | None, usual_s: float | None) -> float:
    if state is None:
        return 1.0
    success = 1.0 if state.success_share is None else state.success_share
    speed = usual_s / state.ttft_s if usual_s is not None and state.ttft_s else 1.0
    return min(max(success**SUCCESS_EXPONENT * speed, LEAST_LEARNED), MOST_LEARNED)


def _by_candidate(route: Route) -> dict[str, float]:
    return {option.listed_as: _given(option, 1.0) for option in route.candidates}


def _given(option: Option, own: float) -> float:
    return own if option.weight is None else option.weight
