"""Runs tell which request asked for them, and which trace they belong to.

Revision: 0009
Follows: 0008
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward."""
    op.add_column("runs", sa.Column("request_id", sa.String(length=64), nullable=True))
    op.add_column("runs", sa.Column("traceparent", sa.String(length=55), nullable=True))


def downgrade() -> None:
    """Go back. Runs under way go on without the link to their request."""
    op.drop_column("runs", "traceparent")
    op.drop_column("runs", "request_id")
