"""Secrets that flows read by name. Their values stand here encrypted, and nowhere else."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import LargeBinary, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from platform_api.database.tables.base import Base, OrgScoped, org_key


class SecretRow(OrgScoped, Base):
    """One secret of an organisation; `sealed` opens only for this organisation, row and field."""

    __tablename__ = "secrets"
    __table_args__ = (org_key(), UniqueConstraint("org_id", "name"))

    id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(63))
    sealed: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    updated_by: Mapped[UUID | None]
