"""The in-memory run store against the shared suite."""

import itertools

import pytest

from bridge.clock import FrozenClock
from flows.run_memory import MemoryRunStore
from flows.runs import Run
from tests.contract.run_store_suite import Enter, RunStoreSuite
from tests.support.engine import START, a_plan, a_run


class TestMemoryRunStore(RunStoreSuite):
    @pytest.fixture
    def clock(self) -> FrozenClock:
        return FrozenClock(START)

    @pytest.fixture
    def store(self, clock: FrozenClock) -> MemoryRunStore:
        return MemoryRunStore(clock)

    @pytest.fixture
    def enter(self, store: MemoryRunStore) -> Enter:
        numbers = itertools.count(1000)

        async def enter() -> Run:
            run = a_run(a_plan(), run_id=f"run-{next(numbers)}")
            await store.create(run)
            return run

        return enter
