"""Organisations, users, keys and sessions. Secrets stand here only as SHA-256 or argon2id."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, Index, LargeBinary, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from platform_api.database.columns import JsonDocument, NanoUsd
from platform_api.database.tables.base import Base, OrgScoped, org_key


class OrganizationRow(Base):
    """A tenant."""

    __tablename__ = "organizations"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    slug: Mapped[str] = mapped_column(String(63), unique=True)
    name: Mapped[str] = mapped_column(String(200))
    plan: Mapped[str] = mapped_column(String(40))
    created_at: Mapped[datetime]
    suspended_at: Mapped[datetime | None]
    limits: Mapped[dict[str, Any] | None] = mapped_column(JsonDocument)
    """The organisation's own `rates.Rates`; None: those of its plan or of the configuration."""


class UserRow(Base):
    """A person. `email` is stored folded: one address is one user."""

    __tablename__ = "users"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(String(320), unique=True)
    name: Mapped[str] = mapped_column(String(200))
    password_hash: Mapped[str | None] = mapped_column(String(255))
    created_at: Mapped[datetime]
    email_verified_at: Mapped[datetime | None]
    disabled_at: Mapped[datetime | None]


class MembershipRow(OrgScoped, Base):
    """A user's role in an organisation."""

    __tablename__ = "memberships"
    __table_args__ = (org_key(), UniqueConstraint("org_id", "user_id"))

    id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    role: Mapped[str] = mapped_column(String(40))
    created_at: Mapped[datetime]


class ApiKeyRow(OrgScoped, Base):
    """An API key; the key itself is nowhere. A revoked row stays."""

    __tablename__ = "api_keys"
    __table_args__ = (org_key(),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(200))
    key_hash: Mapped[str] = mapped_column(String(64), unique=True)
    prefix: Mapped[str] = mapped_column(String(20))
    last_four: Mapped[str] = mapped_column(String(4))
    scopes: Mapped[list[str]] = mapped_column(JsonDocument)
    models: Mapped[list[str] | None] = mapped_column(JsonDocument)
    budget_nano_usd: Mapped[int | None] = mapped_column(NanoUsd)
    created_by: Mapped[UUID | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]
    rotated_from: Mapped[UUID | None]
    """The first key of a chain of rotations: spend, budgets and limits of all are counted on it."""
    limits: Mapped[dict[str, Any] | None] = mapped_column(JsonDocument)
    """The key's own `rates.Rates`; None: the default for keys."""


class RefreshTokenRow(OrgScoped, Base):
    """One link of a chain of refresh tokens. Using it makes the next; using it twice ends the family."""

    __tablename__ = "refresh_tokens"
    __table_args__ = (org_key(), Index(None, "family_id"))

    id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    family_id: Mapped[UUID]
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    family_expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


class SessionRow(OrgScoped, Base):
    """A studio session: an opaque token that slides for 7 days and ends after 30."""

    __tablename__ = "sessions"
    __table_args__ = (org_key(),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    created_at: Mapped[datetime]
    last_seen_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    ends_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]


class SessionCodeRow(OrgScoped, Base):
    """A code that becomes a studio session once, within 30 seconds."""

    __tablename__ = "session_codes"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    code_hash: Mapped[str] = mapped_column(String(64), unique=True)
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]


class SigningKeyRow(Base):
    """A key that signs access tokens; the private half is encrypted under the root secret."""

    __tablename__ = "signing_keys"

    kid: Mapped[str] = mapped_column(String(64), primary_key=True)
    public_key: Mapped[bytes] = mapped_column(LargeBinary)
    sealed_private_key: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[datetime]
    retired_at: Mapped[datetime | None]


class AuditEventRow(OrgScoped, Base):
    """Something security-relevant that happened, and who did it. Written in the transaction of the change."""

    __tablename__ = "audit_events"
    __table_args__ = (Index(None, "org_id", "at"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    at: Mapped[datetime]
    action: Mapped[str] = mapped_column(String(80))
    actor_kind: Mapped[str] = mapped_column(String(20))
    actor_id: Mapped[UUID | None]
    target: Mapped[str | None] = mapped_column(String(200))
    detail: Mapped[dict[str, Any]] = mapped_column(JsonDocument)
    request_id: Mapped[str | None] = mapped_column(String(64))
