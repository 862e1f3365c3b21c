import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.decision import RoutingQuestion, Snapshot
from bridge.routing.ranking import scored
from bridge.routing.score import TERMS, normalised, score_terms, weighted_score
from tests.support.offers import offer, question, some_case

weights = st.dictionaries(st.sampled_from(TERMS), st.floats(0, 100, allow_nan=False))


@given(weights)
def test_weights_always_sum_to_one(given_weights: dict[str, float]) -> None:
    assert sum(normalised(given_weights).values()) == pytest.approx(1.0)


@given(some_case(), weights)
def test_scores_and_their_terms_stay_in_range(
    case: tuple[RoutingQuestion, Snapshot], given_weights: dict[str, float]
) -> None:
    asked, snapshot = case
    offers = [scored(one, n, asked, snapshot) for n, one in enumerate(asked.offers)]
    for one in offers:
        terms = score_terms(one, offers)
        assert set(terms) == set(TERMS)
        assert all(0 <= value <= 1 for value in terms.values())
        assert -1e-9 <= weighted_score(terms, given_weights) <= 1 + 1e-9


def test_the_cheapest_scores_one_and_twice_the_price_half() -> None:
    asked = question(offer("a", cost_usd=0.1), offer("b", cost_usd=0.2), offer("free_of_price"))
    offers = [scored(one, n, asked, Snapshot()) for n, one in enumerate(asked.offers)]

    assert [score_terms(one, offers)["cost"] for one in offers] == [1.0, 0.5, 0.0]
