"""Flows, versions, runs, steps, events, schedules.

Revision: 0002
Follows: 0001
"""

import sqlalchemy as sa
from alembic import op

from platform_api.database.columns import Id, JsonDocument, UtcTime
from platform_api.migrations.row_security import guard, unguard

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

TENANT_TABLES = ("flows", "flow_versions", "runs", "step_runs", "run_events", "schedules")


def upgrade() -> None:
    """Go forward."""
    op.create_table(
        "flows",
        sa.Column("id", Id(), nullable=False),
        sa.Column("name", sa.String(length=63), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("latest_version", sa.Integer(), nullable=False),
        sa.Column("published_version", sa.Integer(), nullable=True),
        sa.Column("created_at", UtcTime(), nullable=False),
        sa.Column("updated_at", UtcTime(), nullable=False),
        sa.Column("org_id", Id(), nullable=False),
        sa.ForeignKeyConstraint(["org_id"], ["organizations.id"], name=op.f("fk_flows_org_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_flows")),
        sa.UniqueConstraint("org_id", "id", name=op.f("uq_flows_org_id_id")),
        sa.UniqueConstraint("org_id", "name", name=op.f("uq_flows_org_id_name")),
    )
    op.create_index(op.f("ix_flows_org_id"), "flows", ["org_id"], unique=False)
    op.create_table(
        "flow_versions",
        sa.Column("id", Id(), nullable=False),
        sa.Column("flow_id", Id(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("yaml", sa.Text(), nullable=False),
        sa.Column("content_hash", sa.String(length=80), nullable=False),
        sa.Column("diagnostics", JsonDocument, nullable=False),
        sa.Column("created_at", UtcTime(), nullable=False),
        sa.Column("published_at", UtcTime(), nullable=True),
        sa.Column("created_by", Id(), nullable=True),
        sa.Column("org_id", Id(), nullable=False),
        sa.ForeignKeyConstraint(
            ["org_id", "flow_id"],
            ["flows.org_id", "flows.id"],
            name=op.f("fk_flow_versions_org_id_flow_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["org_id"], ["organizations.id"], name=op.f("fk_flow_versions_org_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_flow_versions")),
        sa.UniqueConstraint("flow_id", "content_hash", name=op.f("uq_flow_versions_flow_id_content_hash")),
        sa.UniqueConstraint("flow_id", "version", name=op.f("uq_flow_versions_flow_id_version")),
    )
    op.create_index(op.f("ix_flow_versions_org_id"), "flow_versions", ["org_id"], unique=False)
    op.create_table(
        "runs",
        sa.Column("id", Id(), nullable=False),
        sa.Column("flow_id", Id(), nullable=False),
        sa.Column("flow", sa.String(length=63), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("trigger", sa.String(length=16), nullable=False),
        sa.Column("lane", sa.String(length=16), nullable=False),
        sa.Column("inputs", JsonDocument, nullable=False),
        sa.Column("outputs", JsonDocument, nullable=True),
        sa.Column("errors", JsonDocument, nullable=True),
        sa.Column("cost_nano_usd", sa.BigInteger(), nullable=True),
        sa.Column("owner", sa.String(length=80), nullable=True),
        sa.Column("lease_until", UtcTime(), nullable=True),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("last_seq", sa.Integer(), nullable=False),
        sa.Column("is_cancel_requested", sa.Boolean(), nullable=False),
        sa.Column("prefect_run_id", sa.String(length=64), nullable=True),
        sa.Column("parent_run_id", Id(), nullable=True),
        sa.Column("key_id", Id(), nullable=True),
        sa.Column("user_id", Id(), nullable=True),
        sa.Column("idempotency_key", sa.String(length=255), nullable=True),
        sa.Column("schedule_id", Id(), nullable=True),
        sa.Column("slot", UtcTime(), nullable=True),
        sa.Column("created_at", UtcTime(), nullable=False),
        sa.Column("started_at", UtcTime(), nullable=True),
        sa.Column("finished_at", UtcTime(), nullable=True),
        sa.Column("org_id", Id(), nullable=False),
        sa.ForeignKeyConstraint(
            ["org_id", "flow_id"], ["flows.org_id", "flows.id"], name=op.f("fk_runs_org_id_flow_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["org_id"], ["organizations.id"], name=op.f("fk_runs_org_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_runs")),
        sa.UniqueConstraint("flow_id", "idempotency_key", name=op.f("uq_runs_flow_id_idempotency_key")),
        sa.UniqueConstraint("org_id", "id", name=op.f("uq_runs_org_id_id")),
        sa.UniqueConstraint("schedule_id", "slot", name=op.f("uq_runs_schedule_id_slot")),
    )
    op.create_index("ix_runs_flow_id_id", "runs", ["flow_id", "id"], unique=False)
    op.create_index(op.f("ix_runs_org_id"), "runs", ["org_id"], unique=False)
    op.create_index("ix_runs_org_id_id", "runs", ["org_id", "id"], unique=False)
    op.create_index("ix_runs_status_lease_until", "runs", ["status", "lease_until"], unique=False)
    op.create_table(
        "schedules",
        sa.Column("id", Id(), nullable=False),
        sa.Column("flow_id", Id(), nullable=False),
        sa.Column("flow", sa.String(length=63), nullable=False),
        sa.Column("version", sa.Integer(), nullable=True),
        sa.Column("trigger_id", sa.String(length=63), nullable=True),
        sa.Column("cron", sa.String(length=200), nullable=False),
        sa.Column("timezone", sa.String(length=64), nullable=False),
        sa.Column("inputs", JsonDocument, nullable=False),
        sa.Column("overlap", sa.String(length=16), nullable=False),
        sa.Column("misfire", sa.String(length=16), nullable=False),
        sa.Column("is_paused", sa.Boolean(), nullable=False),
        sa.Column("created_by", Id(), nullable=True),
        sa.Column("created_at", UtcTime(), nullable=False),
        sa.Column("updated_at", UtcTime(), nullable=False),
        sa.Column("org_id", Id(), nullable=False),
        sa.ForeignKeyConstraint(
            ["created_by"], ["users.id"], name=op.f("fk_schedules_created_by"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["org_id", "flow_id"],
            ["flows.org_id", "flows.id"],
            name=op.f("fk_schedules_org_id_flow_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(["org_id"], ["organizations.id"], name=op.f("fk_schedules_org_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_schedules")),
        sa.UniqueConstraint("flow_id", "trigger_id", name=op.f("uq_schedules_flow_id_trigger_id")),
    )
    op.create_index(op.f("ix_schedules_org_id"), "schedules", ["org_id"], unique=False)
    op.create_table(
        "run_events",
        sa.Column("run_id", Id(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("at", UtcTime(), nullable=False),
        sa.Column("body", JsonDocument, nullable=False),
        sa.Column("org_id", Id(), nullable=False),
        sa.ForeignKeyConstraint(
            ["org_id", "run_id"],
            ["runs.org_id", "runs.id"],
            name=op.f("fk_run_events_org_id_run_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["org_id"], ["organizations.id"], name=op.f("fk_run_events_org_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("run_id", "seq", name=op.f("pk_run_events")),
    )
    op.create_index(op.f("ix_run_events_org_id"), "run_events", ["org_id"], unique=False)
    op.create_table(
        "step_runs",
        sa.Column("run_id", Id(), nullable=False),
        sa.Column("path", sa.String(length=512), nullable=False),
        sa.Column("step", sa.String(length=63), nullable=False),
        sa.Column("type", sa.String(length=63), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.String(length=200), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("output", JsonDocument, nullable=True),
        sa.Column("error", JsonDocument, nullable=True),
        sa.Column("is_error_handled", sa.Boolean(), nullable=False),
        sa.Column("item_errors", JsonDocument, nullable=False),
        sa.Column("started_at", UtcTime(), nullable=True),
        sa.Column("finished_at", UtcTime(), nullable=True),
        sa.Column("cost_nano_usd", sa.BigInteger(), nullable=True),
        sa.Column("model", sa.String(length=200), nullable=True),
        sa.Column("provider", sa.String(length=100), nullable=True),
        sa.Column("call_ids", JsonDocument, nullable=False),
        sa.Column("fingerprint", sa.String(length=80), nullable=False),
        sa.Column("is_cached", sa.Boolean(), nullable=False),
        sa.Column("taken", JsonDocument, nullable=True),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("org_id", Id(), nullable=False),
        sa.ForeignKeyConstraint(
            ["org_id", "run_id"],
            ["runs.org_id", "runs.id"],
            name=op.f("fk_step_runs_org_id_run_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(["org_id"], ["organizations.id"], name=op.f("fk_step_runs_org_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", "path", name=op.f("pk_step_runs")),
    )
    op.create_index(op.f("ix_step_runs_org_id"), "step_runs", ["org_id"], unique=False)
    guard(TENANT_TABLES)


def downgrade() -> None:
    """Go back."""
    unguard(TENANT_TABLES)
    op.drop_index(op.f("ix_step_runs_org_id"), table_name="step_runs")
    op.drop_table("step_runs")
    op.drop_index(op.f("ix_run_events_org_id"), table_name="run_events")
    op.drop_table("run_events")
    op.drop_index(op.f("ix_schedules_org_id"), table_name="schedules")
    op.drop_table("schedules")
    op.drop_index("ix_runs_status_lease_until", table_name="runs")
    op.drop_index("ix_runs_org_id_id", table_name="runs")
    op.drop_index(op.f("ix_runs_org_id"), table_name="runs")
    op.drop_index("ix_runs_flow_id_id", table_name="runs")
    op.drop_table("runs")
    op.drop_index(op.f("ix_flow_versions_org_id"), table_name="flow_versions")
    op.drop_table("flow_versions")
    op.drop_index(op.f("ix_flows_org_id"), table_name="flows")
    op.drop_table("flows")
