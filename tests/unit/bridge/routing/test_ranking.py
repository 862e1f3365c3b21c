import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.decision import DeploymentState, Snapshot
from bridge.routing.ranking import Scored, expected_output_tokens, near_best, scored, two_choices
from tests.support.offers import offer, question, states


def some(count: int) -> list[Scored]:
    asked = question(*(offer(str(n)) for n in range(count)))
    snapshot = Snapshot(states(**{str(n): DeploymentState(in_flight=n) for n in range(count)}))
    return [scored(one, n, asked, snapshot) for n, one in enumerate(asked.offers)]


@given(st.integers(1, 8), st.integers(0, 2**32))
def test_two_choices_keeps_everyone_and_its_probabilities_sum_to_one(count: int, seed: int) -> None:
    order, first = two_choices(some(count), random.Random(seed))

    assert {one.name for one in order} == {f"p/{n}" for n in range(count)}
    assert abs(sum(first.values()) - 1) < 1e-9
    assert first[order[0].name] > 0


def test_the_more_loaded_of_two_never_goes_first() -> None:
    assert all(two_choices(some(2), random.Random(seed))[0][0].name == "p/0" for seed in range(50))


def test_near_best_splits_at_the_tolerance() -> None:
    near, rest = near_best(some(4), lambda one: one.state.in_flight + 10.0, tolerance=0.15)

    assert [one.name for one in near] == ["p/0", "p/1"]
    assert [one.name for one in rest] == ["p/2", "p/3"]


def test_an_unmeasured_deployment_is_given_a_guess_and_terms_leave_unknowns_out() -> None:
    (one,) = [scored(offer("a"), 0, question(offer("a")), Snapshot())]

    assert one.latency_s == 1.0 + 0.02 * 100
    assert set(one.terms()) == {"latency_s", "in_flight", "weight"}


@pytest.mark.parametrize("weights", [None, [1.0, 1.0, 1.0, 1.0], [1.0, 2.0, 5.0, 0.5], [0.0, 1.0, 1.0, 1.0]])
def test_two_choices_comes_out_as_often_as_it_says(weights: list[float] | None) -> None:
    rng, runs = random.Random(7), 6000
    drawn = [two_choices(some(4), rng, weights) for _ in range(runs)]
    firsts = Counter(order[0].name for order, _ in drawn)

    for name, probability in drawn[0][1].items():
        assert firsts[name] / runs == pytest.approx(probability, abs=0.02), name


def test_cost_counts_cache_hits_and_the_usual_length_of_answers() -> None:
    asked = question(offer("a"), input_tokens=1000)
    priced = offer("a", input_usd_per_mtok=1.0, output_usd_per_mtok=10.0, cache_read_usd_per_mtok=0.1, request_usd=0.5)

    def cost(state: DeploymentState) -> float | None:
        return scored(priced, 0, asked, Snapshot(states(a=state))).cost_usd

    assert cost(DeploymentState()) == pytest.approx(0.5 + 0.001 + 0.001)
    assert cost(DeploymentState(cached_share=0.5)) == pytest.approx(0.5 + 0.00055 + 0.001)
    assert cost(DeploymentState(output_tokens=20.0)) == pytest.approx(0.5 + 0.001 + 0.0002)


def test_the_usual_length_is_cut_by_the_limit_that_is_sent() -> None:
    asked = question(offer("a"), max_output_tokens=50)

    assert expected_output_tokens(DeploymentState(output_tokens=400.0), asked) == 50
    assert expected_output_tokens(DeploymentState(), asked) == 100


def test_learned_weights_stand_for_the_offers_own() -> None:
    snapshot = Snapshot(weights={"p/a": 0.25})

    assert scored(offer("a", weight=2.0), 0, question(offer("a")), snapshot).weight == 0.25
    assert scored(offer("b", weight=2.0), 0, question(offer("b")), snapshot).weight == 2.0
