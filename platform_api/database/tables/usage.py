"""Rows of money: calls, the ledger, budgets with their windows and leases, and the journals that feed them."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Index, Integer, String, Text, UniqueConstraint, false
from sqlalchemy.orm import Mapped, mapped_column

from platform_api.database.columns import Id, JsonDocument, NanoUsd
from platform_api.database.tables.base import Base, OrgScoped


class CallRow(OrgScoped, Base):
    """One request to the bridge, cache hits included. Holds no money: that is the ledger's."""

    __tablename__ = "calls"
    __table_args__ = (
        Index("ix_calls_org_id_started_at", "org_id", "started_at"),
        Index("ix_calls_run_id", "run_id"),
    )

    id: Mapped[UUID] = mapped_column(Id, primary_key=True)
    key_id: Mapped[UUID | None] = mapped_column(Id)
    user_id: Mapped[UUID | None] = mapped_column(Id)
    run_id: Mapped[UUID | None] = mapped_column(Id)
    step_path: Mapped[str | None] = mapped_column(String(512))
    flow: Mapped[str | None] = mapped_column(String(63))
    task: Mapped[str | None] = mapped_column(String(200))
    request_id: Mapped[str | None] = mapped_column(String(100))
    requested: Mapped[str] = mapped_column(String(200))
    alias: Mapped[str | None] = mapped_column(String(100))
    decision: Mapped[Any] = mapped_column(JsonDocument, nullable=True)
    status: Mapped[str] = mapped_column(String(16))
    cache: Mapped[str] = mapped_column(String(8))
    is_stream: Mapped[bool]
    error_class: Mapped[str | None] = mapped_column(String(32))
    error_message: Mapped[str | None] = mapped_column(Text)
    re_asks: Mapped[int]
    is_rescued: Mapped[bool] = mapped_column(default=False, server_default=false())
    """Did another target take a stream up after its first content?"""
    cache_similarity: Mapped[float | None]
    """Of a cached answer: 1 for the same request, less for one that means the same."""
    started_at: Mapped[datetime]
    finished_at: Mapped[datetime]


class LedgerRow(OrgScoped, Base):
    """One attempt and what it cost. Append-only; a correction is a row of its own that names what it `corrects`."""

    __tablename__ = "ledger"
    __table_args__ = (Index("ix_ledger_org_id_at", "org_id", "at"), Index("ix_ledger_call_id", "call_id"))

    attempt_id: Mapped[UUID] = mapped_column(Id, primary_key=True)
    call_id: Mapped[UUID] = mapped_column(Id)
    position: Mapped[int] = mapped_column(Integer)
    deployment: Mapped[str] = mapped_column(String(200))
    provider: Mapped[str] = mapped_column(String(100))
    model: Mapped[str] = mapped_column(String(200))
    outcome: Mapped[str] = mapped_column(String(16))
    error_class: Mapped[str | None] = mapped_column(String(32))
    error_message: Mapped[str | None] = mapped_column(Text)
    status: Mapped[int | None]
    finish_reason: Mapped[str | None] = mapped_column(String(16))
    usage: Mapped[Any] = mapped_column(JsonDocument, nullable=True)
    input_tokens: Mapped[int] = mapped_column(BigInteger)
    output_tokens: Mapped[int] = mapped_column(BigInteger)
    price_row: Mapped[str | None] = mapped_column(String(300))
    price_data_version: Mapped[str | None] = mapped_column(String(100))
    cost_nano_usd: Mapped[int | None] = mapped_column(NanoUsd)
    provider_cost_nano_usd: Mapped[int | None] = mapped_column(NanoUsd)
    is_estimated: Mapped[bool]
    duration_ms: Mapped[float]
    ttft_ms: Mapped[float | None]
    at: Mapped[datetime]
    corrects: Mapped[UUID | None] = mapped_column(Id)


class BudgetRow(OrgScoped, Base):
    """A hard cap. `kind` and `scope_id` say on what; `period`: day, week, month, total (UTC calendar)."""

    __tablename__ = "budgets"
    __table_args__ = (UniqueConstraint("org_id", "kind", "scope_id", "period"),)

    id: Mapped[UUID] = mapped_column(Id, primary_key=True)
    kind: Mapped[str] = mapped_column(String(8))
    scope_id: Mapped[str] = mapped_column(String(200))
    period: Mapped[str] = mapped_column(String(8))
    limit_nano_usd: Mapped[int] = mapped_column(NanoUsd)
    created_at: Mapped[datetime]


class BudgetWindowRow(OrgScoped, Base):
    """What is held by processes and what is settled, in one window of a budget.

    Whoever needs money raises `recalls`: processes that see it give back what they hold idle.
    """

    __tablename__ = "budget_windows"

    budget_id: Mapped[UUID] = mapped_column(Id, ForeignKey("budgets.id", ondelete="CASCADE"), primary_key=True)
    starts_at: Mapped[datetime] = mapped_column(primary_key=True)
    held_nano_usd: Mapped[int] = mapped_column(NanoUsd, default=0)
    settled_nano_usd: Mapped[int] = mapped_column(NanoUsd, default=0)
    recalls: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")


class BudgetLeaseRow(OrgScoped, Base):
    """Money that one process holds for its calls, of one window of a budget, and has not settled yet."""

    __tablename__ = "budget_leases"
    __table_args__ = (Index("ix_budget_leases_writer_id_expires_at", "writer_id", "expires_at"),)

    id: Mapped[UUID] = mapped_column(Id, primary_key=True)
    budget_id: Mapped[UUID] = mapped_column(Id, ForeignKey("budgets.id", ondelete="CASCADE"), index=True)
    starts_at: Mapped[datetime]
    amount_nano_usd: Mapped[int] = mapped_column(NanoUsd)
    writer_id: Mapped[str] = mapped_column(String(64))
    expires_at: Mapped[datetime]
    created_at: Mapped[datetime]


class JournalWriterRow(Base):
    """A process that writes a usage journal. Its leases are freed only once `closed_at` says all was drained."""

    __tablename__ = "journal_writers"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    host: Mapped[str] = mapped_column(String(255))
    pid: Mapped[int]
    started_at: Mapped[datetime]
    closed_at: Mapped[datetime | None]
