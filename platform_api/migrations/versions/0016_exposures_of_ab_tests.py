"""Which unit met which arm of an A/B test first.

Revision: 0016
Follows: 0015
"""

import sqlalchemy as sa
from alembic import op

from platform_api.database.columns import Id, UtcTime
from platform_api.migrations.row_security import guard, unguard

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward."""
    op.create_table(
        "ab_exposures",
        sa.Column("id", Id(), nullable=False),
        sa.Column("test", sa.String(length=63), nullable=False),
        sa.Column("unit_hash", sa.String(length=64), nullable=False),
        sa.Column("arm", sa.String(length=63), nullable=False),
        sa.Column("share", sa.Double[float](), nullable=False),
        sa.Column("flow", sa.String(length=63), nullable=False),
        sa.Column("run_id", Id(), nullable=False),
        sa.Column("step_path", sa.String(length=512), nullable=False),
        sa.Column("at", UtcTime(), nullable=False),
        sa.Column("org_id", Id(), nullable=False),
        sa.ForeignKeyConstraint(
            ["org_id"], ["organizations.id"], name=op.f("fk_ab_exposures_org_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ab_exposures")),
        sa.UniqueConstraint("org_id", "test", "unit_hash", name=op.f("uq_ab_exposures_org_id_test_unit_hash")),
    )
    op.create_index(op.f("ix_ab_exposures_org_id"), "ab_exposures", ["org_id"], unique=False)
    op.create_index(op.f("ix_ab_exposures_run_id"), "ab_exposures", ["run_id"], unique=False)
    guard(["ab_exposures"])


def downgrade() -> None:
    """Go back. Units meet their arms anew."""
    unguard(["ab_exposures"])
    op.drop_index(op.f("ix_ab_exposures_run_id"), table_name="ab_exposures")
    op.drop_index(op.f("ix_ab_exposures_org_id"), table_name="ab_exposures")
    op.drop_table("ab_exposures")
