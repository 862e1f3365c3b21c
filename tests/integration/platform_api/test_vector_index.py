"""The SQL vector index against the suite every index must pass: on SQLite, on PostgreSQL, and there with pgvector."""

from collections.abc import AsyncIterator
from uuid import UUID

import pytest
from sqlalchemy import make_url, text

from bridge.clock import FrozenClock
from nodes.vector_index import IndexShape
from platform_api.database.addresses import sqlite_url
from platform_api.database.session import Database
from platform_api.migrations.runner import upgrade
from platform_api.vectors import index as sql_index
from platform_api.vectors.index import SqlVectorIndex
from tests.contract.vector_index_suite import EAST, SHAPE, VectorIndexSuite, document, named
from tests.support.money import NOW, new_organization
from tests.support.peers import PostgresPeer


@pytest.fixture(scope="module")
def one_sqlite_url(tmp_path_factory: pytest.TempPathFactory) -> str:
    url = sqlite_url(tmp_path_factory.mktemp("vectors") / "modelbridge.db")
    upgrade(url)
    return url


@pytest.fixture(scope="module")
def one_postgres_url(postgres: PostgresPeer, migrated_template: str) -> str:
    return postgres.create(migrated_template)


@pytest.fixture(scope="module")
def one_pgvector_url(postgres: PostgresPeer, migrated_template: str) -> str:
    url = postgres.create(migrated_template)
    postgres.server.execute("create extension vector", database=make_url(url).database or "")
    return url


class SqlIndexSuite(VectorIndexSuite):
    @pytest.fixture
    async def database(self, index_url: str) -> AsyncIterator[Database]:
        database = Database(index_url)
        yield database
        await database.aclose()

    @pytest.fixture
    def index(self, database: Database) -> SqlVectorIndex:
        return SqlVectorIndex(database, FrozenClock(NOW))

    @pytest.fixture
    async def org_id(self, database: Database) -> str:
        return await new_organization(database)

    @pytest.fixture
    async def other_org_id(self, database: Database) -> str:
        return await new_organization(database)

    async def test_many_chunks_are_ranked_as_one(
        self, index: SqlVectorIndex, org_id: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sql_index, "ROWS_AT_A_TIME", 7)
        vectors = [(1.0, (n * 37 % 100) / 100) for n in range(100)]
        await index.put(org_id, "kb", SHAPE, [document("a", *((f"{n}", v) for n, v in enumerate(vectors)))])

        hits = await index.nearest(org_id, "kb", EAST, limit=10, where={})

        expected = sorted(range(100), key=lambda n: (vectors[n][1], n))[:10]
        assert [hit.number for hit in hits] == expected

    async def test_an_organisation_that_is_gone_leaves_nothing(
        self, index: SqlVectorIndex, database: Database, org_id: str
    ) -> None:
        await index.put(org_id, "kb", SHAPE, [document("a", ("chimney", EAST))])
        of_org = {"id": _id(database, org_id)}
        async with database.system()() as db:
            await db.execute(text("delete from organizations where id = :id"), of_org)
        async with database.system().read() as db:
            left = [await db.scalar(text(f"select count(*) from {table}{OF_ORG}"), of_org) for table in TABLES]
            if database.is_sqlite:
                words = text("select count(*) from vector_words where vector_words match 'chimney'")
                left.append(await db.scalar(words))

        assert set(left) == {0}


TABLES = ("vector_indexes", "vector_documents", "vector_chunks")
OF_ORG = " where org_id = :id"


def _id(database: Database, org_id: str) -> str | UUID:
    return org_id if database.is_sqlite else UUID(org_id)


class TestOnSqlite(SqlIndexSuite):
    @pytest.fixture
    def index_url(self, one_sqlite_url: str) -> str:
        return one_sqlite_url


@pytest.mark.peer
class TestOnPostgres(SqlIndexSuite):
    @pytest.fixture
    def index_url(self, one_postgres_url: str) -> str:
        return one_postgres_url

    async def test_ranking_is_done_here(self, index: SqlVectorIndex, database: Database, org_id: str) -> None:
        await index.put(org_id, "kb", SHAPE, [document("a", ("red", EAST))])
        assert named(await index.nearest(org_id, "kb", EAST, limit=1, where={})) == ["a0"]

        async with database.system().read() as db:
            assert not await db.scalar(text("select to_regtype('vector') is not null"))


@pytest.mark.peer
class TestOnPostgresWithPgvector(SqlIndexSuite):
    @pytest.fixture
    def index_url(self, one_pgvector_url: str) -> str:
        return one_pgvector_url

    async def test_ranking_is_done_by_pgvector(
        self, index: SqlVectorIndex, org_id: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refused(*_: object) -> None:
            raise AssertionError("rows were fetched to be ranked here")

        monkeypatch.setattr(SqlVectorIndex, "_batches", refused)
        await index.put(org_id, "big", IndexShape("m", 3_000), [document("a", ("red", (1.0,) * 3_000))])

        [hit] = await index.nearest(org_id, "big", (1.0,) * 3_000, limit=1, where={})

        assert hit.similarity == pytest.approx(1.0)
