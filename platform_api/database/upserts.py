"""INSERT ... ON CONFLICT, which SQLite and PostgreSQL spell alike but SQLAlchemy keeps apart; and JSON fit to store."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, cast

from sqlalchemy import Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase

Record = Mapping[str, Any]


def _table(row: type[DeclarativeBase]) -> Table[Any]:
    return cast("Table[Any]", row.__table__)


def _insert(db: AsyncSession, row: type[DeclarativeBase]) -> sqlite.Insert | postgresql.Insert:
    table = _table(row)
    return sqlite.insert(table) if db.get_bind().dialect.name == "sqlite" else postgresql.insert(table)


async def insert_missing(db: AsyncSession, row: type[DeclarativeBase], record: Record) -> bool:
    """Insert one record; False when a row with one of its unique keys exists already."""
    first = next(iter(_table(row).primary_key.columns))
    statement = _insert(db, row).values(**record).on_conflict_do_nothing().returning(first)
    return (await db.execute(statement)).first() is not None


async def insert_or_replace(db: AsyncSession, row: type[DeclarativeBase], records: Sequence[Record]) -> None:
    """Insert the records; where the primary key exists, every other given column takes the new value."""
    if not records:
        return
    keys = [column.name for column in _table(row).primary_key.columns]
    statement = _insert(db, row)
    changed = {name: statement.excluded[name] for name in records[0] if name not in keys}
    await db.execute(statement.on_conflict_do_update(index_elements=keys, set_=changed), list(records))


async def insert_or_add(
    db: AsyncSession,
    row: type[DeclarativeBase],
    records: Sequence[Record],
    *,
    add: Sequence[str],
    replace: Sequence[str],
) -> None:
    """Insert the records; where the primary key exists, columns of `add` grow and those of `replace` are replaced."""
    if not records:
        return
    table = _table(row)
    statement = _insert(db, row)
    changed = {name: table.c[name] + statement.excluded[name] for name in add}
    changed |= {name: statement.excluded[name] for name in replace}
    keys = [column.name for column in table.primary_key.columns]
    await db.execute(statement.on_conflict_do_update(index_elements=keys, set_=changed), list(records))


def storable(value: Any) -> Any:  # any JSON value, as nodes and models produce them
    """The value as plain JSON types that both databases accept: no NUL in text, no NaN or infinity."""
    if isinstance(value, str):
        return value.replace("\x00", "\ufffd") if "\x00" in value else value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {storable(str(key)): storable(item) for key, item in value.items()}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]  # JSON
    if isinstance(value, Sequence):
        return [storable(item) for item in value]  # pyright: ignore[reportUnknownVariableType]  # JSON
    return value
