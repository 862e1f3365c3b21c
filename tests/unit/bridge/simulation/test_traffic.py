import random
from collections import Counter

import pytest

from bridge.simulation.scenario import Burst, Spread, TaskTraffic, Traffic
from bridge.simulation.traffic import arrival_times, arrivals, drawn
from tests.support.scenarios import scenario


def traffic(**fields: object) -> Traffic:
    return Traffic.model_validate({"tasks": {"t": {}}, **fields})


def test_exactly_as_many_calls_as_said_in_order_and_within_the_day() -> None:
    times = arrival_times(traffic(calls=500), 24, random.Random(1))

    assert len(times) == 500
    assert times == sorted(times)
    assert 0 <= times[0] <= times[-1] <= 24 * 3600


def test_the_day_has_its_shape() -> None:
    shape = [0.0] * 24
    shape[12] = 1.0
    times = arrival_times(traffic(calls=300, load_by_hour=shape), 24, random.Random(1))

    assert all(11.4 * 3600 < at_s < 13.6 * 3600 for at_s in times)


def test_a_burst_brings_more() -> None:
    burst = Burst(at_h=6, minutes=60, factor=23)
    times = arrival_times(traffic(calls=4000, bursts=[burst]), 24, random.Random(1))

    inside = sum(6 * 3600 <= at_s < 7 * 3600 for at_s in times)
    assert inside / 4000 == pytest.approx(0.5, abs=0.04)


def test_the_same_seed_brings_the_same_calls() -> None:
    one, same, other = (list(arrivals(scenario(), seed)) for seed in (1, 1, 2))

    assert one == same
    assert one != other


def test_every_prompt_is_new_when_nothing_is_said() -> None:
    calls = list(arrivals(scenario(), 1))

    assert len({call.text for call in calls}) == len(calls)


def test_no_two_prompts_are_about_the_same() -> None:
    about = [frozenset(call.text.split()[2:]) for call in arrivals(scenario(), 1)]

    shared = max(len(one & other) for n, one in enumerate(about) for other in about[:n])
    assert shared <= 4


def test_a_prompt_is_as_long_as_its_tokens_say() -> None:
    tasks = {"long": {"prompt_tokens": {"median": 500, "spread": 0.2}}}

    for call in arrivals(scenario(traffic={"calls": 20, "tasks": tasks}), 1):
        assert len(call.text) == call.prompt_tokens * 4


def test_prompts_repeat_with_a_zipf_share() -> None:
    tasks = {"faq": TaskTraffic(prompts=50, zipf=1.0).model_dump()}
    calls = list(arrivals(scenario(traffic={"calls": 3000, "tasks": tasks}), 1))

    topics = Counter(call.topic for call in calls)
    assert len(topics) == 50
    assert topics[0] / topics[9] == pytest.approx(10, rel=0.4)
    assert len({call.text for call in calls}) == 50
    assert len({(call.topic, call.prompt_tokens) for call in calls}) == 50


def test_questions_are_asked_in_all_their_wordings() -> None:
    tasks = {"faq": {"questions": [["Where is it?", "where is it"], ["When?"]]}}
    calls = list(arrivals(scenario(traffic={"calls": 200, "tasks": tasks}), 1))

    assert {(call.topic, call.text) for call in calls} == {(0, "Where is it?"), (0, "where is it"), (1, "When?")}


def test_tasks_share_the_traffic() -> None:
    tasks = {"rare": {"share": 1}, "often": {"share": 3, "stream_share": 1.0}}
    calls = list(arrivals(scenario(traffic={"calls": 2000, "tasks": tasks}), 1))

    often = [call for call in calls if call.task == "often"]
    assert len(often) / 2000 == pytest.approx(0.75, abs=0.03)
    assert all(call.is_stream for call in often)


def test_a_spread_of_zero_is_its_median() -> None:
    assert drawn(Spread(median=7, spread=0), random.Random(1)) == 7


def test_half_of_a_spread_lies_under_its_median() -> None:
    rng = random.Random(1)
    values = [drawn(Spread(median=100, spread=0.5), rng) for _ in range(2000)]

    assert sum(value < 100 for value in values) / 2000 == pytest.approx(0.5, abs=0.03)
