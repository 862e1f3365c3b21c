"""Rows that keep the service itself honest: what was already answered under an idempotency key."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Index, LargeBinary, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from platform_api.database.tables.base import Base, OrgScoped, org_key


class IdempotencyRow(OrgScoped, Base):
    """One POST made under an `Idempotency-Key`. Without `status` it is still in flight, until `expires_at`."""

    __tablename__ = "idempotency_keys"
    __table_args__ = (org_key(), UniqueConstraint("org_id", "route", "key"), Index(None, "expires_at"))

    id: Mapped[UUID] = mapped_column(primary_key=True)
    route: Mapped[str] = mapped_column(String(500))
    key: Mapped[str] = mapped_column(String(255))
    fingerprint: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    status: Mapped[int | None]
    sealed_response: Mapped[bytes | None] = mapped_column(LargeBinary)
