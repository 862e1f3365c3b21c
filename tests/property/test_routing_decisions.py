"""What holds of every decision, whatever is asked and whatever is known."""

import json
from collections import Counter
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from bridge.chat import Policy
from bridge.decision import Constraints, Decision, DeploymentState, QualityEstimate, RoutingQuestion, Snapshot
from bridge.routing.policy import decide, re_execute
from tests.support.offers import POLICIES, some_case

SEEDS = 400
FAR_OFF = 0.13
"""Over five standard deviations of a share seen in so many draws."""


@given(some_case(), st.integers(0, 2**48))
@settings(max_examples=300, deadline=None)
def test_a_logged_decision_re_executes_to_the_same_plan(case: tuple[RoutingQuestion, Snapshot], seed: int) -> None:
    decision = decide(*case, seed=seed, decision_id="d")
    logged = json.dumps(decision.to_json(), allow_nan=False)

    assert re_execute(Decision.from_json(json.loads(logged))) == decision


def alike(asked: RoutingQuestion, snapshot: Snapshot) -> tuple[RoutingQuestion, Snapshot]:
    """The case with equal prices, speeds and qualities: what is left to choose by is chance."""
    offers = tuple(
        replace(one, input_usd_per_mtok=1.0, output_usd_per_mtok=1.0, cache_read_usd_per_mtok=None, request_usd=0.0)
        for one in asked.offers
    )
    even = DeploymentState(ttft_s=1.0, s_per_output_token=0.0)
    states = {
        one.deployment: structs.replace(even, in_flight=number, ramp_share=1.0 if number else 0.5)
        for number, one in enumerate(offers)
    }
    quality = {one.model: QualityEstimate(0.8, 0.7, 9) for one in offers}
    return replace(asked, offers=offers), replace(snapshot, deployments=states, quality=quality, bound_to=None)


def opened_up(asked: RoutingQuestion, snapshot: Snapshot) -> tuple[RoutingQuestion, Snapshot]:
    """The case with everybody eligible, and every request its own unit: the most that chance can decide."""
    offers = tuple(
        replace(one, is_fallback=False, off_reason=None, capabilities=asked.needs, lacks=(), context_window=None)
        for one in asked.offers
    )
    experiment = None if asked.experiment is None else replace(asked.experiment, unit=None)
    ready = {
        name: structs.replace(state, circuit="closed", retry_at_s=0.0, wait_s=0.0, in_flight=state.in_flight % 10)
        for name, state in snapshot.deployments.items()
    }
    asked = replace(asked, offers=offers, constraints=Constraints(), experiment=experiment, geo=None)
    return asked, replace(snapshot, deployments=ready)


@given(some_case(), st.booleans(), st.sampled_from(POLICIES))
@settings(max_examples=100, deadline=None, derandomize=True)
def test_propensities_are_the_frequencies_over_seeds(
    case: tuple[RoutingQuestion, Snapshot], are_alike: bool, policy: Policy
) -> None:
    asked, snapshot = opened_up(*(alike(*case) if are_alike else case))
    asked = replace(asked, policy=policy)
    one = decide(asked, snapshot, seed=0)
    claimed = {candidate.deployment: candidate.propensity for candidate in one.candidates if candidate.is_eligible}
    firsts = Counter(decide(asked, snapshot, seed=seed).attempts[:1] for seed in range(SEEDS))

    for name, propensity in claimed.items():
        assert propensity is not None
        assert abs(firsts[(name,)] / SEEDS - propensity) < FAR_OFF, (name, propensity)
        assert (firsts[(name,)] == 0) or propensity > 0
