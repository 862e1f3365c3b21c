import random

from hypothesis import given
from hypothesis import strategies as st

from bridge.decision import DeploymentState, Snapshot
from bridge.routing.ranking import Scored, near_best, scored, two_choices
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
