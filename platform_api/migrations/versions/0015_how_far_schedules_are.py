"""Schedules remember up to which slot they have been dealt with, so that missed ones can be made up for.

Revision: 0015
Follows: 0014
"""

import sqlalchemy as sa
from alembic import op

from platform_api.database.columns import UtcTime

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward."""
    op.add_column("schedules", sa.Column("seen_until", UtcTime(), nullable=True))


def downgrade() -> None:
    """Go back. Missed slots stay missed."""
    op.drop_column("schedules", "seen_until")
