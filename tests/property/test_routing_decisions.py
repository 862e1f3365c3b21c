"""What holds of every decision, whatever is asked and whatever is known."""

import json
from collections import Counter
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from bridge.decision import Constraints, Decision, RoutingQuestion, Snapshot
from bridge.routing.policy import decide, re_execute
from tests.support.offers import some_case

SEEDS = 400
FAR_OFF = 0.13
"""Over five standard deviations of a share seen in so many draws."""


@given(some_case(), st.integers(0, 2**48))
@settings(max_examples=300, deadline=None)
def test_a_logged_decision_re_executes_to_the_same_plan(case: tuple[RoutingQuestion, Snapshot], seed: int) -> None:
    decision = decide(*case, seed=seed, decision_id="d")
    logged = json.dumps(decision.to_json(), allow_nan=False)

    assert re_execute(Decision.from_json(json.loads(logged))) == decision


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


@given(some_case())
@settings(max_examples=60, deadline=None, derandomize=True)
def test_propensities_are_the_frequencies_over_seeds(case: tuple[RoutingQuestion, Snapshot]) -> None:
    asked, snapshot = opened_up(*case)
    one = decide(asked, snapshot, seed=0)
    claimed = {candidate.deployment: candidate.propensity for candidate in one.candidates if candidate.is_eligible}
    firsts = Counter(decide(asked, snapshot, seed=seed).attempts[:1] for seed in range(SEEDS))

    for name, propensity in claimed.items():
        assert propensity is not None
        assert abs(firsts[(name,)] / SEEDS - propensity) < FAR_OFF, (name, propensity)
        assert (firsts[(name,)] == 0) or propensity > 0
