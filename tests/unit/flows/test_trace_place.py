"""Where steps stand in a trace follows from the run and the path alone."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from flows.runs import Run
from flows.trace_place import parent_path, span_id, traceparent_of

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
RUN = Run(
    id="r1",
    org_id="o1",
    flow="report",
    version=1,
    status="running",
    inputs={},
    trigger="api",
    lane="inline",
    created_at=datetime(2026, 5, 1, tzinfo=UTC),
    epoch=1,
    traceparent=PARENT,
)


def test_a_run_outside_of_traces_puts_its_calls_into_none() -> None:
    assert traceparent_of(replace(RUN, traceparent=None), "draft") is None


def test_a_call_names_the_step_as_its_parent_in_the_runs_trace() -> None:
    said = traceparent_of(RUN, "draft")

    assert said == f"00-4bf92f3577b34da6a3ce929d0e0e4736-{span_id(RUN, 'draft')}-01"


def test_whoever_walks_the_run_comes_to_the_same_span() -> None:
    elsewhere = replace(RUN, lane="prefect", status="waiting")

    assert span_id(elsewhere, "draft") == span_id(RUN, "draft")


def test_paths_walks_and_runs_are_told_apart() -> None:
    others = {span_id(RUN), span_id(RUN, "draft"), span_id(RUN, "draft[0]"), span_id(replace(RUN, epoch=2), "draft")}

    assert len(others | {span_id(replace(RUN, id="r2"), "draft")}) == 5


@pytest.mark.parametrize(
    ("path", "around"),
    [("draft", ""), ("outer.inner", "outer"), ("outer[2].inner", "outer"), ("outer[2]", "outer"), ("a.b[1].c", "a.b")],
)
def test_a_step_is_below_the_one_it_is_nested_in(path: str, around: str) -> None:
    assert parent_path(path) == around
