"""Triggers of flows, what came to them, and a share of runs for a version on trial.

Revision: 0014
Follows: 0013
"""

import sqlalchemy as sa
from alembic import op

from platform_api.database.columns import Id, UtcTime
from platform_api.migrations.row_security import guard, unguard

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward."""
    op.create_table(
        "flow_triggers",
        sa.Column("id", Id(), nullable=False),
        sa.Column("flow_id", Id(), nullable=False),
        sa.Column("flow", sa.String(length=63), nullable=False),
        sa.Column("trigger_id", sa.String(length=63), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("source", sa.String(length=200), nullable=False),
        sa.Column("sealed_secret", sa.LargeBinary(), nullable=True),
        sa.Column("sealed_previous", sa.LargeBinary(), nullable=True),
        sa.Column("previous_until", UtcTime(), nullable=True),
        sa.Column("is_paused", sa.Boolean(), nullable=False),
        sa.Column("created_by", Id(), nullable=True),
        sa.Column("created_at", UtcTime(), nullable=False),
        sa.Column("updated_at", UtcTime(), nullable=False),
        sa.Column("org_id", Id(), nullable=False),
        sa.ForeignKeyConstraint(
            ["org_id"], ["organizations.id"], name=op.f("fk_flow_triggers_org_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["org_id", "flow_id"],
            ["flows.org_id", "flows.id"],
            name=op.f("fk_flow_triggers_flow_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_flow_triggers")),
        sa.UniqueConstraint("org_id", "id", name=op.f("uq_flow_triggers_org_id_id")),
        sa.UniqueConstraint("flow_id", "trigger_id", name=op.f("uq_flow_triggers_flow_id_trigger_id")),
    )
    op.create_index(op.f("ix_flow_triggers_org_id"), "flow_triggers", ["org_id"], unique=False)
    op.create_index("ix_flow_triggers_kind_source", "flow_triggers", ["kind", "source"], unique=False)
    op.create_table(
        "trigger_deliveries",
        sa.Column("trigger", Id(), nullable=False),
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("outcome", sa.String(length=16), nullable=False),
        sa.Column("run_id", Id(), nullable=True),
        sa.Column("depth", sa.Integer(), nullable=False),
        sa.Column("at", UtcTime(), nullable=False),
        sa.Column("org_id", Id(), nullable=False),
        sa.ForeignKeyConstraint(
            ["org_id"], ["organizations.id"], name=op.f("fk_trigger_deliveries_org_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["org_id", "trigger"],
            ["flow_triggers.org_id", "flow_triggers.id"],
            name=op.f("fk_trigger_deliveries_trigger"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("trigger", "key", name=op.f("pk_trigger_deliveries")),
    )
    op.create_index(op.f("ix_trigger_deliveries_org_id"), "trigger_deliveries", ["org_id"], unique=False)
    op.create_index("ix_trigger_deliveries_run_id", "trigger_deliveries", ["run_id"], unique=False)
    op.add_column("flows", sa.Column("canary_version", sa.Integer(), nullable=True))
    op.add_column("flows", sa.Column("canary_percent", sa.Integer(), nullable=True))
    guard(["flow_triggers", "trigger_deliveries"])


def downgrade() -> None:
    """Go back. Webhooks, with their secrets, are gone; every run takes the published version."""
    unguard(["flow_triggers", "trigger_deliveries"])
    op.drop_column("flows", "canary_percent")
    op.drop_column("flows", "canary_version")
    op.drop_index("ix_trigger_deliveries_run_id", table_name="trigger_deliveries")
    op.drop_index(op.f("ix_trigger_deliveries_org_id"), table_name="trigger_deliveries")
    op.drop_table("trigger_deliveries")
    op.drop_index("ix_flow_triggers_kind_source", table_name="flow_triggers")
    op.drop_index(op.f("ix_flow_triggers_org_id"), table_name="flow_triggers")
    op.drop_table("flow_triggers")
