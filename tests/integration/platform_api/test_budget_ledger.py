"""Budgets on real databases: the suite of every ledger, and what only a database and a journal on disk can do."""

import asyncio
from collections.abc import AsyncGenerator
from datetime import datetime
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import func, select

from bridge.budget_periods import Period, window_start
from bridge.call_record import BudgetScope, CallRecord, Dispatch
from bridge.clock import FrozenClock
from bridge.identifiers import new_id
from bridge.lease_pool import LeasePool
from platform_api.budgets import service
from platform_api.budgets.ledger import SqlBudgetLedger
from platform_api.budgets.repository import BudgetRepository
from platform_api.database.session import Database, SessionSource
from platform_api.database.tables.usage import BudgetLeaseRow, BudgetRow, CallRow, LedgerRow
from platform_api.usage.drain import UsageDrain
from platform_api.usage.journal import Journal, segments
from tests.contract.budget_ledger_suite import BudgetLedgerSuite, Call
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


class SqlProcess:
    """A pool over the database, and a journal on disk."""

    def __init__(self, database: Database, clock: FrozenClock, root: Path) -> None:
        self._parts = database, root, clock
        self.journal = Journal(root, new_id())
        self.usage = UsageDrain(database, self.journal, root, clock)
        ledger = SqlBudgetLedger(database, clock, self.journal.writer_id)
        self.pool = LeasePool(ledger, clock, new_id)

    def dispatched(self, attempt: Dispatch) -> None:
        self.journal.dispatched(attempt)

    def record(self, call: CallRecord) -> None:
        self.usage.record(call)

    async def drain(self) -> None:
        await self.usage.flush()

    async def kill(self) -> None:
        """What a kill leaves: the journal as it is, its lock free, and somebody else who drains it."""
        self.journal.close()
        database, root, clock = self._parts
        heir = UsageDrain(database, Journal(root, new_id()), root, clock)
        await heir.start()
        await heir.aclose()

    async def aclose(self) -> None:
        await self.pool.aclose()
        await self.usage.aclose()


class CutDatabase(Database):
    """A database that can be cut off."""

    is_away = False

    def for_org(self, org_id: UUID) -> SessionSource:
        self._answer()
        return super().for_org(org_id)

    def system(self) -> SessionSource:
        self._answer()
        return super().system()

    def _answer(self) -> None:
        if self.is_away:
            raise ConnectionRefusedError("nobody listens there")


class SqlMoney:
    """An organisation's budgets in a database."""

    def __init__(self, database: CutDatabase, clock: FrozenClock, root: Path, org_id: str) -> None:
        self.database = database
        self.clock = clock
        self.org_id = org_id
        self.root = root

    async def process(self) -> SqlProcess:
        return SqlProcess(self.database, self.clock, self.root)

    async def set_budget(self, scope: BudgetScope, limit: int, period: Period = "total") -> str:
        async with self.database.for_org(UUID(self.org_id))() as db:
            row = await service.set_limit(
                db, UUID(self.org_id), scope, period, limit, now=self.clock.now(), new_id=new_id
            )
            return str(row.id)

    async def remove_budget(self, budget_id: str) -> None:
        async with self.database.for_org(UUID(self.org_id))() as db:
            await service.remove(db, UUID(self.org_id), UUID(budget_id))

    async def stands(self, budget_id: str, at: datetime) -> tuple[int, int]:
        async with self.database.system().read() as db:
            period = await db.scalar(select(BudgetRow.period).where(BudgetRow.id == UUID(budget_id)))
            starts_at = window_start(period or "total", at)  # pyright: ignore[reportArgumentType]  # a text column
            key = (UUID(budget_id), starts_at)
            found = (await BudgetRepository(db).spent(UUID(self.org_id), [key]))[key]
            leased = select(func.sum(BudgetLeaseRow.amount_nano_usd)).where(
                BudgetLeaseRow.budget_id == key[0], BudgetLeaseRow.starts_at == starts_at
            )
            assert (await db.scalar(leased) or 0) == found.held_nano_usd
            return found.held_nano_usd, found.settled_nano_usd

    async def ledger_sum(self) -> int:
        async with self.database.system().read() as db:
            return int(await db.scalar(select(func.sum(LedgerRow.cost_nano_usd))) or 0)

    def cut(self, *, is_away: bool) -> None:
        self.database.is_away = is_away


@pytest.fixture
async def money(address: str, clock: FrozenClock, tmp_path: Path) -> AsyncGenerator[SqlMoney]:
    database = CutDatabase(address)
    yield SqlMoney(database, clock, tmp_path / "journal", await new_organization(database))
    await database.aclose()


class TestSqlBudgetLedger(BudgetLedgerSuite):
    """On SQLite and PostgreSQL."""


async def test_the_ledger_holds_what_budgets_count_also_of_a_call_that_a_kill_cut_off(money: SqlMoney) -> None:
    scope = BudgetScope("org", money.org_id)
    budget = await money.set_budget(scope, 10_000)
    process = await money.process()
    (await Call(money, process, (scope,)).hold(4000)).end(1000)
    cut_off = await Call(money, process, (scope,)).hold(300)
    await process.kill()

    assert await money.stands(budget, NOW) == (0, 1300)
    assert await money.ledger_sum() == 1300
    async with money.database.system().read() as db:
        lost = await db.get_one(CallRow, UUID(cut_off.claim.call_id))
        rows = (await db.execute(select(LedgerRow.cost_nano_usd, LedgerRow.is_estimated))).all()
        assert await db.scalar(select(func.count()).select_from(BudgetLeaseRow)) == 0
    assert (lost.status, lost.error_class) == ("failed", "internal")
    assert sorted(tuple(row) for row in rows) == [(300, True), (1000, False)]
    assert not process.journal.folder.exists()


async def test_a_segment_stays_while_it_knows_of_a_call_that_is_not_over(money: SqlMoney) -> None:
    scope = BudgetScope("org", money.org_id)
    budget = await money.set_budget(scope, 10_000)
    process = await money.process()
    long_one = await Call(money, process, (scope,)).hold(500)
    process.journal.rotate()
    for _ in range(3):
        (await Call(money, process, (scope,)).hold(100)).end(10)
        process.journal.rotate()
        await process.drain()
    kept = len(segments(process.journal.folder))
    long_one.end(40)
    process.journal.rotate()
    await process.drain()

    assert (kept, len(segments(process.journal.folder))) == (1, 0)
    await process.aclose()
    assert await money.stands(budget, NOW) == (0, 70)


async def test_a_kill_after_the_drain_of_a_segment_still_counts_the_call_it_cut_off(money: SqlMoney) -> None:
    scope = BudgetScope("org", money.org_id)
    budget = await money.set_budget(scope, 10_000)
    process = await money.process()
    await Call(money, process, (scope,)).hold(500)
    process.journal.rotate()
    (await Call(money, process, (scope,)).hold(100)).end(10)
    await process.drain()
    await process.kill()

    assert await money.stands(budget, NOW) == (0, 510)


async def test_a_budget_made_while_calls_are_drained_counts_every_call_once(money: SqlMoney) -> None:
    scope = BudgetScope("org", money.org_id)
    process = await money.process()
    for _ in range(40):
        process.record(made_call(money.org_id, cost_nano_usd=7))
    made, _ = await asyncio.gather(money.set_budget(scope, 10_000), process.drain())
    await process.aclose()

    assert await money.stands(made, NOW) == (0, 280)


async def test_draining_twice_counts_once(money: SqlMoney) -> None:
    scope = BudgetScope("org", money.org_id)
    budget = await money.set_budget(scope, 10_000)
    process = await money.process()
    call = (await Call(money, process, (scope,)).hold(5000)).end(1000)
    other = UsageDrain(money.database, process.journal, money.root, money.clock)
    await process.drain()
    await other.flush()
    process.record(call)
    await process.aclose()

    assert await money.stands(budget, NOW) == (0, 1000)
    assert await money.ledger_sum() == 1000


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
