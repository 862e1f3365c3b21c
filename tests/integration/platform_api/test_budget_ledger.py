"""Budgets on real databases: never crossed, never leaked, equal to the ledger."""

import asyncio
from collections.abc import AsyncGenerator
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import func, select

from bridge.call_record import BudgetScope
from bridge.clock import FrozenClock
from bridge.errors import BudgetExceededError
from bridge.identifiers import new_id
from platform_api.budgets.ledger import SqlBudgetLedger
from platform_api.budgets.repository import BudgetRepository, Spent
from platform_api.budgets.windows import Period, window_start
from platform_api.database.session import Database
from platform_api.database.tables.usage import BudgetLeaseRow, BudgetRow, CallRow, LedgerRow
from platform_api.usage.drain import UsageDrain
from platform_api.usage.journal import Journal
from tests.support.money import NOW, made_call, new_organization


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.peer)])
def address(request: pytest.FixtureRequest) -> str:
    return request.getfixturevalue(f"{request.param}_url")


@pytest.fixture
async def database(address: str) -> AsyncGenerator[Database]:
    database = Database(address)
    yield database
    await database.aclose()


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock(NOW)


async def new_budget(database: Database, org_id: str, limit: int, *, period: Period = "total") -> str:
    budget_id = new_id()
    async with database.for_org(UUID(org_id))() as db:
        db.add(
            BudgetRow(
                id=UUID(budget_id),
                org_id=UUID(org_id),
                kind="org",
                scope_id=org_id,
                period=period,
                limit_nano_usd=limit,
                created_at=NOW,
            )
        )
    return budget_id


async def spent(database: Database, org_id: str, budget_id: str, period: Period = "total") -> Spent:
    key = (UUID(budget_id), window_start(period, NOW))
    async with database.for_org(UUID(org_id)).read() as db:
        return (await BudgetRepository(db).spent(UUID(org_id), [key]))[key]


async def test_two_hundred_concurrent_calls_never_cross_a_small_budget(
    database: Database, clock: FrozenClock, tmp_path: Path
) -> None:
    org_id = await new_organization(database)
    budget_id = await new_budget(database, org_id, 10_500)
    journal = Journal(tmp_path, "w")
    drain = UsageDrain(database, journal, tmp_path, clock)
    ledger = SqlBudgetLedger(database, clock, "w")
    scopes = (BudgetScope("org", org_id), BudgetScope("alias", "balanced"))

    async def one_call() -> bool:
        try:
            leases = await ledger.lease(org_id, scopes, 1000)
        except BudgetExceededError:
            return False
        drain.record(made_call(org_id, cost_nano_usd=700, leases=leases))
        return True

    first = await asyncio.gather(*(one_call() for _ in range(200)))
    held = await spent(database, org_id, budget_id)
    await drain.flush()
    second = await asyncio.gather(*(one_call() for _ in range(200)))
    await drain.aclose()

    assert sum(first) == 10
    assert held == Spent(10_000, 0)
    assert sum(second) == 3
    assert await spent(database, org_id, budget_id) == Spent(0, 13 * 700)
    async with database.system().read() as db:
        assert await db.scalar(select(func.sum(LedgerRow.cost_nano_usd)).where(LedgerRow.org_id == org_id)) == 9100
        assert await db.scalar(select(func.count()).select_from(BudgetLeaseRow)) == 0


async def test_all_scopes_or_none(database: Database, clock: FrozenClock) -> None:
    org_id = await new_organization(database)
    wide = await new_budget(database, org_id, 1_000_000)
    async with database.for_org(UUID(org_id))() as db:
        narrow = BudgetRow(
            id=UUID(new_id()),
            org_id=UUID(org_id),
            kind="alias",
            scope_id="best",
            period="day",
            limit_nano_usd=10,
            created_at=NOW,
        )
        db.add(narrow)
    ledger = SqlBudgetLedger(database, clock, "w")

    with pytest.raises(BudgetExceededError) as caught:
        await ledger.lease(org_id, (BudgetScope("org", org_id), BudgetScope("alias", "best")), 11)

    assert (caught.value.scope, caught.value.limit_nano_usd, caught.value.left_nano_usd) == ("alias", 10, 10)
    assert await spent(database, org_id, wide) == Spent(0, 0)


async def test_money_of_a_call_that_was_not_dispatched_comes_back_once(database: Database, clock: FrozenClock) -> None:
    org_id = await new_organization(database)
    budget_id = await new_budget(database, org_id, 100)
    ledger = SqlBudgetLedger(database, clock, "w")
    leases = await ledger.lease(org_id, (BudgetScope("org", org_id),), 60)
    await ledger.give_back(leases)
    await ledger.give_back(leases)

    assert await spent(database, org_id, budget_id) == Spent(0, 0)


async def test_a_new_window_starts_empty(database: Database, clock: FrozenClock) -> None:
    org_id = await new_organization(database)
    await new_budget(database, org_id, 100, period="day")
    ledger = SqlBudgetLedger(database, clock, "w")
    scopes = (BudgetScope("org", org_id),)
    await ledger.lease(org_id, scopes, 100)
    with pytest.raises(BudgetExceededError):
        await ledger.lease(org_id, scopes, 1)
    clock.advance(timedelta(days=1).total_seconds())

    assert len(await ledger.lease(org_id, scopes, 100)) == 1


async def test_draining_twice_counts_once(database: Database, clock: FrozenClock, tmp_path: Path) -> None:
    org_id = await new_organization(database)
    budget_id = await new_budget(database, org_id, 10_000)
    ledger = SqlBudgetLedger(database, clock, "w")
    journal = Journal(tmp_path, "w")
    call = made_call(org_id, leases=await ledger.lease(org_id, (BudgetScope("org", org_id),), 5000))
    journal.record(call)
    await UsageDrain(database, journal, tmp_path, clock).flush()
    await UsageDrain(database, journal, tmp_path, clock).flush()
    journal.record(call)
    await UsageDrain(database, journal, tmp_path, clock).aclose()

    assert await spent(database, org_id, budget_id) == Spent(0, 1000)
    async with database.system().read() as db:
        assert await db.scalar(select(func.count()).select_from(LedgerRow).where(LedgerRow.org_id == org_id)) == 1


async def test_a_dead_process_is_drained_before_what_it_held_is_counted(
    database: Database, clock: FrozenClock, tmp_path: Path
) -> None:
    org_id = await new_organization(database)
    budget_id = await new_budget(database, org_id, 10_000)
    scopes = (BudgetScope("org", org_id),)
    dead = SqlBudgetLedger(database, clock, "dead")
    journal = Journal(tmp_path, "dead")
    journal.record(made_call(org_id, cost_nano_usd=1000, leases=await dead.lease(org_id, scopes, 4000)))
    await dead.lease(org_id, scopes, 300)
    journal.close()
    living = UsageDrain(database, Journal(tmp_path, "living"), tmp_path, clock)
    await living.start()
    await living.aclose()

    assert await spent(database, org_id, budget_id) == Spent(0, 1300)
    async with database.system().read() as db:
        rows = (await db.execute(select(LedgerRow.cost_nano_usd, LedgerRow.is_estimated))).all()
    assert sorted(tuple(row) for row in rows) == [(300, True), (1000, False)]
    assert not (tmp_path / "dead").exists()


async def test_a_call_without_an_organization_is_kept_aside_and_stops_nothing(
    database: Database, clock: FrozenClock, tmp_path: Path
) -> None:
    org_id = await new_organization(database)
    journal = Journal(tmp_path, "w")
    journal.record(made_call(new_id()))
    journal.record(made_call("local"))
    journal.record(made_call(org_id))
    await UsageDrain(database, journal, tmp_path, clock).aclose()

    async with database.system().read() as db:
        assert (await db.scalars(select(CallRow.org_id))).all() == [UUID(org_id)]
    assert (tmp_path / "rejected" / "w.frames").stat().st_size > 100
