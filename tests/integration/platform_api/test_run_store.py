"""The SQL run store against the suite every run store must pass."""

from collections.abc import AsyncIterator
from uuid import UUID

import pytest

from bridge.clock import FrozenClock
from bridge.identifiers import new_id
from flows.runs import Run
from platform_api.database.session import Database
from platform_api.database.tables.flows import FlowRow, RunRow
from platform_api.flow_api.run_store import SqlRunStore
from tests.contract.run_store_suite import Enter, RunStoreSuite, step
from tests.support.money import NOW, new_organization


class TestSqlRunStore(RunStoreSuite):
    @pytest.fixture
    def clock(self) -> FrozenClock:
        return FrozenClock(NOW)

    @pytest.fixture
    async def database(self, database_url: str) -> AsyncIterator[Database]:
        database = Database(database_url)
        yield database
        await database.aclose()

    @pytest.fixture
    def store(self, database: Database, clock: FrozenClock) -> SqlRunStore:
        return SqlRunStore(database, clock)

    @pytest.fixture
    async def enter(self, database: Database, store: SqlRunStore) -> Enter:
        org_id = UUID(await new_organization(database))
        flow_id = UUID(new_id())
        async with database.for_org(org_id)() as db:
            db.add(FlowRow(id=flow_id, org_id=org_id, name="f", latest_version=1, created_at=NOW, updated_at=NOW))

        async def enter() -> Run:
            run_id = new_id()
            async with database.for_org(org_id)() as db:
                db.add(
                    RunRow(
                        id=UUID(run_id),
                        org_id=org_id,
                        flow_id=flow_id,
                        flow="f",
                        version=1,
                        status="queued",
                        trigger="api",
                        lane="inline",
                        inputs={"a": 1},
                        errors=[],
                        cost_nano_usd=0,
                        created_at=NOW,
                    )
                )
            run = await store.load(run_id)
            assert run is not None
            return run

        return enter

    async def test_text_that_no_database_takes_is_stored_readable(self, store: SqlRunStore, enter: Enter) -> None:
        run, held = await self.taken(store, enter)
        await store.save_steps(held, [step("x", output={"text": "a\x00b", "n": float("nan")})])

        assert (await store.steps(run.id))[0].output == {"text": "a\ufffdb", "n": None}
