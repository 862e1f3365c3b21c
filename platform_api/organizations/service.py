"""Organisations and their members; and the local one that `modelbridge up` and `run` use."""

import secrets
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from uuid_utils.compat import uuid7

from platform_api.api_keys import service as api_keys
from platform_api.api_keys.schemas import NewKey
from platform_api.auth import accounts
from platform_api.auth.audit import audit
from platform_api.auth.permissions import ADMIN, OWNER, role_permissions
from platform_api.auth.principals import Caller
from platform_api.database.session import Database
from platform_api.database.tables.identity import MembershipRow, OrganizationRow
from platform_api.database.upserts import insert_missing
from platform_api.errors import ConflictError, ForbiddenError, NotFoundError
from platform_api.organizations.repository import OrganizationRepository
from platform_api.security.credentials import Passwords

LOCAL_SLUG = "local"
LOCAL_EMAIL = "owner@local.modelbridge"


@dataclass(frozen=True, slots=True)
class MadeOwner:
    """An owner just made. The secrets are here and nowhere else."""

    org_id: UUID
    user_id: UUID
    email: str
    password: str
    api_key: str


async def ensure_local_organization(database: Database, *, now: datetime) -> UUID:
    """The id of organisation `local`; made when absent."""
    record = {
        "id": uuid7(), "slug": LOCAL_SLUG, "name": "Local", "plan": accounts.SELF_HOSTED, "created_at": now
    }  # fmt: skip
    async with database.system()() as db:
        await insert_missing(db, OrganizationRow, record)
        return (await db.scalars(select(OrganizationRow.id).where(OrganizationRow.slug == LOCAL_SLUG))).one()


async def ensure_local_owner(database: Database, passwords: Passwords, *, now: datetime) -> MadeOwner | None:
    """Organisation `local` with an owner and an API key. None when the owner was there: secrets are told once."""
    org_id = await ensure_local_organization(database, now=now)
    async with database.system().read() as db:
        if await accounts.find_user(db, LOCAL_EMAIL) is not None:
            return None
    return await create_owner(database, passwords, org_id, email=LOCAL_EMAIL, name="Local owner", now=now)


async def create_owner(
    database: Database, passwords: Passwords, org_id: UUID, *, email: str, name: str, now: datetime
) -> MadeOwner:
    """A user with a made-up password who owns the organisation, and a key of theirs that does not expire.

    Raises:
        ConflictError: The address has an account.
    """
    password = secrets.token_urlsafe(15)
    password_hash = await passwords.hash(password)
    async with database.system()() as db:
        organization = await db.get(OrganizationRow, org_id)
        if organization is None:
            raise NotFoundError("organisation", org_id)
        user = await accounts.create_user(db, email=email, name=name, password_hash=password_hash, now=now)
        await accounts.add_member(db, org_id, user.id, OWNER, now=now)
        owner = Caller(org_id, organization.slug, user.id, None, OWNER, role_permissions(OWNER), "token")
        wanted = NewKey(name="First key", expires_in_days=None)
        made = await api_keys.create_key(db, owner, wanted, now=now)
    return MadeOwner(org_id, user.id, user.email, password, made.text)


async def create_organization(
    database: Database, passwords: Passwords, *, name: str, owner_email: str, now: datetime
) -> MadeOwner:
    """A new organisation with its first owner, for the command line.

    Raises:
        ConflictError: The address has an account.
    """
    async with database.system().read() as db:
        if await accounts.find_user(db, owner_email) is not None:
            raise ConflictError("there is an account with this e-mail address", code="email_taken")
    async with database.system()() as db:
        organization = await accounts.create_organization(db, name, now=now)
    return await create_owner(database, passwords, organization.id, email=owner_email, name=owner_email, now=now)


async def rename(db: AsyncSession, caller: Caller, name: str, *, now: datetime) -> OrganizationRow:
    """Change the organisation's name; its slug stays."""
    row = await OrganizationRepository(db).get(caller.org_id)
    if row is None:
        raise NotFoundError("organisation", caller.org_id)
    row.name = name
    audit(db, "organization.renamed", org_id=row.id, now=now, caller=caller)
    return row


async def change_role(db: AsyncSession, caller: Caller, user_id: UUID, role: str, *, now: datetime) -> MembershipRow:
    """Give a member another role.

    Raises:
        NotFoundError: No such member.
        ForbiddenError: Only an Owner makes or changes an Owner; nobody raises themselves.
        ConflictError: The last Owner would be gone.
    """
    owners = await OrganizationRepository(db).lock_owners(caller.org_id)
    member = await _member(db, caller, user_id)
    if OWNER in (role, member.role) and caller.role != OWNER:
        raise ForbiddenError("only an Owner can make or change an Owner")
    if user_id == caller.user_id and role in (OWNER, ADMIN) and caller.role != OWNER:
        raise ForbiddenError("nobody can raise their own role")
    _check_owner_stays(owners, member, is_leaving=role != OWNER)
    before, member.role = member.role, role
    audit(
        db, "member.role_changed", org_id=caller.org_id, now=now, caller=caller, target=str(user_id),
        before=before, after=role,
    )  # fmt: skip
    return member


async def remove_member(db: AsyncSession, caller: Caller, user_id: UUID, *, now: datetime) -> None:
    """End a membership; the person's keys and sessions in this organisation die with it.

    Raises:
        NotFoundError: No such member.
        ForbiddenError: Only an Owner removes an Owner.
        ConflictError: It is the last Owner.
    """
    owners = await OrganizationRepository(db).lock_owners(caller.org_id)
    member = await _member(db, caller, user_id)
    if member.role == OWNER and caller.role != OWNER:
        raise ForbiddenError("only an Owner can remove an Owner")
    _check_owner_stays(owners, member, is_leaving=True)
    await db.delete(member)
    audit(db, "member.removed", org_id=caller.org_id, now=now, caller=caller, target=str(user_id))


async def _member(db: AsyncSession, caller: Caller, user_id: UUID) -> MembershipRow:
    member = await OrganizationRepository(db).member(caller.org_id, user_id)
    if member is None:
        raise NotFoundError("member", user_id)
    return member


def _check_owner_stays(owners: list[MembershipRow], member: MembershipRow, *, is_leaving: bool) -> None:
    if is_leaving and member.role == OWNER and len(owners) < 2:
        raise ConflictError("an organisation keeps at least one Owner", code="last_owner")
