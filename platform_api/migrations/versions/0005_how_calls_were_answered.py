"""Calls tell whether another target took a stream up, and how near a cached answer's prompt was.

Revision: 0005
Follows: 0004
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward."""
    op.add_column("calls", sa.Column("is_rescued", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.add_column("calls", sa.Column("cache_similarity", sa.Double[float](), nullable=True))


def downgrade() -> None:
    """Go back. How the calls were answered is forgotten."""
    op.drop_column("calls", "cache_similarity")
    op.drop_column("calls", "is_rescued")
