from datetime import timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from bridge.learning.switching import RETURN_MARGIN, Standing, SwitchAdvice, SwitchAdvisor
from tests.support.observations import START


def looked(advisor: SwitchAdvisor, *scores: tuple[float, float], calls: int = 100) -> list[SwitchAdvice]:
    """Scores of `a` and `b`, look by look."""
    return [
        advisor.look({"a": Standing(a, calls), "b": Standing(b, calls)}, START + timedelta(minutes=n))
        for n, (a, b) in enumerate(scores)
    ]


def test_a_rival_must_be_ahead_three_looks_in_a_row() -> None:
    advice = looked(SwitchAdvisor("a"), (0.5, 0.6), (0.5, 0.6), (0.5, 0.6))

    assert [one.action for one in advice] == ["watch", "watch", "switch"]
    assert (advice[-1].incumbent, advice[-1].rival) == ("a", "b")


def test_one_look_behind_begins_the_count_again() -> None:
    advice = looked(SwitchAdvisor("a"), (0.5, 0.6), (0.5, 0.6), (0.5, 0.5), (0.5, 0.6))

    assert [one.action for one in advice] == ["watch", "watch", "stay", "watch"]


def test_a_small_lead_is_not_enough() -> None:
    (advice,) = looked(SwitchAdvisor("a"), (0.5, 0.51))

    assert advice.action == "stay"
    assert "ahead by 2.0% only" in advice.reason


def test_the_way_back_needs_a_larger_lead() -> None:
    advisor = SwitchAdvisor("a")
    looked(advisor, *[(0.5, 0.6)] * 3)

    advice = looked(advisor, *[(0.66, 0.6)] * 5)

    assert {one.action for one in advice} == {"stay"}
    assert looked(advisor, *[(0.7, 0.6)] * 3)[-1].action == "switch"
    assert [(one.before, one.after) for one in advisor.changes] == [("a", "b"), ("b", "a")]


def test_too_few_calls_say_how_many_are_missing() -> None:
    (advice,) = looked(SwitchAdvisor("a"), (0.1, 0.9), calls=20)

    assert advice.reason == "not enough data: 10 more calls of a needed"


def test_a_choice_without_a_rival_stays() -> None:
    advice = SwitchAdvisor("a").look({"a": Standing(0.5, 100)}, START)

    assert (advice.action, advice.rival) == ("stay", None)


def test_the_reason_names_the_terms_that_lead() -> None:
    mine = Standing(0.5, 100, {"cost": 0.2, "latency": 0.9, "quality": 0.5})
    rival = Standing(0.8, 100, {"cost": 1.0, "latency": 0.8, "quality": 0.6})

    advice = SwitchAdvisor("a", looks=1).look({"a": mine, "b": rival}, START)

    assert advice.reason.endswith("better cost and quality")


@given(st.lists(st.floats(-0.05, 0.05), min_size=1, max_size=60))
def test_noise_below_the_margin_never_switches(noise: list[float]) -> None:
    advisor = SwitchAdvisor("a", margin=0.12)

    looked(advisor, *[(0.5, 0.5 + one) for one in noise])

    assert advisor.incumbent == "a"


@given(st.lists(st.tuples(st.floats(0.1, 1), st.floats(0.1, 1)), min_size=1, max_size=80))
def test_switches_are_at_least_three_looks_apart_and_always_to_the_better(scores: list[tuple[float, float]]) -> None:
    advisor = SwitchAdvisor("a")

    advice = looked(advisor, *scores)

    switches = [n for n, one in enumerate(advice) if one.action == "switch"]
    assert all(later - earlier >= 3 for earlier, later in pairwise(switches))
    assert all(advice[n].lead >= 0.05 for n in switches)
    assert all(advice[n].lead >= RETURN_MARGIN for n in switches[1:])
