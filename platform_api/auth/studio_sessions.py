"""Studio sessions: a one-time code becomes an opaque token, never rotated: tabs cannot sign each other out."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession
from uuid_utils.compat import uuid7

from platform_api.auth.authenticator import SESSION_SLIDES
from platform_api.database.tables.identity import SessionCodeRow, SessionRow
from platform_api.errors import NotFoundError, UnauthenticatedError
from platform_api.security.credentials import make_token, secret_hash

CODE_LIFETIME = timedelta(seconds=30)
ENDS = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class NewSession:
    """A session just opened; `token` is shown once."""

    row: SessionRow
    token: str


async def make_code(db: AsyncSession, org_id: UUID, user_id: UUID, *, now: datetime) -> str:
    """A code for one session, good for 30 seconds."""
    code = make_token("mbc")
    db.add(
        SessionCodeRow(
            id=uuid7(),
            org_id=org_id,
            user_id=user_id,
            code_hash=secret_hash(code),
            created_at=now,
            expires_at=now + CODE_LIFETIME,
        )
    )
    await db.flush()
    return code


async def exchange(db: AsyncSession, code: str, *, now: datetime) -> NewSession:
    """Trade a code for a session, once.

    Raises:
        UnauthenticatedError: The code is unknown, was used, or is past its 30 seconds.
    """
    taken = await db.execute(
        update(SessionCodeRow)
        .where(
            SessionCodeRow.code_hash == secret_hash(code),
            SessionCodeRow.used_at.is_(None),
            SessionCodeRow.expires_at > now,
        )
        .values(used_at=now)
        .returning(SessionCodeRow.org_id, SessionCodeRow.user_id)
        .execution_options(synchronize_session=False)
    )
    found = taken.first()
    if found is None:
        raise UnauthenticatedError("the code is not valid (any more); sign in again")
    token = make_token("mbs")
    row = SessionRow(
        id=uuid7(),
        org_id=found[0],
        user_id=found[1],
        token_hash=secret_hash(token),
        created_at=now,
        last_seen_at=now,
        expires_at=now + SESSION_SLIDES,
        ends_at=now + ENDS,
    )
    db.add(row)
    await db.flush()
    return NewSession(row, token)


async def revoke(db: AsyncSession, org_id: UUID, user_id: UUID, session_id: UUID, *, now: datetime) -> SessionRow:
    """End one of the user's own sessions. Twice keeps the first time.

    Raises:
        NotFoundError: The user has no such session in this organisation.
    """
    row = await db.scalar(
        select(SessionRow).where(
            SessionRow.org_id == org_id, SessionRow.user_id == user_id, SessionRow.id == session_id
        )
    )
    if row is None:
        raise NotFoundError("session", session_id)
    row.revoked_at = row.revoked_at or now
    return row


async def revoke_all(db: AsyncSession, user_id: UUID, *, now: datetime) -> None:
    """End all of a user's sessions: after a change of password."""
    await db.execute(
        update(SessionRow)
        .where(SessionRow.user_id == user_id, SessionRow.revoked_at.is_(None))
        .values(revoked_at=now)
        .execution_options(synchronize_session=False)
    )
