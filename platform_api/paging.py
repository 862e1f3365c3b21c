"""Cursor pages: newest first by UUIDv7 id, so a page never shifts when rows are added."""

import base64
import binascii
from typing import Annotated, Any, Generic, TypeVar
from uuid import UUID

from fastapi import Depends, Query
from pydantic import BaseModel
from sqlalchemy import Select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from platform_api.errors import FieldProblem, InvalidError

MAX_PAGE = 100
Item = TypeVar("Item")
Row = TypeVar("Row")


class Page(BaseModel, Generic[Item]):
    """A page of a list; `next_cursor` is null on the last one."""

    items: list[Item]
    next_cursor: str | None = None


class PageQuery(BaseModel):
    """Which page is wanted."""

    limit: int
    after: UUID | None


def page_query(
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 50, cursor: Annotated[str | None, Query(max_length=64)] = None
) -> PageQuery:
    """The page asked for in the query string."""
    return PageQuery(limit=limit, after=None if cursor is None else read_cursor(cursor))


Paging = Annotated[PageQuery, Depends(page_query)]


async def fetch_page(
    db: AsyncSession, statement: Select[Row], key: InstrumentedAttribute[UUID], query: PageQuery
) -> tuple[list[Row], str | None]:
    """The rows of one page, newest first, and the cursor of the next. `key` is the rows' UUIDv7 id column."""
    if query.after is not None:
        statement = statement.where(key < query.after)
    rows = list((await db.scalars(statement.order_by(key.desc()).limit(query.limit + 1))).all())
    if len(rows) <= query.limit:
        return rows, None
    last: Any = rows[query.limit - 1]  # any row class; the key's name is all that is read
    return rows[: query.limit], write_cursor(getattr(last, key.key))


def write_cursor(last: UUID) -> str:
    """The cursor that continues after `last`."""
    return base64.urlsafe_b64encode(last.bytes).decode().rstrip("=")


def read_cursor(cursor: str) -> UUID:
    """The id a cursor stands for. Raises InvalidError."""
    try:
        return UUID(bytes=base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (ValueError, binascii.Error) as error:
        raise InvalidError(
            "the cursor is not one of ours", [FieldProblem("/cursor", "take it from next_cursor")]
        ) from error
