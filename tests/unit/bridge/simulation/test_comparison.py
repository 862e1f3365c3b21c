import json

from bridge.simulation.comparison import compared
from bridge.simulation.contenders import contenders
from tests.support.scenarios import scenario

BOUNDS = [
    {"policy": "cheapest", "figure": "availability", "at_least": 0.99},
    {"policy": "cheapest", "figure": "saving_against_best", "at_least": 0.5},
    {"policy": "best", "figure": "latency_p50_s", "at_most": 0.001},
    {"policy": "cheapest", "figure": "cache_hit_rate", "at_least": 0.1},
]
DAY = scenario(policies=["cheapest", "best"], expect=BOUNDS)


def test_policies_stand_side_by_side_and_bounds_are_judged() -> None:
    comparison = compared(DAY, contenders(DAY), processes=1)

    assert list(comparison.figures) == ["cheapest", "best"]
    assert comparison.calls == 80
    saving = comparison.figures["cheapest"].saving_against_best
    assert saving is not None
    assert 0.5 < saving < 0.8
    assert comparison.figures["best"].saving_against_best == 0.0
    assert [verdict.outcome for verdict in comparison.verdicts] == ["met", "met", "missed", "missed"]
    assert comparison.is_missed


def test_bounds_of_what_was_not_run_are_not_missed() -> None:
    comparison = compared(DAY, contenders(DAY, ("cheapest",)), processes=1)

    assert [verdict.outcome for verdict in comparison.verdicts] == ["met", "not run", "not run", "missed"]


def test_another_seed_is_used_and_shown() -> None:
    comparison = compared(DAY, contenders(DAY, ("cheapest",)), seed=77, processes=1)

    assert comparison.to_json()["seed"] == 77


def test_how_far_each_policy_is_is_told() -> None:
    told: list[dict[str, float]] = []
    compared(DAY, contenders(DAY), processes=1, watch=lambda done: told.append(dict(done)))

    assert told[0] == {"cheapest": 0.0, "best": 0.0}
    assert told[-1] == {"cheapest": 1.0, "best": 1.0}


def test_everything_is_plain_json() -> None:
    comparison = compared(DAY, contenders(DAY, ("cheapest",)), processes=1)

    stored = json.loads(json.dumps(comparison.to_json()))
    assert stored["policies"]["cheapest"]["calls"] == 40
