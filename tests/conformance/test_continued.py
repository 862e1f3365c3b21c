"""Every case again, its walk lost at some write and continued by another: the same end, and nothing paid for twice."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest

from bridge.clock import Clock, FrozenClock
from flows.engine_services import EngineLimits
from flows.run_memory import MemoryRunStore
from flows.runs import FINAL_RUN, Run, RunEvent, RunOwner, StaleOwnerError, StepRun
from nodes.node import node_types
from tests.support.conformance import Case, CaseAnswers, CaseModels, running_cases
from tests.support.engine import Engine, a_run

AT_ONCE = 8
WRITES = EngineLimits(flush_after_s=0.0)
"""Every state is written by itself: the most places at which a walk can be lost."""
OTHERWISE = frozenset({"order", "cached", "attempts"})
"""What a continued run may tell differently."""
NOT_ALIKE = frozenset(
    {
        "roots_of_a_run",  # it shows `run.attempt`
        "cache_hit_is_free_and_marked",  # what was paid for just before the loss comes out of the cache
        "foreach_lets_running_items_end",  # the failure is known from the start, so the other item never begins
    }
)


class LosingStore(MemoryRunStore):
    """Takes `n_writes` writes of steps, then behaves as if somebody else owned every run, until it is `healed`."""

    def __init__(self, clock: Clock, n_writes: int) -> None:
        super().__init__(clock)
        self._n_left = n_writes
        self.healed = False

    async def save_steps(self, owner: RunOwner, steps: Sequence[StepRun]) -> Sequence[RunEvent]:
        self._n_left -= 1
        if self._n_left < 0 and not self.healed:
            raise StaleOwnerError("lost")
        return await super().save_steps(owner, steps)


@pytest.mark.parametrize("n_writes", [0, 1, 2, 4, 7])
async def test_runs_that_are_continued_end_as_if_nothing_had_happened(n_writes: int) -> None:
    slots = asyncio.Semaphore(AT_ONCE)

    async def differences(case: Case) -> tuple[object, ...]:
        async with slots:
            return await lost_and_continued(case, n_writes)

    cases = [case for case in running_cases() if case.name not in NOT_ALIKE]
    found = await asyncio.gather(*(differences(case) for case in cases))

    assert {case.name: problems for case, problems in zip(cases, found, strict=True) if problems} == {}
    assert len(cases) > 150


async def lost_and_continued(case: Case, n_writes: int) -> tuple[object, ...]:
    """What is wrong about the end of a run whose walk was lost after so many writes; nothing when it took fewer."""
    engine = Engine(CaseModels(), limits=WRITES)
    store = LosingStore(engine.clock, n_writes)
    engine.store = store
    answers = CaseAnswers(engine.clock, {"r1": case.answers})
    answers.give("r1")
    engine.services = replace(engine.services, node_types=node_types(), store=store, answers=answers)
    await store.create(a_run(case.plan, case.inputs))
    with suppress(StaleOwnerError):
        await walk(engine, case)
    run = await store.load("r1")
    assert run is not None
    if run.status in FINAL_RUN:
        return ()
    done = {step.path for step in await store.steps("r1") if step.status == "succeeded"}
    n_calls = len(engine.models.contexts)

    store.healed = True
    ended = await walk(engine, case)

    paid_twice = done & {str(context.step_path) for context in engine.models.contexts[n_calls:]}
    seen = comparable(case.seen(ended, await store.steps("r1"), await store.events("r1")))
    wanted = comparable(case.wanted)
    return (*paid_twice, *((seen, wanted) if seen != wanted else ()))


async def walk(engine: Engine, case: Case) -> Run:
    """A walk by a lane of its own, and those that follow when it waits."""
    clock = engine.clock
    assert isinstance(clock, FrozenClock)
    while True:
        engine.lane = type(engine.lane)(engine.services)
        run = await engine.walk(case.plan)
        if run.status != "waiting" or run.wake_at is None:
            return run
        clock.advance((run.wake_at - clock.now()).total_seconds())


def comparable(found: dict[str, Any]) -> dict[str, Any]:
    """Without what may differ; which of several failures came first is not known any more either."""
    kept = {name: value for name, value in found.items() if name not in OTHERWISE}
    return {**kept, "errors": sorted(kept["errors"])} if "errors" in kept else kept
