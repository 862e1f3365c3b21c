"""The run store that keeps big outputs elsewhere is a run store like any other."""

import itertools

import pytest

from bridge.clock import FrozenClock
from flows.payloads import OffloadingRunStore
from flows.run_memory import MemoryRunStore
from flows.runs import Run
from tests.contract.run_store_suite import Enter, RunStoreSuite
from tests.support.engine import START, a_plan, a_run
from tests.support.memory_artifacts import MemoryArtifacts


class TestOffloadingRunStore(RunStoreSuite):
    @pytest.fixture
    def clock(self) -> FrozenClock:
        return FrozenClock(START)

    @pytest.fixture
    def beneath(self, clock: FrozenClock) -> MemoryRunStore:
        return MemoryRunStore(clock)

    @pytest.fixture
    def store(self, beneath: MemoryRunStore) -> OffloadingRunStore:
        return OffloadingRunStore(beneath, MemoryArtifacts())

    @pytest.fixture
    def enter(self, beneath: MemoryRunStore) -> Enter:
        numbers = itertools.count(1000)

        async def enter() -> Run:
            run = a_run(a_plan(), run_id=f"run-{next(numbers)}")
            await beneath.create(run)
            return run

        return enter
