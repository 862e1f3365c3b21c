"""What walks leave in the metrics, and how they become spans."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import CollectorRegistry

from flows.runs import Run, StepError, StepRun
from flows.trace_place import span_id
from platform_api.operations.run_metrics import RunMetrics
from platform_api.operations.run_spans import RunSpans
from platform_api.operations.tracing import Tracing

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)
RUN_ID = "0197a2b4-0000-7000-8000-00000000000a"
TRACE, CALLER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
RUN = Run(
    id=RUN_ID,
    org_id="o1",
    flow="report",
    version=3,
    status="succeeded",
    inputs={"secret": "my prompt"},
    outputs={"text": "my answer"},
    trigger="api",
    lane="inline",
    created_at=NOON,
    started_at=NOON,
    finished_at=NOON + timedelta(seconds=2),
    epoch=1,
    traceparent=f"00-{TRACE}-{CALLER}-01",
)
STEP = StepRun(
    path="draft",
    step="draft",
    type="llm",
    status="failed",
    attempts=3,
    output="my answer",
    error=StepError("timeout", "no result for ann@example.com", node="draft", path="draft"),
    started_at=NOON,
    finished_at=NOON + timedelta(seconds=1),
)


def test_steps_are_counted_by_type_and_end_with_their_time_and_their_retries() -> None:
    registry = CollectorRegistry()

    RunMetrics(registry).step_ended(RUN, STEP)

    value = registry.get_sample_value
    assert value("modelbridge_steps_total", {"type": "llm", "status": "failed"}) == 1
    assert value("modelbridge_step_seconds_sum", {"type": "llm"}) == 1.0
    assert value("modelbridge_step_retries_total", {"type": "llm"}) == 2


def test_a_step_that_never_began_has_no_duration() -> None:
    registry = CollectorRegistry()

    RunMetrics(registry).step_ended(RUN, replace(STEP, status="skipped", started_at=None, attempts=0, error=None))

    assert registry.get_sample_value("modelbridge_steps_total", {"type": "llm", "status": "skipped"}) == 1
    assert registry.get_sample_value("modelbridge_step_seconds_count", {"type": "llm"}) is None


@pytest.mark.parametrize(
    ("status", "n_counted"), [("succeeded", 1), ("partial", 1), ("waiting", None), ("queued", None)]
)
def test_a_run_is_counted_when_it_has_come_to_its_end(status: str, n_counted: int | None) -> None:
    registry = CollectorRegistry()
    run = replace(RUN, status=status)  # pyright: ignore[reportArgumentType]  # a RunStatus

    RunMetrics(registry).walk_ended(run, began_at=NOON, ended_at=NOON)

    assert registry.get_sample_value("modelbridge_runs_total", {"status": status, "lane": "inline"}) == n_counted


async def test_the_spans_of_a_run_say_names_and_numbers_and_no_content() -> None:
    exporter = InMemorySpanExporter()
    tracing = Tracing(exporter)
    spans = RunSpans(tracing)

    spans.step_ended(RUN, STEP)
    spans.walk_ended(replace(RUN, status="failed"), began_at=NOON, ended_at=NOON + timedelta(seconds=2))
    await tracing.aclose()

    step, walk = exporter.get_finished_spans()
    said = step.to_json() + walk.to_json()
    assert (step.name, walk.name) == ("step draft", "invoke_workflow report")
    assert step.parent is not None
    assert f"{step.parent.span_id:016x}" == span_id(RUN)
    assert walk.parent is not None
    assert f"{walk.parent.span_id:016x}" == CALLER
    assert (step.attributes or {})["error.type"] == "timeout"
    assert not [word for word in ("my prompt", "my answer", "ann@example.com") if word in said]


async def test_a_run_that_nobody_traced_has_asked_for_is_the_root_of_its_own_trace_in_every_walk() -> None:
    exporter = InMemorySpanExporter()
    tracing = Tracing(exporter)
    own = replace(RUN, traceparent=tracing.trace_of_run(RUN_ID))

    for epoch in (1, 2):
        RunSpans(tracing).walk_ended(replace(own, epoch=epoch), began_at=NOON, ended_at=NOON)
    await tracing.aclose()

    first, second = (span.context for span in exporter.get_finished_spans())
    assert first is not None
    assert second is not None
    assert [span.parent for span in exporter.get_finished_spans()] == [None, None]
    assert f"{first.trace_id:032x}" == RUN_ID.replace("-", "") == f"{second.trace_id:032x}"
    assert first.span_id != second.span_id
