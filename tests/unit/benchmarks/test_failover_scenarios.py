"""The judge of the failover benchmark must find what it is there to find."""

from typing import Any

import pytest

from benchmarks.failover_scenarios import SCENARIOS, Observed, judged
from benchmarks.failover_upstream import KNOWN_ANSWER

BY_ID = {scenario.id: scenario for scenario in SCENARIOS}


def seen(**facts: Any) -> Observed:
    whole: dict[str, Any] = {
        "text": KNOWN_ANSWER,
        "error": None,
        "model": "two/m",
        "has_usage": True,
        "wall_s": 1.0,
        "primary_at_s": (0.0,),
        "fallback_at_s": (0.5,),
    }
    return Observed(**{**whole, **facts})


@pytest.mark.parametrize(
    ("scenario", "facts", "word"),
    [
        ("S01", {"primary_at_s": (0.0, 2.1)}, "pass"),
        ("S01", {"primary_at_s": (0.0, 1.6)}, "partial"),
        ("S01", {}, "partial"),
        ("S01", {"primary_at_s": (0.0, 0.1, 0.2)}, "fail"),
        ("S02", {"primary_at_s": (0.0, 1.0, 2.0, 2.5, 2.9)}, "fail"),
        ("S02", {"primary_at_s": (0.0, 1.0, 2.0, 4.0, 5.0, 6.0, 7.0)}, "fail"),
        ("S03", {}, "partial"),
        ("S04", {"error": "UnavailableError: 503", "text": ""}, "safe"),
        ("S05", {"error": "hung", "text": "", "wall_s": 25.0}, "fail"),
        ("S06", {"wall_s": 101.0}, "fail"),
        ("S06", {"primary_at_s": (0.0, 10.0), "wall_s": 21.0}, "partial"),
        ("S07", {"wall_s": 16.0}, "partial"),
        ("S08", {"text": KNOWN_ANSWER[:100]}, "fail"),
        ("S08", {"text": KNOWN_ANSWER[:100], "error": "StreamInterruptedError: cut"}, "safe"),
        ("S08", {"text": KNOWN_ANSWER + KNOWN_ANSWER}, "fail"),
        ("S09", {"healthy_afterwards": False}, "fail"),
        ("S10b", {}, "partial"),
        ("S10b", {"fallback_at_s": ()}, "pass"),
        ("S11", {"wall_s": 9.0}, "fail"),
        ("S11", {"has_usage": False}, "partial"),
        ("S12", {"primary_at_s": (0.0, 0.1)}, "fail"),
        ("S13", {"error": "ContentFilterError: refused", "text": ""}, "pass"),
        ("S13", {}, "partial"),
        ("S14", {"text": "", "error": "RejectedError: prefilling is not supported"}, "fail"),
        ("S16", {"model": "one/m"}, "fail"),
        ("S16", {"has_usage": False}, "partial"),
        ("S16", {}, "pass"),
    ],
)
def test_the_verdict_follows_the_criteria(scenario: str, facts: dict[str, Any], word: str) -> None:
    assert judged(BY_ID[scenario], seen(**facts)).word == word


def test_every_scenario_of_the_table_is_there() -> None:
    numbers = {scenario.id[:3] for scenario in SCENARIOS} | {"S15"}  # which has a file of its own

    assert numbers == {f"S{n:02d}" for n in range(1, 17)}
