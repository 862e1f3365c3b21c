from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.catalog.entries import ModelEntry
from bridge.clock import FrozenClock
from bridge.decision import QualityEstimate
from bridge.learning.quality import PriorQuality, QualityScore, ScoredQuality

NOW = datetime(2026, 5, 1, tzinfo=UTC)
MODEL = ModelEntry("p/m", "p", "m", quality=0.7)
UNRATED = ModelEntry("p/m", "p", "m")


def score(value: float, *, task: str = "triage", days_ago: float = 0.0, version: str = "") -> QualityScore:
    return QualityScore("org", task, "p/m", value, NOW - timedelta(days=days_ago), version)


def estimated(*scores: QualityScore, task: str = "triage", entry: ModelEntry = MODEL) -> QualityEstimate:
    source = ScoredQuality(FrozenClock(NOW))
    source.add(scores)
    found = source.estimate("org", task, entry)
    assert found is not None
    return found


def test_the_prior_is_the_catalogues_tier_for_every_task() -> None:
    estimate = PriorQuality().estimate("org", "task", MODEL)

    assert estimate is not None
    assert (estimate.lower_bound, estimate.n_scores, estimate.source) == (0.7, 0, "prior")


def test_what_nobody_rated_is_unknown() -> None:
    assert PriorQuality().estimate("org", "task", UNRATED) is None
    assert ScoredQuality(FrozenClock(NOW)).estimate("org", "task", UNRATED) is None


def test_without_scores_the_prior_stands() -> None:
    assert estimated() == QualityEstimate(0.7, 0.7)


def test_beside_scored_models_an_unscored_one_is_not_taken_to_be_better_than_they_are() -> None:
    source = ScoredQuality(FrozenClock(NOW))
    source.add([score(0.7)] * 20)
    scored = source.estimate("org", "triage", MODEL)
    unscored = source.estimate("org", "triage", ModelEntry("p/new", "p", "new", quality=0.7))

    assert scored is not None
    assert unscored is not None
    assert unscored.mean == 0.7
    assert unscored.lower_bound < scored.lower_bound


def test_one_score_moves_the_mean_a_little_and_many_carry_it() -> None:
    means = [estimated(*[score(1.0)] * count).mean for count in (0, 1, 10, 100, 1000)]

    assert means == sorted(means)
    assert means[1] < 0.8
    assert means[-1] > 0.99


def test_the_bound_lies_below_the_mean_and_rises_to_it_with_the_number_of_scores() -> None:
    few, many = estimated(*[score(1.0), score(0.0)] * 5), estimated(*[score(1.0), score(0.0)] * 500)

    assert few.lower_bound < few.mean
    assert many.mean - many.lower_bound < 0.05 < few.mean - few.lower_bound


def test_scores_halve_their_weight_in_seven_days() -> None:
    fresh = estimated(*[score(0.0)] * 20)
    old = estimated(*[score(0.0, days_ago=28)] * 20)

    assert (fresh.n_scores, old.n_scores) == (20, 1)
    assert old.mean > fresh.mean + 0.3


def test_old_scores_told_late_count_as_old() -> None:
    in_order = estimated(score(0.0, days_ago=14), *[score(1.0)] * 10)
    told_late = estimated(*[score(1.0)] * 10, score(0.0, days_ago=14))

    assert told_late.mean == pytest.approx(in_order.mean)


def test_a_new_version_of_the_model_starts_afresh() -> None:
    found = estimated(*[score(0.1, version="1")] * 50, score(0.9, version="2"))

    assert found.n_scores == 1
    assert found.mean > 0.6


def test_other_tasks_tell_a_little_about_a_task_without_scores() -> None:
    found = estimated(*[score(0.1)] * 50, task="translation")

    assert (found.n_scores, found.source) == (0, "other tasks")
    assert found.mean < 0.3


def test_when_tasks_differ_much_a_task_soon_speaks_for_itself() -> None:
    alike = [score(value, task=f"t{n}") for n in range(6) for value in (0.0, 1.0) * 20]
    apart = [score(value, task=f"t{n}") for n in range(6) for value in (n / 5,) * 40]
    own = [score(1.0)] * 5

    assert estimated(*apart, *own).mean > estimated(*alike, *own).mean + 0.1


def test_an_unrated_model_with_scores_is_drawn_toward_one_half() -> None:
    assert 0.5 < estimated(score(1.0), entry=UNRATED).mean < 0.75


@pytest.mark.parametrize("value", [-0.1, 1.1])
def test_a_value_outside_zero_and_one_is_ignored(value: float) -> None:
    assert estimated(score(value)) == QualityEstimate(0.7, 0.7)


def test_tenants_do_not_see_each_others_scores_and_can_be_forgotten() -> None:
    source = ScoredQuality(FrozenClock(NOW))
    source.add([score(0.0)] * 20)

    assert source.estimate("another", "triage", MODEL) == QualityEstimate(0.7, 0.7)
    source.forget("org")
    assert source.estimate("org", "triage", MODEL) == QualityEstimate(0.7, 0.7)


@given(
    st.lists(
        st.tuples(st.floats(0, 1), st.floats(0, 60), st.sampled_from("abc"), st.sampled_from(["", "1", "2"])),
        max_size=60,
    )
)
def test_whatever_the_scores_mean_and_bound_stay_in_order(scores: list[tuple[float, float, str, str]]) -> None:
    found = estimated(*[score(value, days_ago=age, task=task, version=of) for value, age, task, of in scores], task="a")

    assert 0 <= found.lower_bound <= found.mean <= 1
