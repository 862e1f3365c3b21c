import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from uuid import UUID

import pytest
from sqlalchemy import delete, func, insert, select, text, update
from sqlalchemy.exc import DBAPIError, IntegrityError
from uuid_utils.compat import uuid7

from platform_api.database.session import Database, ForeignRowError
from platform_api.database.tables.flows import FlowRow, FlowVersionRow
from platform_api.database.tables.identity import OrganizationRow

NOW = datetime(2026, 11, 23, tzinfo=UTC)


class Tenants:
    """Two organisations with a flow each."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.ours, self.theirs = uuid7(), uuid7()
        self.our_flow, self.their_flow = uuid7(), uuid7()

    async def fill(self) -> None:
        async with self.database.system()() as db:
            for org_id, slug in ((self.ours, "ours"), (self.theirs, "theirs")):
                db.add(OrganizationRow(id=org_id, slug=slug, name=slug, plan="p", created_at=NOW))
            await db.flush()
            db.add(flow(self.our_flow, self.ours))
            db.add(flow(self.their_flow, self.theirs))


def flow(flow_id: UUID, org_id: UUID, name: str = "f") -> FlowRow:
    return FlowRow(
        id=flow_id, org_id=org_id, name=name, description="", latest_version=1, created_at=NOW, updated_at=NOW
    )


@pytest.fixture
async def tenants(database_url: str) -> AsyncIterator[Tenants]:
    database = Database(database_url)
    tenants = Tenants(database)
    await tenants.fill()
    yield tenants
    await database.aclose()


async def test_a_tenant_sees_only_its_own_rows(tenants: Tenants) -> None:
    async with tenants.database.for_org(tenants.ours).read() as db:
        found = (await db.scalars(select(FlowRow))).all()
        count = await db.scalar(select(func.count()).select_from(FlowRow))
        foreign = await db.get(FlowRow, tenants.their_flow)
        own = await db.get(FlowRow, str(tenants.our_flow))

    assert ([row.id for row in found], count) == ([tenants.our_flow], 1)
    assert foreign is None
    assert own is not None


async def test_a_tenant_changes_only_its_own_rows(tenants: Tenants) -> None:
    async with tenants.database.for_org(tenants.ours)() as db:
        await db.execute(update(FlowRow).values(description="changed"))

    async with tenants.database.system().read() as db:
        rows = await db.execute(select(FlowRow.id, FlowRow.description))
        assert {(row[0], row[1]) for row in rows} == {(tenants.our_flow, "changed"), (tenants.their_flow, "")}


async def test_a_foreign_row_is_not_written(tenants: Tenants) -> None:
    with pytest.raises(ForeignRowError):
        async with tenants.database.for_org(tenants.ours)() as db:
            db.add(flow(uuid7(), tenants.theirs, "smuggled"))


async def test_a_row_is_not_moved_to_another_tenant(tenants: Tenants) -> None:
    async def moving() -> None:
        async with tenants.database.for_org(tenants.ours)() as db:
            row = (await db.scalars(select(FlowRow))).one()
            row.org_id = tenants.theirs

    with pytest.raises(ForeignRowError):
        await moving()


async def test_an_own_row_cannot_point_at_a_foreign_one(tenants: Tenants) -> None:
    version = FlowVersionRow(
        id=uuid7(), org_id=tenants.ours, flow_id=tenants.their_flow, version=1, status="draft", yaml="",
        content_hash="h", diagnostics=[], created_at=NOW,
    )  # fmt: skip
    with pytest.raises(IntegrityError):
        async with tenants.database.for_org(tenants.ours)() as db:
            db.add(version)


async def test_a_reading_session_refuses_to_write(tenants: Tenants) -> None:
    with pytest.raises(ForeignRowError):
        async with tenants.database.for_org(tenants.ours).read() as db:
            db.add(flow(uuid7(), tenants.ours, "new"))


async def test_a_block_that_raises_leaves_nothing_behind(tenants: Tenants) -> None:
    async def failing() -> None:
        async with tenants.database.for_org(tenants.ours)() as db:
            db.add(flow(uuid7(), tenants.ours, "half"))
            await db.flush()
            raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        await failing()

    async with tenants.database.for_org(tenants.ours).read() as db:
        assert await db.scalar(select(func.count()).select_from(FlowRow)) == 1


async def test_writers_of_several_processes_wait_for_their_turn(tenants: Tenants, database_url: str) -> None:
    databases = [Database(database_url) for _ in range(4)]

    async def count_up(database: Database) -> None:
        for _ in range(10):
            async with database.for_org(tenants.ours)() as db:
                row = (await db.scalars(select(FlowRow).with_for_update())).one()
                row.latest_version += 1

    await asyncio.gather(*(count_up(database) for database in databases))
    for database in databases:
        await database.aclose()

    async with tenants.database.for_org(tenants.ours).read() as db:
        assert (await db.scalars(select(FlowRow.latest_version))).one() == 41


@pytest.fixture
async def postgres_tenants(postgres_url: str) -> AsyncIterator[Tenants]:
    database = Database(postgres_url)
    tenants = Tenants(database)
    await tenants.fill()
    yield tenants
    await database.aclose()


@pytest.mark.peer
async def test_row_security_filters_what_the_orm_does_not_see(postgres_tenants: Tenants) -> None:
    async with postgres_tenants.database.for_org(postgres_tenants.ours)() as db:
        raw = (await db.execute(text("select id from flows"))).scalars().all()
        core = (await db.execute(select(FlowRow.__table__.c.id))).scalars().all()
        changed = await db.execute(text("update flows set description = 'x' returning id"))

        assert list(raw) == list(core) == list(changed.scalars().all()) == [postgres_tenants.our_flow]


@pytest.mark.peer
async def test_row_security_refuses_foreign_rows_written_past_the_orm(postgres_tenants: Tenants) -> None:
    values = {"id": uuid7(), "org_id": postgres_tenants.theirs, "name": "x", "description": "", "latest_version": 1}
    with pytest.raises(DBAPIError, match="row-level security"):
        async with postgres_tenants.database.for_org(postgres_tenants.ours)() as db:
            await db.execute(insert(FlowRow).values(**values, created_at=NOW, updated_at=NOW))


@pytest.mark.peer
async def test_a_pooled_connection_forgets_its_tenant(postgres_tenants: Tenants) -> None:
    async with postgres_tenants.database.for_org(postgres_tenants.ours).read() as db:
        assert len((await db.execute(text("select id from flows"))).all()) == 1
    async with postgres_tenants.database.engine.connect() as connection:
        assert (await connection.execute(text("select id from flows"))).all() == []


async def test_a_cancelled_writer_leaves_no_lock_behind(database_url: str) -> None:
    database = Database(database_url, command_limit_s=2)
    rows: list[dict[str, object]] = [
        {"id": uuid7(), "slug": f"s{number}", "name": "O", "plan": "p", "created_at": NOW} for number in range(3000)
    ]
    kept: list[asyncio.Task[None]] = []

    async def write(records: list[dict[str, object]]) -> None:
        async with database.system()() as db:
            await db.execute(insert(OrganizationRow), records)

    try:
        for delay_s in (0.002, 0.01, 0.02, 0.03, 0.05):
            task = asyncio.create_task(write(rows))
            await asyncio.sleep(delay_s)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            kept.append(task)  # its traceback holds the statement that was cut off
            async with asyncio.timeout(5):
                async with database.system()() as db:
                    await db.execute(delete(OrganizationRow))
    finally:
        await database.aclose()
