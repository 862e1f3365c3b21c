"""Every case again, cancelled while it goes on: it ends soon, closes every step, cleans up, and reports no failure."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from bridge.clock import Clock
from flows.engine_services import EngineLimits
from flows.run_memory import MemoryRunStore
from flows.runs import FINAL_STEP, RunEvent, RunOwner, StepRun
from nodes.node import node_types
from tests.support.conformance import Case, CaseModels, running_cases
from tests.support.engine import Engine

AT_ONCE = 8
WATCHFUL = EngineLimits(flush_after_s=0.0, cancel_poll_s=0.001)
SOON_S = 5.0


class CancellingStore(MemoryRunStore):
    """Asks for the end of its run after so many writes of steps."""

    def __init__(self, clock: Clock, n_writes: int) -> None:
        super().__init__(clock)
        self._n_left = n_writes

    async def save_steps(self, owner: RunOwner, steps: Sequence[StepRun]) -> Sequence[RunEvent]:
        events = await super().save_steps(owner, steps)
        self._n_left -= 1
        if self._n_left == 0:
            await self.request_cancel("acme", owner.run_id)
        return events


@pytest.mark.parametrize("n_writes", [1, 2, 3, 5])
async def test_cancelled_runs_end_soon_and_leave_nothing_open(n_writes: int) -> None:
    slots = asyncio.Semaphore(AT_ONCE)

    async def problems(case: Case) -> tuple[bool, list[str]]:
        async with slots, asyncio.timeout(SOON_S):
            return await cancelled(case, n_writes)

    cases = running_cases()
    found = await asyncio.gather(*(problems(case) for case in cases))

    assert {case.name: wrong for case, (_, wrong) in zip(cases, found, strict=True) if wrong} == {}
    assert sum(is_cancelled for is_cancelled, _ in found) > 10


async def cancelled(case: Case, n_writes: int) -> tuple[bool, list[str]]:
    """Whether the cancel came before the end, and what is wrong about how it ended."""
    engine = Engine(CaseModels(), limits=WATCHFUL)
    engine.store = CancellingStore(engine.clock, n_writes)
    engine.services = replace(engine.services, node_types=node_types(), store=engine.store)
    engine.lane = type(engine.lane)(engine.services)
    run = await engine.start(case.plan, case.inputs)
    if run.status == "waiting":
        await engine.store.request_cancel("acme", "r1")
        run = await engine.walk(case.plan)
    steps = await engine.steps()
    wrong = [f"{path} is {step.status}" for path, step in steps.items() if step.status not in FINAL_STEP]
    wrong += [f"no word of {step.id}" for step in case.plan.block.steps if step.id not in steps]
    if run.status == "cancelled":
        wrong += [f"{step.id} ran" for step in case.plan.on_failure if steps[step.id].reason != "unused"]
        wrong += [f"{step.id} did not run" for step in case.plan.finally_steps if steps[step.id].status == "cancelled"]
    return run.status == "cancelled", wrong
