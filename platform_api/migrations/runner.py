"""Bring a database to the newest revision, or ask how far it is. Of several processes that try, one does the work.

Alembic is loaded only when there is something to migrate: it costs a serving process 10 MB and half a second.
"""

import asyncio
import fcntl
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, inspect, text

from platform_api.database.session import Database

if TYPE_CHECKING:
    from alembic.config import Config

FOLDER = Path(__file__).parent
LOCK_WAIT_S = 60.0
ADVISORY_LOCK = 0x6D625F6462  # "mb_db"
GRANTS = text("""
do $$ begin
  if exists (select from pg_roles where rolname = 'app') and current_user <> 'app' then
    grant usage on schema public to app;
    grant select, insert, update, delete on all tables in schema public to app;
    grant usage on all sequences in schema public to app;
    revoke update, delete on audit_events from app;
    revoke insert, update, delete on alembic_version from app;
  end if;
end $$
""")


class MigrationLockError(TimeoutError):
    """Another process holds the migration lock for too long."""


def upgrade(address: str, revision: str = "head") -> None:
    """Migrate the database at `address` forward; for the command line and other callers without an event loop."""

    async def migrate() -> None:
        database = Database(address, command_limit_s=None)  # an index on a large table takes its time
        try:
            await upgrade_database(database, revision)
        finally:
            await database.aclose()

    asyncio.run(migrate())


async def upgrade_database(database: Database, revision: str = "head") -> None:
    """Migrate forward; nothing happens when the database is there already. Makes a SQLite file's folder.

    On PostgreSQL the role `app`, where it exists, may then read and write rows but own nothing.

    Raises:
        MigrationLockError: Another process has been migrating for a minute.
    """
    async with _locked(database):
        if revision != "head" or not await is_at_head(database):
            from alembic import command

            await _run(database, lambda config: command.upgrade(config, revision))
        if not database.is_sqlite:
            async with database.engine.begin() as connection:
                await connection.execute(GRANTS)


async def downgrade_database(database: Database, revision: str = "base") -> None:
    """Migrate backward."""
    from alembic import command

    async with _locked(database):
        await _run(database, lambda config: command.downgrade(config, revision))


async def is_at_head(database: Database) -> bool:
    """Is every migration of this release applied?"""
    async with database.engine.connect() as connection:
        return await connection.run_sync(_revision) == head()


def head() -> str:
    """The newest revision of this release: its file is numbered highest."""
    return max(path.name.partition("_")[0] for path in (FOLDER / "versions").glob("[0-9]*_*.py"))


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("select version_num from alembic_version")).scalar_one_or_none()


async def _run(database: Database, action: "Callable[[Config], None]") -> None:
    def with_connection(connection: Connection) -> None:
        from alembic.config import Config

        config = Config()
        config.set_main_option("script_location", str(FOLDER))
        config.set_main_option("path_separator", "os")
        config.attributes["connection"] = connection
        action(config)

    async with database.engine.connect() as connection:
        await connection.run_sync(with_connection)
        await connection.commit()


@asynccontextmanager
async def _locked(database: Database) -> AsyncGenerator[None]:
    """SQLite: a file lock beside the database. PostgreSQL: an advisory lock of a session of its own."""
    if not database.is_sqlite:
        async with database.engine.connect() as connection:
            await connection.execute(text("select pg_advisory_lock(:lock)"), {"lock": ADVISORY_LOCK})
            try:
                yield
            finally:
                await connection.execute(text("select pg_advisory_unlock(:lock)"), {"lock": ADVISORY_LOCK})
        return
    path = Path(database.url.database or "")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(path.name + ".migrating").open("w") as lock:
        await _wait_for(lock.fileno())
        yield


async def _wait_for(descriptor: int) -> None:
    deadline = asyncio.get_running_loop().time() + LOCK_WAIT_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if asyncio.get_running_loop().time() > deadline:
                raise MigrationLockError("another process has been migrating the database for a minute") from None
            await asyncio.sleep(0.05)
        else:
            return
