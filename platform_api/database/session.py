"""The database: one engine, and short sessions that belong to one tenant (or, named so, to none).

A session is one transaction: it commits when its block ends, rolls back when the block raises. Reading sessions
refuse to write. On SQLite a writing session begins with BEGIN IMMEDIATE, so it waits for its turn instead of failing
half-way. On PostgreSQL the tenant is also told to row-level security, for the length of the transaction.
"""

from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any
from uuid import UUID

from sqlalchemy import URL, Connection, event, text
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import ORMExecuteState, Session, SessionTransaction, UOWTransaction, with_loader_criteria
from sqlalchemy.pool import ConnectionPoolEntry
from sqlalchemy.util.concurrency import in_greenlet

from platform_api.database.addresses import async_url
from platform_api.database.tables.base import OrgScoped

BUSY_TIMEOUT_S = 10
COMMAND_LIMIT_S = 60.0
_READS = "modelbridge_reads"
_SET_TENANT = text("select set_config('app.org', :org, true), set_config('app.bypass', :bypass, true)")


class ForeignRowError(RuntimeError):
    """A session of one organisation was asked to write a row of another, or a reading one to write at all."""


class TenantSession(Session):
    """A session whose `info["org_id"]` is the tenant. None means none: no row is filtered (system work)."""


class SessionSource:
    """Opens sessions of one tenant, or of the system when `org_id` is None."""

    def __init__(self, engine: AsyncEngine, org_id: UUID | None) -> None:
        self._writing = engine
        self._reading = engine.execution_options(**{_READS: True})
        self.org_id = org_id

    def __call__(self) -> AbstractAsyncContextManager[AsyncSession]:
        """A session that may write; commits at the end of the block."""
        return self._open(self._writing, is_reading=False)

    def read(self) -> AbstractAsyncContextManager[AsyncSession]:
        """A session that only reads: on SQLite it never waits for a writer."""
        return self._open(self._reading, is_reading=True)

    @asynccontextmanager
    async def _open(self, engine: AsyncEngine, *, is_reading: bool) -> AsyncGenerator[AsyncSession]:
        info: dict[str, object] = {"org_id": self.org_id, "is_reading": is_reading}
        async with AsyncSession(engine, sync_session_class=TenantSession, expire_on_commit=False, info=info) as db:
            yield db
            await db.commit()


class Database:
    """One database, whatever its kind. Whoever makes it closes it."""

    def __init__(self, address: str, *, pool_size: int = 15, command_limit_s: float | None = COMMAND_LIMIT_S) -> None:
        """Open nothing yet. On PostgreSQL a statement may take `command_limit_s`; None: as long as it likes.

        The limit is also what frees a connection whose statement was cancelled at a moment that asyncpg misses.
        """
        url = async_url(address)
        self.is_sqlite = url.get_backend_name() == "sqlite"
        self.url = url
        self.engine = (
            _sqlite_engine(url, pool_size) if self.is_sqlite else _postgres_engine(url, pool_size, command_limit_s)
        )

    def for_org(self, org_id: UUID) -> SessionSource:
        """Sessions of one tenant."""
        return SessionSource(self.engine, org_id)

    def system(self) -> SessionSource:
        """Sessions across tenants: sign-in, key lookup, workers. Every query in them names its tenant itself."""
        return SessionSource(self.engine, None)

    async def ping(self) -> None:
        """Raises when the database does not answer."""
        async with self.engine.connect() as connection:
            await connection.execute(text("select 1"))

    async def aclose(self) -> None:
        """Close all connections."""
        await self.engine.dispose()


def _postgres_engine(url: URL, pool_size: int, command_limit_s: float | None) -> AsyncEngine:
    limits = {"command_timeout": command_limit_s}
    return create_async_engine(
        url, connect_args=limits, pool_size=pool_size, max_overflow=0, pool_pre_ping=True, pool_timeout=10
    )


def _sqlite_engine(url: Any, pool_size: int) -> AsyncEngine:  # a URL or text, as SQLAlchemy takes both
    engine = create_async_engine(
        url, connect_args={"timeout": BUSY_TIMEOUT_S}, pool_size=pool_size, max_overflow=0, pool_timeout=10
    )
    event.listen(engine.sync_engine, "connect", _prepare_sqlite)
    event.listen(engine.sync_engine, "begin", _begin_sqlite)
    event.listen(engine.sync_engine, "invalidate", _roll_back_sqlite)
    return engine


def _prepare_sqlite(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    connection.isolation_level = None  # the driver begins nothing by itself
    cursor = connection.cursor()
    for pragma in (
        f"busy_timeout = {BUSY_TIMEOUT_S * 1000}",
        "journal_mode = WAL",
        "synchronous = NORMAL",
        "foreign_keys = ON",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _roll_back_sqlite(connection: DBAPIConnection, _entry: ConnectionPoolEntry, _error: BaseException | None) -> None:
    """Free the write lock of a statement whose caller was cancelled.

    Closing alone leaves the lock in place for as long as anything, such as the caller's traceback, holds the cursor.
    """
    if in_greenlet():
        connection.rollback()


def _begin_sqlite(connection: Connection) -> None:
    is_reading = connection.get_execution_options().get(_READS, False)
    connection.exec_driver_sql("BEGIN" if is_reading else "BEGIN IMMEDIATE")


@event.listens_for(TenantSession, "after_begin")
def _tell_tenant(session: Session, _transaction: SessionTransaction, connection: Connection) -> None:
    if connection.dialect.name != "postgresql":
        return
    org_id: UUID | None = session.info.get("org_id")
    connection.execute(_SET_TENANT, {"org": str(org_id or ""), "bypass": "off" if org_id else "on"})


@event.listens_for(TenantSession, "do_orm_execute")
def _filter_tenant(state: ORMExecuteState) -> None:
    org_id: UUID | None = state.session.info.get("org_id")
    if org_id is None or state.is_column_load or not (state.is_select or state.is_update or state.is_delete):
        return
    state.statement = state.statement.options(
        with_loader_criteria(OrgScoped, lambda row: row.org_id == org_id, include_aliases=True)
    )


@event.listens_for(TenantSession, "before_flush")
def _check_tenant(session: Session, _flush: UOWTransaction, _objects: object) -> None:
    if session.info.get("is_reading") and (session.new or session.dirty or session.deleted):
        raise ForeignRowError("a reading session was asked to write; open a writing one")
    org_id: UUID | None = session.info.get("org_id")
    if org_id is None:
        return
    for row in (*session.new, *session.dirty, *session.deleted):
        if isinstance(row, OrgScoped) and row.org_id != org_id:
            raise ForeignRowError(f"a session of organisation {org_id} cannot write a row of another")
