"""Runs belong to groups that share a limit, and are admitted.

Revision: 0006
Follows: 0005
"""

import sqlalchemy as sa
from alembic import op

from platform_api.database.columns import UtcTime

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward."""
    op.add_column("runs", sa.Column("group_key", sa.String(64), nullable=True))
    op.add_column("runs", sa.Column("group_limit", sa.Integer(), nullable=True))
    op.add_column("runs", sa.Column("admitted_at", UtcTime(), nullable=True))
    op.create_index("ix_runs_group_key_status", "runs", ["group_key", "status"])


def downgrade() -> None:
    """Go back. Runs that wait for room in their group are started by the sweep."""
    op.drop_index("ix_runs_group_key_status", "runs")
    op.drop_column("runs", "admitted_at")
    op.drop_column("runs", "group_limit")
    op.drop_column("runs", "group_key")
