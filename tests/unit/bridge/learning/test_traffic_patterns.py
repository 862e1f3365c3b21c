from math import sqrt

import pytest

from bridge.learning import traffic_patterns
from bridge.learning.traffic_patterns import TrafficPatterns
from tests.support.observations import observation

NORTH, EAST = (1.0, 0.0), (0.0, 1.0)
NEARLY_NORTH = (0.96, sqrt(1 - 0.96**2))


def test_calls_are_counted_by_hour_task_and_size() -> None:
    patterns = TrafficPatterns()
    for hour, task, tokens in ((9, "triage", 100), (9, "triage", 5_000), (17, "draft", 50_000)):
        patterns.observe(observation(hour, task=task, input_tokens=tokens))

    report = patterns.report()

    assert [(row.name, row.calls) for row in report.by_hour] == [("09:00", 2), ("17:00", 1)]
    assert [(row.name, row.calls) for row in report.by_task] == [("triage", 2), ("draft", 1)]
    assert [row.name for row in report.by_size] == ["under 250", "4,000 to 16,000", "over 16,000"]
    assert report.by_task[0].share == pytest.approx(2 / 3)
    assert report.busiest_hours == (9,)


def test_a_row_says_what_its_calls_cost_and_how_they_went() -> None:
    patterns = TrafficPatterns()
    patterns.observe(observation(cost_nano_usd=2_000_000_000, latency_s=1.0))
    patterns.observe(observation(cost_nano_usd=None, is_success=False, latency_s=3.0))
    patterns.observe(observation(cost_nano_usd=0, is_cached=True, latency_s=2.0))

    (row,) = patterns.report().by_task

    assert (row.cost_usd, row.latency_p50_s) == (2.0, 2.0)
    assert row.failure_share == row.cached_share == pytest.approx(1 / 3)


def test_prompts_that_resemble_each_other_are_one_group() -> None:
    patterns = TrafficPatterns()
    for text, vector in (("refund please", NORTH), ("a refund", NEARLY_NORTH), ("opening hours", EAST)):
        patterns.group(observation(), text, vector)

    first, second = patterns.report().clusters

    assert (first.example, first.traffic.calls) == ("refund please", 2)
    assert (second.example, second.traffic.calls, second.tightness) == ("opening hours", 1, 1.0)
    assert first.traffic.share == pytest.approx(2 / 3)


def test_the_number_of_groups_and_tasks_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traffic_patterns, "MAX_CLUSTERS", 1)
    monkeypatch.setattr(traffic_patterns, "MAX_TASKS", 1)
    patterns = TrafficPatterns()
    for task, vector in (("a", NORTH), ("b", EAST), ("c", EAST)):
        patterns.observe(observation(task=task))
        patterns.group(observation(), task, vector)

    report = patterns.report()

    assert [row.name for row in report.by_task] == ["(other)", "a"]
    assert [cluster.traffic.calls for cluster in report.clusters] == [3]


def test_nothing_observed_is_an_empty_report() -> None:
    report = TrafficPatterns().report()

    assert (report.calls, report.by_hour, report.clusters, report.busiest_hours) == (0, (), (), ())
