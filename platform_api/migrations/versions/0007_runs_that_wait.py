"""Waiting runs tell when they go on, and how long they have waited.

Revision: 0007
Follows: 0006
"""

import sqlalchemy as sa
from alembic import op

from platform_api.database.columns import UtcTime

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward."""
    op.add_column("runs", sa.Column("wake_at", UtcTime(), nullable=True))
    op.add_column("runs", sa.Column("waiting_since", UtcTime(), nullable=True))
    op.add_column("runs", sa.Column("waited_s", sa.Double[float](), server_default="0", nullable=False))
    op.create_index("ix_runs_status_wake_at", "runs", ["status", "wake_at"])


def downgrade() -> None:
    """Go back. Waiting runs stay as they are; nothing wakes them."""
    op.drop_index("ix_runs_status_wake_at", "runs")
    op.drop_column("runs", "waited_s")
    op.drop_column("runs", "waiting_since")
    op.drop_column("runs", "wake_at")
