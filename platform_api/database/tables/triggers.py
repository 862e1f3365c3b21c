"""Rows of triggers: what starts a flow from outside or after another, and what came to them."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Index, Integer, LargeBinary, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from platform_api.database.columns import Id
from platform_api.database.tables.base import Base, OrgScoped, org_key, org_reference


class TriggerRow(OrgScoped, Base):
    """A webhook, or an end of runs, that the published version asks for; what it does stands in the document.

    `source` is the flow whose ends start this one; empty for webhooks. A secret opens only for its own row; the
    previous one is valid until `previous_until`.
    """

    __tablename__ = "flow_triggers"
    __table_args__ = (
        org_key(),
        org_reference("flow_id", "flows", ondelete="CASCADE"),
        UniqueConstraint("flow_id", "trigger_id"),
        Index("ix_flow_triggers_kind_source", "kind", "source"),
    )

    id: Mapped[UUID] = mapped_column(Id, primary_key=True)
    flow_id: Mapped[UUID] = mapped_column(Id)
    flow: Mapped[str] = mapped_column(String(63))
    trigger_id: Mapped[str] = mapped_column(String(63))
    kind: Mapped[str] = mapped_column(String(16))
    source: Mapped[str] = mapped_column(String(200))
    sealed_secret: Mapped[bytes | None] = mapped_column(LargeBinary)
    sealed_previous: Mapped[bytes | None] = mapped_column(LargeBinary)
    previous_until: Mapped[datetime | None]
    is_paused: Mapped[bool]
    created_by: Mapped[UUID | None] = mapped_column(Id)
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class DeliveryRow(OrgScoped, Base):
    """What came of one delivery to a trigger. `key` is the hash of what makes deliveries one and the same."""

    __tablename__ = "trigger_deliveries"
    __table_args__ = (
        org_reference("trigger", "flow_triggers", ondelete="CASCADE"),
        Index("ix_trigger_deliveries_run_id", "run_id"),
    )

    trigger: Mapped[UUID] = mapped_column(Id, primary_key=True)
    key: Mapped[str] = mapped_column(String(64), primary_key=True)
    outcome: Mapped[str] = mapped_column(String(16))
    run_id: Mapped[UUID | None] = mapped_column(Id)
    depth: Mapped[int] = mapped_column(Integer)
    at: Mapped[datetime]
