import json
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.chat import Policy
from bridge.decision import Decision, DeploymentState, RoutingQuestion, Snapshot
from bridge.routing.candidates import drop_of
from bridge.routing.policy import decide, re_execute
from tests.support.offers import POLICIES, offer, quality, question, some_case, states

Case = tuple[RoutingQuestion, Snapshot]
OPEN = DeploymentState(circuit="open", retry_at_s=30)


@given(some_case(), st.integers(0, 2**48))
def test_only_eligible_offers_are_tried_and_every_offer_has_a_reason(case: Case, seed: int) -> None:
    asked, snapshot = case
    decision = decide(asked, snapshot, seed=seed)
    by_name = {one.deployment: one for one in asked.offers}

    assert {candidate.deployment for candidate in decision.candidates} == set(by_name)
    assert all(candidate.reason for candidate in decision.candidates)
    assert len(set(decision.attempts)) == len(decision.attempts)
    for name in decision.attempts:
        assert drop_of(by_name[name], asked, snapshot) is None
    for candidate in decision.candidates:
        assert candidate.is_eligible == (candidate.deployment in decision.attempts)


@given(some_case(), st.integers(0, 2**48))
def test_something_is_tried_whenever_anything_could_answer(case: Case, seed: int) -> None:
    asked, snapshot = case
    usable = [one for one in asked.offers if drop_of(one, asked, snapshot) is None]

    assert bool(decide(asked, snapshot, seed=seed).attempts) == bool(usable)


@given(some_case(), st.integers(0, 2**48))
def test_propensities_of_eligible_offers_sum_to_one_and_the_first_had_a_chance(case: Case, seed: int) -> None:
    decision = decide(*case, seed=seed)
    propensities = [one.propensity for one in decision.candidates if one.is_eligible]

    if propensities:
        assert sum(value or 0.0 for value in propensities) == pytest.approx(1.0)
        assert all(value is not None and -1e-9 <= value <= 1 + 1e-9 for value in propensities)
        first = next(one for one in decision.candidates if one.deployment == decision.attempts[0])
        assert (first.propensity or 0.0) > 0
    assert all(one.propensity is None for one in decision.candidates if not one.is_eligible)


@given(some_case(), st.integers(0, 2**48))
def test_a_decision_taken_again_from_its_json_is_the_same(case: Case, seed: int) -> None:
    decision = decide(*case, seed=seed, decision_id="d")

    assert re_execute(Decision.from_json(json.loads(json.dumps(decision.to_json())))) == decision


@given(some_case(), st.integers(0, 2**48))
def test_fallbacks_come_after_all_candidates_in_the_order_given(case: Case, seed: int) -> None:
    asked, snapshot = case
    positions = {one.deployment: n for n, one in enumerate(asked.offers)}
    is_fallback = {one.deployment: one.is_fallback for one in asked.offers}
    attempts = decide(asked, snapshot, seed=seed).attempts
    fallbacks = [name for name in attempts if is_fallback[name]]

    assert list(attempts[len(attempts) - len(fallbacks) :]) == fallbacks
    assert fallbacks == sorted(fallbacks, key=lambda name: positions[name])


@pytest.mark.parametrize("policy", POLICIES)
def test_recorded_propensities_are_the_frequencies_seen(policy: Policy) -> None:
    asked = question(
        offer("a", cost_usd=0.1, weight=1), offer("b", cost_usd=0.1, weight=2), offer("c", cost_usd=0.1, weight=5),
        policy=policy,
    )  # fmt: skip
    snapshot = Snapshot(
        deployments=states(b=DeploymentState(ramp_share=0.5), c=DeploymentState(in_flight=2, ramp_share=0.1)),
        quality=quality(a=0.8, b=0.8, c=0.8),
    )
    runs = 1500
    seen = Counter(decide(asked, snapshot, seed=seed).attempts[0] for seed in range(runs))
    claimed = {one.deployment: one.propensity or 0.0 for one in decide(asked, snapshot, seed=0).candidates}

    for name, propensity in claimed.items():
        assert seen[name] / runs == pytest.approx(propensity, abs=0.05), name


def test_an_open_circuit_is_left_out_and_says_when_it_may_be_tried() -> None:
    decision = decide(question(offer("a"), offer("b")), Snapshot(deployments=states(a=OPEN)), seed=1)

    assert decision.attempts == ("p/b",)
    assert decision.dropped == {"p/a": "circuit open after failures; may be tried again in 30.0 s"}


def test_the_target_that_recovers_first_is_tried_when_all_are_out() -> None:
    sooner = DeploymentState(circuit="open", retry_at_s=3)
    decision = decide(question(offer("a"), offer("b")), Snapshot(deployments=states(a=OPEN, b=sooner)), seed=1)

    assert decision.attempts == ("p/b",)
    assert decision.candidates[0].reason.startswith("last target left")


def test_a_fallback_serves_before_a_resting_candidate_does() -> None:
    decision = decide(question(offer("a"), offer("b", is_fallback=True)), Snapshot(deployments=states(a=OPEN)), seed=1)

    assert decision.attempts == ("p/b",)
    assert decision.candidates[0].propensity == 1.0


def test_a_half_open_circuit_may_be_probed_by_one_request_at_a_time() -> None:
    free, probing = DeploymentState(circuit="half_open"), DeploymentState(circuit="half_open", retry_at_s=1)
    asked = question(offer("a"), offer("b"))

    assert decide(asked, Snapshot(deployments=states(a=free)), seed=1).attempts[0] == "p/a"
    assert decide(asked, Snapshot(deployments=states(a=probing)), seed=1).attempts == ("p/b",)


def test_a_recovering_target_takes_its_share_only() -> None:
    asked = question(offer("a"), offer("b"))
    snapshot = Snapshot(deployments=states(a=DeploymentState(ramp_share=0.1)))
    firsts = Counter(decide(asked, snapshot, seed=seed).attempts[0] for seed in range(1000))

    assert 50 < firsts["p/a"] < 160


def test_a_decision_without_its_question_cannot_be_taken_again() -> None:
    bare = Decision("d", "m", None, "priority", "m", 1, (), (), Snapshot())

    with pytest.raises(ValueError, match="no question"):
        re_execute(bare)
