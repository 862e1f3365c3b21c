"""Refresh tokens: a chain in which every link works once. A link used twice ends the whole family.

The successor is computed from its parent, so two parallel uses of one token within the grace get the same child.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession
from uuid_utils.compat import uuid7

from platform_api.auth.audit import audit
from platform_api.database.tables.identity import RefreshTokenRow
from platform_api.errors import UnauthenticatedError
from platform_api.security.credentials import make_token, secret_hash, successor_token

SLIDES = timedelta(days=14)
ENDS = timedelta(days=30)
GRACE = timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class Family:
    """A signed-in session: its newest refresh token and whose it is."""

    token: str
    family_id: UUID
    org_id: UUID
    user_id: UUID
    signed_in_at: datetime


@dataclass(frozen=True, slots=True)
class Reused:
    """An old link came back: the family was ended. The caller commits that, then answers 401."""

    family_id: UUID


async def start_family(db: AsyncSession, org_id: UUID, user_id: UUID, *, now: datetime) -> Family:
    """The first link of a new chain."""
    token, family_id = make_token("mbr"), uuid7()
    ends = now + ENDS
    db.add(_link(token, family_id, org_id=org_id, user_id=user_id, now=now, ends=ends))
    await db.flush()
    return Family(token, family_id, org_id, user_id, now)


async def rotate(db: AsyncSession, token: str, key: bytes, *, now: datetime) -> Family | Reused:
    """Trade a token for its successor.

    Raises:
        UnauthenticatedError: The token is unknown, ended or past its time.
    """
    row = await _find(db, secret_hash(token))
    if row is None or row.revoked_at is not None or now >= min(row.expires_at, row.family_expires_at):
        raise UnauthenticatedError("the refresh token is not valid (any more); sign in again")
    child = successor_token(token, key)
    family = Family(child, row.family_id, row.org_id, row.user_id, row.family_expires_at - ENDS)
    if await _take(db, row.id, now):
        db.add(
            _link(
                child,
                row.family_id,
                org_id=row.org_id,
                user_id=row.user_id,
                now=now,
                ends=row.family_expires_at,
            )
        )
        await db.flush()
        return family
    used = await _find(db, secret_hash(token))
    successor = await _find(db, secret_hash(child))
    if used is not None and used.used_at is not None and now - used.used_at <= GRACE and _is_fresh(successor):
        return family
    await end_family(db, row.org_id, row.family_id, now=now)
    audit(
        db,
        "refresh_token.reused",
        org_id=row.org_id,
        now=now,
        user_id=row.user_id,
        target=str(row.family_id),
    )
    return Reused(row.family_id)


async def end_family(db: AsyncSession, org_id: UUID, family_id: UUID, *, now: datetime) -> None:
    """Revoke every link. Revoking twice keeps the first time."""
    await db.execute(
        update(RefreshTokenRow)
        .where(
            RefreshTokenRow.org_id == org_id,
            RefreshTokenRow.family_id == family_id,
            RefreshTokenRow.revoked_at.is_(None),
        )
        .values(revoked_at=now)
        .execution_options(synchronize_session=False)
    )


async def end_all(db: AsyncSession, user_id: UUID, *, now: datetime) -> None:
    """Revoke all of a user's families: after a change of password."""
    await db.execute(
        update(RefreshTokenRow)
        .where(RefreshTokenRow.user_id == user_id, RefreshTokenRow.revoked_at.is_(None))
        .values(revoked_at=now)
        .execution_options(synchronize_session=False)
    )


async def family_of(db: AsyncSession, token: str) -> tuple[UUID, UUID] | None:
    """(org_id, family_id) of a token, whatever its state."""
    row = await _find(db, secret_hash(token))
    return None if row is None else (row.org_id, row.family_id)


async def _take(db: AsyncSession, token_id: UUID, now: datetime) -> bool:
    """Mark the link used; only one of many parallel uses gets True."""
    taken = await db.execute(
        update(RefreshTokenRow)
        .where(RefreshTokenRow.id == token_id, RefreshTokenRow.used_at.is_(None), RefreshTokenRow.revoked_at.is_(None))
        .values(used_at=now)
        .returning(RefreshTokenRow.id)
        .execution_options(synchronize_session=False)
    )
    return taken.first() is not None


async def _find(db: AsyncSession, token_hash: str) -> RefreshTokenRow | None:
    statement = select(RefreshTokenRow).where(RefreshTokenRow.token_hash == token_hash)
    return await db.scalar(statement.execution_options(populate_existing=True))


def _is_fresh(link: RefreshTokenRow | None) -> bool:
    return link is not None and link.used_at is None and link.revoked_at is None


def _link(
    token: str, family_id: UUID, *, org_id: UUID, user_id: UUID, now: datetime, ends: datetime
) -> RefreshTokenRow:
    return RefreshTokenRow(
        id=uuid7(),
        org_id=org_id,
        user_id=user_id,
        family_id=family_id,
        token_hash=secret_hash(token),
        created_at=now,
        expires_at=min(now + SLIDES, ends),
        family_expires_at=ends,
    )
