"""The recorder: order, batches, fencing, a store that is away."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

import pytest

from flows.engine_services import EngineLimits
from flows.recorder import Recorder
from flows.run_memory import MemoryRunStore
from flows.runs import RunEvent, RunOwner, StaleOwnerError, StepRun
from tests.support.engine import Engine, a_plan, a_run


class WatchedStore(MemoryRunStore):
    """Counts writes, and fails as often as told to."""

    writes: list[list[str]]
    failures = 0

    async def save_steps(self, owner: RunOwner, steps: Sequence[StepRun]) -> Sequence[RunEvent]:
        if self.failures:
            self.failures -= 1
            raise ConnectionError("away")
        self.writes.append([f"{step.path}:{step.status}" for step in steps])
        await asyncio.sleep(0)
        return await super().save_steps(owner, steps)


async def recorder(
    flush_after_s: float = 10.0, sync_usage: Callable[[], Awaitable[None]] | None = None
) -> tuple[Recorder, WatchedStore]:
    engine = Engine(limits=EngineLimits(flush_after_s=flush_after_s))
    store = WatchedStore(engine.clock)
    store.writes = []
    await store.create(a_run(a_plan()))
    owner = await store.acquire("r1", "me")
    assert owner is not None
    return Recorder(replace(engine.services, store=store, sync_usage=sync_usage), owner), store


def step(path: str, status: str = "succeeded") -> StepRun:
    return StepRun(path=path, step=path, type="t", status=status)  # pyright: ignore[reportArgumentType]  # a StepStatus


async def test_a_commit_takes_along_what_was_noted_before_it() -> None:
    pen, store = await recorder()
    pen.note(step("a"))
    pen.note(step("b", "running"))

    await pen.commit(step("b"))
    await pen.close()

    assert store.writes == [["a:succeeded", "b:succeeded"]]


async def test_an_outcome_that_names_calls_is_stored_after_what_they_cost_is_safe() -> None:
    synced_after: list[int] = []

    async def sync_usage() -> None:
        await asyncio.sleep(0)
        synced_after.append(len(store.writes))

    pen, store = await recorder(sync_usage=sync_usage)
    await pen.commit(step("free"))
    await pen.commit(replace(step("paid"), call_ids=("c1",)))
    pen.note(replace(step("noted"), call_ids=("c2",)))
    await pen.flush()
    await pen.close()

    assert store.writes == [["free:succeeded"], ["paid:succeeded"], ["noted:succeeded"]]
    assert synced_after == [1, 2]


async def test_an_outcome_whose_calls_are_not_safe_is_kept_for_the_next_write() -> None:
    failures = [OSError("no disk")]

    async def sync_usage() -> None:
        if failures:
            raise failures.pop()

    pen, store = await recorder(sync_usage=sync_usage)
    with pytest.raises(OSError, match="no disk"):
        await pen.commit(replace(step("paid"), call_ids=("c1",)))
    await pen.flush()
    await pen.close()

    assert store.writes == [["paid:succeeded"]]


async def test_commits_that_come_together_become_one_write() -> None:
    pen, store = await recorder()

    await asyncio.gather(*(pen.commit(step(f"s{number}")) for number in range(50)))
    await pen.close()

    assert len(store.writes) <= 2
    assert sum(len(write) for write in store.writes) == 50


async def test_what_is_noted_is_written_a_moment_later() -> None:
    pen, store = await recorder(flush_after_s=0.001)
    pen.note(step("a", "running"))

    await asyncio.sleep(0.004)
    await pen.close()

    assert store.writes == [["a:running"]]


async def test_a_store_that_is_away_for_a_moment_loses_nothing() -> None:
    pen, store = await recorder(flush_after_s=0.001)
    store.failures = 2
    pen.note(step("a"))

    async with asyncio.timeout(5):
        while not store.writes:
            await asyncio.sleep(0.001)
    await pen.close()

    assert store.writes == [["a:succeeded"]]


async def test_a_commit_that_fails_says_so_and_the_state_is_kept_for_the_next() -> None:
    pen, store = await recorder()
    store.failures = 1

    with pytest.raises(ConnectionError):
        await pen.commit(step("a"))
    await pen.commit(step("b"))
    await pen.close()

    assert store.writes == [["a:succeeded", "b:succeeded"]]


async def test_after_losing_the_run_nothing_more_is_written() -> None:
    pen, store = await recorder()
    assert await store.acquire("r1", "me") is not None

    with pytest.raises(StaleOwnerError):
        await pen.commit(step("a"))
    store.writes.clear()
    with pytest.raises(StaleOwnerError):
        await pen.commit(step("b"))
    await pen.close()

    assert store.writes == []
