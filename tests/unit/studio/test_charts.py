from datetime import UTC, datetime, timedelta
from typing import Any

from studio.api_shapes import RunDetail, RunSummary
from studio.charts import MAX_BUCKETS, bucket_width, cost_by_step, gantt, outcome_histogram, spans
from tests.support.studio_rows import SUCCEEDS, FakeRun, history

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def run_after(seconds: float) -> RunDetail:
    return RunDetail.model_validate(FakeRun("r-1", SUCCEEDS, NOW - timedelta(seconds=seconds), {}).detail(NOW))


def rows_after(seconds: float) -> Any:
    run = run_after(seconds)
    names = [node.id for node in run.graph.nodes]
    return spans(names, run.steps, run.graph.edges, started_at=run.started_at, now=NOW)


def test_a_span_begins_when_its_last_upstream_ended_and_runs_until_now() -> None:
    draft = next(row for row in rows_after(2.0) if row.name == "draft")

    assert draft.status == "running"
    assert draft.is_running
    assert draft.waited_from_s is not None
    assert abs(draft.waited_from_s - 1.25) < 0.01
    assert abs((draft.ends_s or 0) - 1.95) < 0.01


def test_steps_that_have_not_begun_keep_their_row() -> None:
    figure: Any = gantt(rows_after(2.0), run_id="r-1", scheme="light", now_s=1.95)

    assert list(figure.layout.yaxis.categoryarray)[::-1] == [
        "classify", "find_similar", "draft", "judge", "route", "reply", "escalate", "audit",
    ]  # fmt: skip
    assert figure.layout.uirevision == "r-1"
    assert [shape.type for shape in figure.layout.shapes] == ["line"]


def test_a_finished_timeline_has_one_trace_a_status_and_no_now_line() -> None:
    figure: Any = gantt(rows_after(100), run_id="r-1", scheme="dark", now_s=None)

    assert [trace.name for trace in figure.data] == ["Waiting to start", "Succeeded"]
    assert len(figure.layout.shapes) == 0


def test_costs_are_ranked_and_free_steps_left_out() -> None:
    figure: Any = cost_by_step([("a", 0.1, "m"), ("b", 0.0, None), ("c", 0.3, "n")], run_id="r", scheme="light")

    assert list(figure.data[0].y) == ["a", "c"]


def test_the_histogram_counts_every_run_once_in_few_bars() -> None:
    runs = [RunSummary.model_validate(row) for row in history(NOW)]
    drawn: Any = outcome_histogram(runs, begin=NOW - timedelta(days=7), end=NOW, scheme="light")
    bars: list[Any] = list(drawn[0].data)
    width = drawn[1]

    assert width == timedelta(hours=6)
    assert sum(sum(trace.y) for trace in bars) == len(runs)
    assert all(len(trace.x) <= MAX_BUCKETS for trace in bars)
    assert [trace.name for trace in bars] == ["Succeeded", "Partial", "Failed", "Cancelled"]


def test_no_window_needs_more_than_120_bars() -> None:
    for days in (0.01, 1, 30, 365, 5000):
        window = timedelta(days=days)
        assert window / bucket_width(NOW - window, NOW) <= MAX_BUCKETS
