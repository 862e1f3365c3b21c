"""What people have said to steps that ask for approval.

Revision: 0008
Follows: 0007
"""

import sqlalchemy as sa
from alembic import op

from platform_api.database.columns import Id, JsonDocument, UtcTime
from platform_api.migrations.row_security import guard, unguard

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward."""
    op.create_table(
        "run_answers",
        sa.Column("id", Id(), nullable=False),
        sa.Column("run_id", Id(), nullable=False),
        sa.Column("path", sa.String(length=512), nullable=False),
        sa.Column("user_id", Id(), nullable=False),
        sa.Column("by", sa.String(length=320), nullable=False),
        sa.Column("decision", sa.String(length=16), nullable=False),
        sa.Column("entered", JsonDocument, nullable=False),
        sa.Column("comment", sa.Text(), nullable=True),
        sa.Column("at", UtcTime(), nullable=False),
        sa.Column("org_id", Id(), nullable=False),
        sa.ForeignKeyConstraint(
            ["org_id", "run_id"],
            ["runs.org_id", "runs.id"],
            name=op.f("fk_run_answers_org_id_run_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["org_id"], ["organizations.id"], name=op.f("fk_run_answers_org_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_run_answers")),
        sa.UniqueConstraint("run_id", "path", "user_id", name=op.f("uq_run_answers_run_id_path_user_id")),
    )
    op.create_index(op.f("ix_run_answers_org_id"), "run_answers", ["org_id"], unique=False)
    guard(["run_answers"])


def downgrade() -> None:
    """Go back. The answers are forgotten."""
    unguard(["run_answers"])
    op.drop_index(op.f("ix_run_answers_org_id"), table_name="run_answers")
    op.drop_table("run_answers")
