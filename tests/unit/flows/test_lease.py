"""A lease is renewed in time, hears of cancels, and notices when it was lost."""

import asyncio
from datetime import UTC, datetime

import pytest

from bridge.clock import FrozenClock
from flows.engine_services import EngineLimits
from flows.lease import Lease
from flows.run_memory import MemoryRunStore
from flows.runs import RunOwner, StaleOwnerError
from tests.support.engine import a_plan, a_run

LIMITS = EngineLimits(lease_s=0.02, renew_every_s=0.004, cancel_poll_s=0.001)


class WatchedStore(MemoryRunStore):
    """Counts renewals; away when told so."""

    renewals = 0
    is_away = False

    async def renew(self, owner: RunOwner, *, lease_s: float = 30.0) -> bool:
        if self.is_away:
            raise ConnectionError("away")
        self.renewals += 1
        return await super().renew(owner, lease_s=lease_s)

    async def is_cancel_requested(self, run_id: str) -> bool:
        if self.is_away:
            raise ConnectionError("away")
        return await super().is_cancel_requested(run_id)


async def held(limits: EngineLimits = LIMITS) -> tuple[Lease, WatchedStore]:
    store = WatchedStore(FrozenClock(datetime(2026, 5, 1, tzinfo=UTC)))
    await store.create(a_run(a_plan()))
    owner = await store.acquire("r1", "me")
    assert owner is not None
    return Lease(store, owner, limits), store


async def test_a_cancel_request_ends_the_wait() -> None:
    lease, store = await held()
    waiting = asyncio.create_task(lease.wait_for_cancel())
    await asyncio.sleep(0.003)
    assert not waiting.done()

    await store.request_cancel("acme", "r1")

    await asyncio.wait_for(waiting, 1)


async def test_the_lease_is_renewed_while_waiting() -> None:
    lease, store = await held()
    waiting = asyncio.create_task(lease.wait_for_cancel())

    await asyncio.sleep(0.012)
    waiting.cancel()

    assert store.renewals >= 1


async def test_a_run_taken_over_ends_the_wait_with_a_stale_owner() -> None:
    lease, store = await held()
    assert await store.acquire("r1", "me") is not None

    with pytest.raises(StaleOwnerError):
        await asyncio.wait_for(lease.wait_for_cancel(), 1)


async def test_a_store_that_is_away_longer_than_the_lease_costs_the_run() -> None:
    lease, store = await held()
    store.is_away = True

    with pytest.raises(StaleOwnerError):
        await asyncio.wait_for(lease.wait_for_cancel(), 1)


async def test_a_living_lease_asks_nobody_before_a_step() -> None:
    lease, store = await held(EngineLimits())

    await lease.ensure()

    assert store.renewals == 0


async def test_a_process_that_slept_too_long_asks_before_a_step() -> None:
    lease, store = await held(EngineLimits(lease_s=0.0))
    await lease.ensure()
    assert store.renewals == 1
    assert await store.acquire("r1", "me") is not None

    with pytest.raises(StaleOwnerError):
        await lease.ensure()
