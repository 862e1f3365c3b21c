"""The flow language's semantics, case by case, on the inline lane; what is refused, at its place."""

from dataclasses import replace

import pytest

from bridge.clock import FrozenClock
from nodes.node import node_types
from tests.support.conformance import Case, CaseAnswers, CaseModels, cases, running_cases
from tests.support.engine import START, Engine


@pytest.mark.parametrize("case", running_cases(), ids=lambda case: case.name)
async def test_a_run_ends_as_the_case_says(case: Case) -> None:
    clock = FrozenClock(START)
    engine = Engine(CaseModels(), clock=clock)
    answers = CaseAnswers(clock, {"r1": case.answers})
    engine.services = replace(engine.services, node_types=node_types(), answers=answers)
    engine.lane = type(engine.lane)(engine.services)

    run = await engine.start(case.plan, case.inputs)
    while run.status == "waiting" and (answers.give("r1") or run.wake_at is not None):
        if run.wake_at is not None and not case.answers:
            clock.advance((run.wake_at - clock.now()).total_seconds())
        run = await engine.walk(case.plan)

    events = await engine.store.events("r1")
    assert case.seen(run, await engine.store.steps("r1"), events) == case.wanted
    assert case.began_too_early(events) == []


@pytest.mark.parametrize(
    "case", [case for case in cases() if "diagnostics" in case.expected], ids=lambda case: case.name
)
def test_a_document_gets_the_diagnostics_that_the_case_says(case: Case) -> None:
    assert case.found() == case.expected["diagnostics"]
    assert (case.checked.plan is not None) == case.is_run


def test_there_are_as_many_cases_as_the_language_is_said_to_have() -> None:
    assert len(cases()) >= 150
    assert len(running_cases()) >= 120
