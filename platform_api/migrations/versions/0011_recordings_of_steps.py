"""What a replay answers steps from: their inputs' digests and their calls.

Revision: 0011
Follows: 0010
"""

import sqlalchemy as sa
from alembic import op

from platform_api.database.columns import Id, UtcTime
from platform_api.migrations.row_security import guard, unguard

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward."""
    op.create_table(
        "run_recordings",
        sa.Column("run_id", Id(), nullable=False),
        sa.Column("path", sa.String(length=512), nullable=False),
        sa.Column("type", sa.String(length=63), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("given", sa.Text(), nullable=False),
        sa.Column("calls", sa.Text(), nullable=False),
        sa.Column("is_whole", sa.Boolean(), nullable=False),
        sa.Column("output", sa.Text(), nullable=True),
        sa.Column("arm", sa.String(length=63), nullable=True),
        sa.Column("recorded_at", UtcTime(), nullable=False),
        sa.Column("org_id", Id(), nullable=False),
        sa.ForeignKeyConstraint(
            ["org_id", "run_id"],
            ["runs.org_id", "runs.id"],
            name=op.f("fk_run_recordings_org_id_run_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["org_id"], ["organizations.id"], name=op.f("fk_run_recordings_org_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("run_id", "path", name=op.f("pk_run_recordings")),
    )
    op.create_index(op.f("ix_run_recordings_org_id"), "run_recordings", ["org_id"], unique=False)
    op.create_index(op.f("ix_run_recordings_recorded_at"), "run_recordings", ["recorded_at"], unique=False)
    guard(["run_recordings"])


def downgrade() -> None:
    """Go back. What was recorded is forgotten; the runs' outcomes stay."""
    unguard(["run_recordings"])
    op.drop_index(op.f("ix_run_recordings_recorded_at"), table_name="run_recordings")
    op.drop_index(op.f("ix_run_recordings_org_id"), table_name="run_recordings")
    op.drop_table("run_recordings")
