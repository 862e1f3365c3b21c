"""Rows of flows: versions, runs, their steps and events, schedules."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Double, ForeignKey, Index, Integer, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from platform_api.database.columns import Id, JsonDocument, NanoUsd
from platform_api.database.tables.base import Base, OrgScoped, org_key, org_reference


class FlowRow(OrgScoped, Base):
    """A flow by name; its content is in the versions."""

    __tablename__ = "flows"
    __table_args__ = (org_key(), UniqueConstraint("org_id", "name"))

    id: Mapped[UUID] = mapped_column(Id, primary_key=True)
    name: Mapped[str] = mapped_column(String(63))
    description: Mapped[str] = mapped_column(Text, default="")
    latest_version: Mapped[int]
    published_version: Mapped[int | None]
    canary_version: Mapped[int | None]
    canary_percent: Mapped[int | None]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class FlowVersionRow(OrgScoped, Base):
    """One immutable content of a flow. `status`: draft, published (now, or once: the flow says which is live)."""

    __tablename__ = "flow_versions"
    __table_args__ = (
        UniqueConstraint("flow_id", "version"),
        UniqueConstraint("flow_id", "content_hash"),
        org_reference("flow_id", "flows", ondelete="CASCADE"),
    )

    id: Mapped[UUID] = mapped_column(Id, primary_key=True)
    flow_id: Mapped[UUID] = mapped_column(Id)
    version: Mapped[int]
    status: Mapped[str] = mapped_column(String(16))
    yaml: Mapped[str] = mapped_column(Text)
    content_hash: Mapped[str] = mapped_column(String(80))
    diagnostics: Mapped[Any] = mapped_column(JsonDocument)
    created_at: Mapped[datetime]
    published_at: Mapped[datetime | None]
    created_by: Mapped[UUID | None] = mapped_column(Id)


class RunRow(OrgScoped, Base):
    """One execution of a flow version: the truth in both lanes, and the queue."""

    __tablename__ = "runs"
    __table_args__ = (
        org_key(),
        org_reference("flow_id", "flows", ondelete="CASCADE"),
        UniqueConstraint("schedule_id", "slot"),
        UniqueConstraint("flow_id", "idempotency_key"),
        Index("ix_runs_org_id_id", "org_id", "id"),
        Index("ix_runs_flow_id_id", "flow_id", "id"),
        Index("ix_runs_status_lease_until", "status", "lease_until"),
        Index("ix_runs_group_key_status", "group_key", "status"),
        Index("ix_runs_status_wake_at", "status", "wake_at"),
    )

    id: Mapped[UUID] = mapped_column(Id, primary_key=True)
    flow_id: Mapped[UUID] = mapped_column(Id)
    flow: Mapped[str] = mapped_column(String(63))
    version: Mapped[int]
    status: Mapped[str] = mapped_column(String(16))
    trigger: Mapped[str] = mapped_column(String(16))
    lane: Mapped[str] = mapped_column(String(16))
    inputs: Mapped[Any] = mapped_column(JsonDocument)
    outputs: Mapped[Any] = mapped_column(JsonDocument, nullable=True)
    errors: Mapped[Any] = mapped_column(JsonDocument, nullable=True)
    cost_nano_usd: Mapped[int | None] = mapped_column(NanoUsd)
    owner: Mapped[str | None] = mapped_column(String(80))
    lease_until: Mapped[datetime | None]
    epoch: Mapped[int] = mapped_column(Integer, default=0)
    last_seq: Mapped[int] = mapped_column(Integer, default=0)
    is_cancel_requested: Mapped[bool] = mapped_column(default=False)
    prefect_run_id: Mapped[str | None] = mapped_column(String(64))
    parent_run_id: Mapped[UUID | None] = mapped_column(Id)
    key_id: Mapped[UUID | None] = mapped_column(Id)
    user_id: Mapped[UUID | None] = mapped_column(Id)
    idempotency_key: Mapped[str | None] = mapped_column(String(255))
    schedule_id: Mapped[UUID | None] = mapped_column(Id)
    slot: Mapped[datetime | None]
    group_key: Mapped[str | None] = mapped_column(String(64))
    group_limit: Mapped[int | None]
    admitted_at: Mapped[datetime | None]
    wake_at: Mapped[datetime | None]
    waiting_since: Mapped[datetime | None]
    waited_s: Mapped[float] = mapped_column(Double, default=0.0, server_default="0")
    request_id: Mapped[str | None] = mapped_column(String(64))
    traceparent: Mapped[str | None] = mapped_column(String(55))
    created_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]


class StepRunRow(OrgScoped, Base):
    """The latest state of one step path of a run."""

    __tablename__ = "step_runs"
    __table_args__ = (org_reference("run_id", "runs", ondelete="CASCADE"),)

    run_id: Mapped[UUID] = mapped_column(Id, primary_key=True)
    path: Mapped[str] = mapped_column(String(512), primary_key=True)
    step: Mapped[str] = mapped_column(String(63))
    type: Mapped[str] = mapped_column(String(63))
    status: Mapped[str] = mapped_column(String(16))
    reason: Mapped[str | None] = mapped_column(String(200))
    attempts: Mapped[int]
    output: Mapped[Any] = mapped_column(JsonDocument, nullable=True)
    error: Mapped[Any] = mapped_column(JsonDocument, nullable=True)
    is_error_handled: Mapped[bool]
    item_errors: Mapped[Any] = mapped_column(JsonDocument)
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    cost_nano_usd: Mapped[int | None] = mapped_column(NanoUsd)
    model: Mapped[str | None] = mapped_column(String(200))
    provider: Mapped[str | None] = mapped_column(String(100))
    call_ids: Mapped[Any] = mapped_column(JsonDocument)
    fingerprint: Mapped[str] = mapped_column(String(80))
    is_cached: Mapped[bool]
    taken: Mapped[Any] = mapped_column(JsonDocument, nullable=True)
    epoch: Mapped[int]


class RecordingRow(OrgScoped, Base):
    """What a replay answers one execution of a step from. JSON is kept as text: the order of keys is part of it."""

    __tablename__ = "run_recordings"
    __table_args__ = (
        org_reference("run_id", "runs", ondelete="CASCADE"),
        Index("ix_run_recordings_recorded_at", "recorded_at"),
    )

    run_id: Mapped[UUID] = mapped_column(Id, primary_key=True)
    path: Mapped[str] = mapped_column(String(512), primary_key=True)
    type: Mapped[str] = mapped_column(String(63))
    digest: Mapped[str] = mapped_column(String(64))
    given: Mapped[str] = mapped_column(Text)
    calls: Mapped[str] = mapped_column(Text)
    is_whole: Mapped[bool]
    output: Mapped[str | None] = mapped_column(Text)
    arm: Mapped[str | None] = mapped_column(String(63))
    recorded_at: Mapped[datetime]


class ExposureRow(OrgScoped, Base):
    """The first time that a unit met an arm of an A/B test. `share` is the probability it had then."""

    __tablename__ = "ab_exposures"
    __table_args__ = (
        UniqueConstraint("org_id", "test", "unit_hash"),
        Index("ix_ab_exposures_run_id", "run_id"),
    )

    id: Mapped[UUID] = mapped_column(Id, primary_key=True)
    test: Mapped[str] = mapped_column(String(63))
    unit_hash: Mapped[str] = mapped_column(String(64))
    arm: Mapped[str] = mapped_column(String(63))
    share: Mapped[float] = mapped_column(Double)
    flow: Mapped[str] = mapped_column(String(63))
    run_id: Mapped[UUID] = mapped_column(Id)
    step_path: Mapped[str] = mapped_column(String(512))
    at: Mapped[datetime]


class AnswerRow(OrgScoped, Base):
    """What one person said to a step that asks for approval."""

    __tablename__ = "run_answers"
    __table_args__ = (
        org_reference("run_id", "runs", ondelete="CASCADE"),
        UniqueConstraint("run_id", "path", "user_id"),
    )

    id: Mapped[UUID] = mapped_column(Id, primary_key=True)
    run_id: Mapped[UUID] = mapped_column(Id)
    path: Mapped[str] = mapped_column(String(512))
    user_id: Mapped[UUID] = mapped_column(Id)
    by: Mapped[str] = mapped_column(String(320))
    decision: Mapped[str] = mapped_column(String(16))
    entered: Mapped[Any] = mapped_column(JsonDocument)
    comment: Mapped[str | None] = mapped_column(Text)
    at: Mapped[datetime]


class RunEventRow(OrgScoped, Base):
    """A stored event of a run; tokens are not stored."""

    __tablename__ = "run_events"
    __table_args__ = (org_reference("run_id", "runs", ondelete="CASCADE"),)

    run_id: Mapped[UUID] = mapped_column(Id, primary_key=True)
    seq: Mapped[int] = mapped_column(Integer, primary_key=True)
    kind: Mapped[str] = mapped_column(String(16))
    at: Mapped[datetime]
    body: Mapped[Any] = mapped_column(JsonDocument)


class ScheduleRow(OrgScoped, Base):
    """When a flow starts by itself. `trigger_id` is set when the flow's own document asked for it."""

    __tablename__ = "schedules"
    __table_args__ = (org_reference("flow_id", "flows", ondelete="CASCADE"), UniqueConstraint("flow_id", "trigger_id"))

    id: Mapped[UUID] = mapped_column(Id, primary_key=True)
    flow_id: Mapped[UUID] = mapped_column(Id)
    flow: Mapped[str] = mapped_column(String(63))
    version: Mapped[int | None]
    trigger_id: Mapped[str | None] = mapped_column(String(63))
    cron: Mapped[str] = mapped_column(String(200))
    timezone: Mapped[str] = mapped_column(String(64))
    inputs: Mapped[Any] = mapped_column(JsonDocument)
    overlap: Mapped[str] = mapped_column(String(16))
    misfire: Mapped[str] = mapped_column(String(16))
    is_paused: Mapped[bool] = mapped_column(default=False)
    seen_until: Mapped[datetime | None]
    created_by: Mapped[UUID | None] = mapped_column(Id, ForeignKey("users.id", ondelete="SET NULL"))
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
