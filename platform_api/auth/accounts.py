"""Organisations, users and memberships: how they come to be. Used by registration, the CLI and `modelbridge up`."""

import re
import secrets
import unicodedata
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from uuid_utils.compat import uuid7

from platform_api.auth.audit import audit
from platform_api.database.tables.identity import MembershipRow, OrganizationRow, UserRow
from platform_api.errors import ConflictError, FieldProblem, InvalidError
from platform_api.security.credentials import password_problem

EMAIL = re.compile(r"[^@\s\x00-\x1f\x7f]{1,64}@[^@\s\x00-\x1f\x7f]{1,255}")
SELF_HOSTED = "self-hosted"
FREE = "free"
RESERVED_SLUGS = frozenset({"local", "system", "admin", "api"})


def folded_email(email: str) -> str:
    """The form in which an address is stored and compared."""
    return unicodedata.normalize("NFKC", email).strip().lower()


def check_new_password(password: str, email: str) -> None:
    """Raises InvalidError when the password is not taken."""
    problem = password_problem(password, email=email)
    if problem is not None:
        raise InvalidError(f"the password is not taken: {problem}", [FieldProblem("/password", problem)])


def slug_of(name: str) -> str:
    """A name for addresses: lower-case letters, digits and dashes."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:50].strip("-")
    return slug or "org"


async def create_organization(
    db: AsyncSession, name: str, *, now: datetime, plan: str = SELF_HOSTED, slug: str | None = None
) -> OrganizationRow:
    """A new organisation. Without `slug` one is made from the name, with a suffix where it is taken.

    Raises:
        ConflictError: The given slug is taken.
    """
    wanted = slug or slug_of(name)
    is_taken = await db.scalar(select(OrganizationRow.id).where(OrganizationRow.slug == wanted))
    if slug is not None and is_taken:
        raise ConflictError(f"there is an organisation {slug!r} already", code="organization_exists")
    if slug is None and (is_taken or wanted in RESERVED_SLUGS):
        wanted = f"{wanted}-{secrets.token_hex(3)}"
    row = OrganizationRow(id=uuid7(), slug=wanted, name=name, plan=plan, created_at=now)
    db.add(row)
    await db.flush()
    return row


async def create_user(db: AsyncSession, *, email: str, name: str, password_hash: str | None, now: datetime) -> UserRow:
    """A new user.

    Raises:
        ConflictError: The address has an account.
    """
    row = UserRow(id=uuid7(), email=folded_email(email), name=name, password_hash=password_hash, created_at=now)
    db.add(row)
    try:
        await db.flush()
    except IntegrityError as error:
        raise ConflictError("there is an account with this e-mail address", code="email_taken") from error
    return row


async def add_member(db: AsyncSession, org_id: UUID, user_id: UUID, role: str, *, now: datetime) -> MembershipRow:
    """Make a user a member."""
    row = MembershipRow(id=uuid7(), org_id=org_id, user_id=user_id, role=role, created_at=now)
    db.add(row)
    await db.flush()
    audit(db, "member.added", org_id=org_id, now=now, user_id=user_id, target=str(user_id), role=role)
    return row


async def find_user(db: AsyncSession, email: str) -> UserRow | None:
    """The user of that address."""
    return await db.scalar(select(UserRow).where(UserRow.email == folded_email(email)))


async def membership_of(
    db: AsyncSession, user_id: UUID, organization: str | None = None
) -> tuple[MembershipRow, OrganizationRow] | None:
    """The user's membership in the organisation of that slug, or in the one joined first."""
    statement = (
        select(MembershipRow, OrganizationRow)
        .join(OrganizationRow, OrganizationRow.id == MembershipRow.org_id)
        .where(MembershipRow.user_id == user_id, OrganizationRow.suspended_at.is_(None))
        .order_by(MembershipRow.created_at, MembershipRow.id)
        .limit(1)
    )
    if organization is not None:
        statement = statement.where(OrganizationRow.slug == organization)
    found = (await db.execute(statement)).first()
    return None if found is None else (found[0], found[1])
