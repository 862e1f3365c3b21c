from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.decision import QualityEstimate, RoutingQuestion, Snapshot
from bridge.routing.exploration import thompson_shares
from bridge.routing.policy import decide
from bridge.routing.ranking import Scored, scored
from tests.support.offers import offer, question


def believed(*estimates: QualityEstimate | None) -> tuple[RoutingQuestion, Snapshot]:
    offers = [offer(str(n)) for n in range(len(estimates))]
    known = {f"p/{n}": estimate for n, estimate in enumerate(estimates) if estimate is not None}
    return question(*offers, policy="best"), Snapshot(quality=known)


def as_scored(*estimates: QualityEstimate | None) -> list[Scored]:
    asked, snapshot = believed(*estimates)
    return [scored(one, n, asked, snapshot) for n, one in enumerate(asked.offers)]


SURE_GOOD = QualityEstimate(0.9, 0.88, 400)
SURE_POOR = QualityEstimate(0.4, 0.38, 400)
UNSURE = QualityEstimate(0.8, 0.5, 4)


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1), st.integers(0, 500)), min_size=1, max_size=8))
def test_the_chances_to_be_best_sum_to_one(drawn: list[tuple[float, float, int]]) -> None:
    offers = as_scored(*(QualityEstimate(mean, mean * part, count) for mean, part, count in drawn))
    chances = thompson_shares(offers)

    assert sum(chances.values()) == pytest.approx(1.0)
    assert all(chance >= 0 for chance in chances.values())


def test_what_may_be_the_best_has_a_chance_and_what_surely_is_not_has_none() -> None:
    chances = thompson_shares(as_scored(SURE_GOOD, UNSURE, SURE_POOR))

    assert chances["p/0"] > chances["p/1"] > 0.1
    assert chances["p/2"] < 1e-6


def test_equal_beliefs_have_equal_chances() -> None:
    assert thompson_shares(as_scored(UNSURE, UNSURE)) == pytest.approx({"p/0": 0.5, "p/1": 0.5})


def test_a_share_of_the_calls_explores_and_nobody_is_left_out() -> None:
    asked, snapshot = believed(SURE_GOOD, UNSURE, SURE_POOR)
    asked = question(*asked.offers, policy="best", exploration=0.2)
    runs = 3000
    firsts = Counter(decide(asked, snapshot, seed=seed).attempts[0] for seed in range(runs))
    claimed = {one.deployment: one.propensity or 0.0 for one in decide(asked, snapshot, seed=0).candidates}

    assert sum(claimed.values()) == pytest.approx(1.0)
    assert min(claimed.values()) >= 0.2 / 6
    for name, chance in claimed.items():
        assert firsts[name] / runs == pytest.approx(chance, abs=0.02), name


def test_an_explorer_says_so_and_the_best_stays_next() -> None:
    asked, snapshot = believed(SURE_GOOD, SURE_POOR)
    asked = question(*asked.offers, policy="best", exploration=0.2)
    decisions = [decide(asked, snapshot, seed=seed) for seed in range(200)]
    explored = [one for one in decisions if one.attempts[0] == "p/1"]

    assert explored
    assert all(one.attempts == ("p/1", "p/0") for one in explored)
    assert explored[0].candidates[0].reason.startswith("explores: tried first in")


def test_without_a_share_the_best_always_goes_first() -> None:
    asked, snapshot = believed(SURE_GOOD, UNSURE)

    assert {decide(asked, snapshot, seed=seed).attempts[0] for seed in range(50)} == {"p/0"}
