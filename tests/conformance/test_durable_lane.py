"""The same cases on the durable lane: the same ends, and in Prefect one task run for every step that was executed."""

from collections.abc import Mapping

import pytest

from tests.support.conformance import Case, running_cases
from tests.support.durable_cases import DurableCase, executed

pytestmark = [pytest.mark.peer, pytest.mark.timeout(600)]

STATES = {"succeeded": "COMPLETED", "partial": "COMPLETED", "failed": "FAILED", "cancelled": "CANCELLED"}


@pytest.mark.parametrize("case", running_cases(), ids=lambda case: case.name)
def test_a_run_ends_as_the_case_says(case: Case, durable: Mapping[str, DurableCase]) -> None:
    found = durable[case.name]

    assert case.seen(found.walked.run, found.walked.steps, found.walked.events) == case.wanted
    assert case.began_too_early(found.walked.events) == []
    assert found.task_runs.keys() == executed(found.walked.steps).keys()
    assert all(
        found.task_runs[path] in ({"CANCELLED", "WAITING"} if step.status == "cancelled" else {STATES[step.status]})
        for path, step in executed(found.walked.steps).items()
    ), found.task_runs
    assert found.state == STATES[found.walked.run.status]
