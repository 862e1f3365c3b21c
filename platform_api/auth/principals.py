"""Who stands behind a credential, as the database knows it now. One query for each kind of credential."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from platform_api.auth.permissions import expanded, for_keys, role_permissions
from platform_api.database.tables.identity import (
    ApiKeyRow,
    MembershipRow,
    OrganizationRow,
    RefreshTokenRow,
    SessionRow,
    UserRow,
)
from platform_api.rates import NO_OWN_RATES, OwnRates, Rates

Via = Literal["key", "token", "studio"]


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is calling: an organisation, the person or key in it, and what they may do."""

    org_id: UUID
    org_slug: str
    user_id: UUID | None
    key_id: UUID | None
    """What spend is counted on: the key, or the first of the chain of rotations it came from."""
    role: str
    permissions: frozenset[str]
    via: Via
    models: frozenset[str] | None = None
    """Models and aliases the key may use; None: all."""
    session_id: UUID | None = None
    """The studio session, or the refresh family of an access token."""
    expires_at: datetime | None = None
    """When the credential stops working by itself."""
    credential_id: UUID | None = None
    """The row of the API key itself."""
    limits: OwnRates = NO_OWN_RATES
    """Limits that the database states for the key and the organisation."""

    def may(self, permission: str) -> bool:
        """Is the permission among the caller's?"""
        return permission in self.permissions


async def caller_of_key(db: AsyncSession, key_hash: str, now: datetime) -> Caller | None:
    """The caller behind a key: its scopes, cut to what its creator may do today. None: unknown or dead."""
    found = await db.execute(
        select(ApiKeyRow, OrganizationRow.slug, OrganizationRow.plan, OrganizationRow.limits, MembershipRow.role)
        .join(OrganizationRow, OrganizationRow.id == ApiKeyRow.org_id)
        .join(
            MembershipRow,
            (MembershipRow.org_id == ApiKeyRow.org_id) & (MembershipRow.user_id == ApiKeyRow.created_by),
        )
        .join(UserRow, UserRow.id == MembershipRow.user_id)
        .where(
            ApiKeyRow.key_hash == key_hash,
            OrganizationRow.suspended_at.is_(None),
            UserRow.disabled_at.is_(None),
        )
    )
    row = found.one_or_none()
    if row is None:
        return None
    key, slug, plan, org_limits, role = row
    if (key.revoked_at is not None and key.revoked_at <= now) or (key.expires_at is not None and key.expires_at <= now):
        return None
    ends = [moment for moment in (key.revoked_at, key.expires_at) if moment is not None]
    return Caller(
        org_id=key.org_id,
        org_slug=slug,
        user_id=key.created_by,
        key_id=key.rotated_from or key.id,
        role=role,
        permissions=for_keys(expanded(key.scopes) & role_permissions(role)),
        via="key",
        models=None if key.models is None else frozenset(key.models),
        expires_at=min(ends, default=None),
        credential_id=key.id,
        limits=OwnRates(Rates.stored(key.limits), Rates.stored(org_limits), plan),
    )


async def caller_of_family(db: AsyncSession, family_id: UUID, org_id: UUID, user_id: UUID) -> Caller | None:
    """The caller behind an access token whose refresh family is alive. None: signed out, removed or suspended."""
    revoked = await db.scalar(
        select(func.count())
        .select_from(RefreshTokenRow)
        .where(
            RefreshTokenRow.org_id == org_id,
            RefreshTokenRow.family_id == family_id,
            RefreshTokenRow.revoked_at.is_not(None),
        )
    )
    if revoked:
        return None
    return await _member(db, org_id, user_id, via="token", session_id=family_id)


async def caller_of_session(db: AsyncSession, token_hash: str, now: datetime) -> Caller | None:
    """The caller behind a studio session. None: unknown, ended or revoked."""
    session = await db.scalar(select(SessionRow).where(SessionRow.token_hash == token_hash))
    if session is None or session.revoked_at is not None or now >= min(session.expires_at, session.ends_at):
        return None
    return await _member(db, session.org_id, session.user_id, via="studio", session_id=session.id)


async def _member(db: AsyncSession, org_id: UUID, user_id: UUID, *, via: Via, session_id: UUID) -> Caller | None:
    found = await db.execute(
        select(OrganizationRow.slug, OrganizationRow.plan, OrganizationRow.limits, MembershipRow.role)
        .join(MembershipRow, MembershipRow.org_id == OrganizationRow.id)
        .join(UserRow, UserRow.id == MembershipRow.user_id)
        .where(
            OrganizationRow.id == org_id,
            OrganizationRow.suspended_at.is_(None),
            UserRow.id == user_id,
            UserRow.disabled_at.is_(None),
        )
    )
    row = found.one_or_none()
    if row is None:
        return None
    slug, plan, org_limits, role = row
    limits = OwnRates(organization=Rates.stored(org_limits), plan=plan)
    permissions = role_permissions(role)
    return Caller(org_id, slug, user_id, None, role, permissions, via, session_id=session_id, limits=limits)
