import json
from collections.abc import Mapping, Sequence

from bridge.simulation.contenders import contenders
from bridge.simulation.figures import Figures
from bridge.simulation.runner import simulated_day
from tests.support.scenarios import BRIDGE, TRAFFIC, scenario


def lived(
    policy: str = "priority", *, seed: int | None = None, events: Sequence[Mapping[str, object]] = (), **changes: object
) -> Figures:
    day = scenario(events=events, **changes)
    return simulated_day(day, contenders(day, (policy,))[0], seed=seed)


def test_a_quiet_hour_is_answered_by_the_first_in_line() -> None:
    figures = lived()

    assert (figures.calls, figures.answered, figures.availability) == (40, 40, 1.0)
    assert figures.served_by == {"near/a": 40}
    assert (figures.attempts_per_call, figures.probes, figures.errors) == (1.0, 0, {})
    assert figures.cache_hit_rate is None
    assert figures.cost_usd > 0


def test_the_same_seed_gives_the_same_figures_to_the_last_digit() -> None:
    assert json.dumps(lived(seed=9).to_json()) == json.dumps(lived(seed=9).to_json())
    assert lived(seed=9) != lived(seed=10)


def test_an_outage_fails_over_and_costs_probes() -> None:
    outage = [{"kind": "outage", "where": "near", "at_h": 0, "minutes": 50}]
    figures = lived(events=outage, traffic={**TRAFFIC, "calls": 200})

    assert figures.availability == 1.0
    assert figures.served_by["far/b"] > 100
    assert figures.probes_failed > 0
    assert figures.attempts_per_call > 1


def test_the_baseline_loses_what_its_choice_loses() -> None:
    outage = [{"kind": "outage", "where": "near", "at_h": 0}]
    figures = lived("random", events=outage, traffic={**TRAFFIC, "calls": 200})

    assert 0.3 < figures.availability < 0.7
    assert figures.errors == {"unavailable": 200 - figures.answered}
    assert figures.attempts_per_call == 1.0


def test_streams_have_a_first_token() -> None:
    tasks = {"talk": {"stream_share": 1.0, "output_tokens": {"median": 100, "spread": 0}}}
    figures = lived(traffic={"calls": 20, "tasks": tasks})

    assert figures.ttft_p50_s is not None
    assert figures.latency_p50_s is not None
    assert 0.1 < figures.ttft_p50_s < figures.latency_p50_s


def test_a_cache_answers_what_was_asked_before() -> None:
    tasks = {"talk": {"prompts": 2}}
    variants = {"cached": {"cache": "exact"}}
    figures = lived("cached", variants=variants, traffic={"calls": 60, "tasks": tasks})

    assert figures.cache_hit_rate is not None
    assert figures.cache_hit_rate > 0.9
    assert figures.false_hit_rate == 0.0
    assert figures.served_by["cache"] == round(figures.cache_hit_rate * 60)


def test_quality_is_that_of_the_answers() -> None:
    calls = {**TRAFFIC, "calls": 250}
    worse, better = lived("cheapest", traffic=calls), lived("best", traffic=calls)

    for figures, truth in ((worse, 0.8), (better, 0.95)):
        assert figures.quality is not None
        assert abs(figures.quality - truth) < 0.06
    assert worse.quality_regret - better.quality_regret > 0.08


def test_progress_is_told_to_the_end() -> None:
    told: list[float] = []
    day = scenario()
    simulated_day(day, contenders(day)[0], on_progress=told.append)

    assert told[0] == 0.0
    assert told[-1] == 1.0


def test_the_router_learns_from_scores_that_its_priors_are_wrong() -> None:
    calls = {**TRAFFIC, "calls": 300}
    models = {"near/a": {"quality": 0.3}, "far/b": {"quality": 0.95}}
    wrong = {
        **BRIDGE,
        "models": {
            "near/a": {"input_usd_per_mtok": 1.0, "output_usd_per_mtok": 2.0, "quality": 0.95},
            "far/b": {"input_usd_per_mtok": 3.0, "output_usd_per_mtok": 6.0, "quality": 0.9},
        },
    }
    blind = lived("best", bridge=wrong, world={"models": models}, traffic=calls)
    told = lived("best", bridge=wrong, world={"models": models}, traffic=calls, feedback={"share": 0.5, "after_s": 10})

    assert blind.served_by == {"near/a": 300}
    assert told.served_by["far/b"] > 200
