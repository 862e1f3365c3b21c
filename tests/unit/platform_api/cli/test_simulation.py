import pytest

from bridge.simulation.comparison import Comparison, Verdict, compared
from bridge.simulation.contenders import contenders
from platform_api.cli import simulation
from platform_api.cli.outcome import out
from tests.support.scenarios import scenario


@pytest.fixture(scope="module")
def comparison() -> Comparison:
    outage = [{"kind": "outage", "where": "near", "at_h": 0.5}]
    bounds = [
        {"policy": "priority", "figure": "availability", "at_least": 0.99},
        {"policy": "random", "figure": "availability", "at_least": 0.99, "at_most": 1},
        {"policy": "priority", "figure": "cache_hit_rate", "at_least": 0.5},
    ]
    day = scenario(name="[a] storm", policies=["priority", "random"], events=outage, expect=bounds)
    return compared(day, contenders(day), processes=1)


def shown(comparison: Comparison, *, only_missed: bool) -> str:
    with out.capture() as captured:
        simulation._show(comparison, took_s=1.25)  # pyright: ignore[reportPrivateUsage]  # what the command prints
        simulation._show_bounds(comparison, only_missed=only_missed)  # pyright: ignore[reportPrivateUsage]
    return captured.get()


def test_policies_stand_side_by_side(comparison: Comparison) -> None:
    text = shown(comparison, only_missed=True)

    assert "[a] storm" in text
    rows = {line[:16].strip(): line[16:].split() for line in text.splitlines()}
    assert rows["calls"] == ["40", "40"]
    assert rows["availability"][0] == "100.000%"
    assert rows["attempts a call"][1] == "1.000"
    assert "x unavailable" in text
    assert "80 calls of 1 simulated hours, seed 5, in 1.2 s" in text


def test_bounds_are_shown_when_asked_for_and_missed_ones_always(comparison: Comparison) -> None:
    checked, plain = shown(comparison, only_missed=False), shown(comparison, only_missed=True)

    assert "met     priority: availability 1, at least 0.99" in checked
    assert "missed  priority: cache_hit_rate nothing to measure, at least 0.5" in plain
    assert "and at most 1" in plain
    assert "met     priority: availability" not in plain


def test_a_verdict_says_value_and_limits() -> None:
    verdict = Verdict("best", "quality", None, 0.9, 0.91234567, "missed")

    assert simulation._bound(verdict) == "best: quality 0.91235, at most 0.9"  # pyright: ignore[reportPrivateUsage]
