import asyncio
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, inspect, text

from platform_api.database.addresses import sqlite_url
from platform_api.database.schema import BY_HAND, metadata, tenant_tables
from platform_api.database.session import Database
from platform_api.migrations.runner import downgrade_database, is_at_head, upgrade_database


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.peer)])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return sqlite_url(tmp_path / "new folder" / "modelbridge.db")
    return str(request.getfixturevalue("empty_postgres_url"))


def differences(connection: Connection) -> list[object]:
    def is_compared(name: str | None, *_: object) -> bool:
        return name is None or not name.startswith(BY_HAND)

    options = {"compare_type": True, "include_name": is_compared}
    return list(compare_metadata(MigrationContext.configure(connection, opts=options), metadata()))


async def test_the_migrations_make_exactly_the_tables_that_the_code_describes(empty_url: str) -> None:
    database = Database(empty_url)
    await upgrade_database(database)

    async with database.engine.connect() as connection:
        assert await connection.run_sync(differences) == []
    assert await is_at_head(database)
    await database.aclose()


async def test_migrations_go_down_to_nothing_and_up_again(empty_url: str) -> None:
    database = Database(empty_url)
    await upgrade_database(database)
    await downgrade_database(database)
    async with database.engine.connect() as connection:
        tables = await connection.run_sync(lambda sync: inspect(sync).get_table_names())
    assert set(tables) <= {"alembic_version"}
    assert not await is_at_head(database)

    await upgrade_database(database)

    assert await is_at_head(database)
    await database.aclose()


async def test_processes_that_migrate_at_once_do_it_once(empty_url: str) -> None:
    databases = [Database(empty_url) for _ in range(4)]

    await asyncio.gather(*(upgrade_database(database) for database in databases))

    assert [await is_at_head(database) for database in databases] == [True] * 4
    for database in databases:
        await database.aclose()


@pytest.mark.peer
async def test_every_tenant_table_is_under_forced_row_security(postgres_url: str) -> None:
    database = Database(postgres_url)
    query = text(
        "select c.relname from pg_class c join pg_policy p on p.polrelid = c.oid and p.polname = 'own_rows' "
        "where c.relrowsecurity and c.relforcerowsecurity"
    )
    async with database.engine.connect() as connection:
        guarded = {row[0] for row in await connection.execute(query)}
        columns = text(
            "select table_name from information_schema.columns where column_name = 'org_id' and table_schema = 'public'"
        )
        with_tenant = {row[0] for row in await connection.execute(columns)}
    await database.aclose()

    assert guarded == with_tenant == set(tenant_tables())


@pytest.mark.peer
async def test_the_application_role_owns_nothing_and_cannot_rewrite_the_audit_trail(postgres_url: str) -> None:
    database = Database(postgres_url)
    query = text(
        "select current_user, has_table_privilege('audit_events', 'INSERT'), "
        "has_table_privilege('audit_events', 'UPDATE'), has_table_privilege('audit_events', 'DELETE'), "
        "(select count(*) from pg_tables where schemaname = 'public' and tableowner = current_user)"
    )
    async with database.engine.connect() as connection:
        found = (await connection.execute(query)).one()
    await database.aclose()

    assert tuple(found) == ("app", True, False, False, 0)
