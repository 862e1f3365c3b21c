"""Leases belong to processes, not to calls; windows can be recalled.

No release has written leases of calls.

Revision: 0004
Follows: 0003
"""

import sqlalchemy as sa
from alembic import op

from platform_api.database.columns import Id, JsonDocument

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward."""
    op.add_column("budget_windows", sa.Column("recalls", sa.BigInteger(), server_default="0", nullable=False))
    op.drop_column("budget_leases", "hold_id")
    op.drop_column("budget_leases", "scopes")


def downgrade() -> None:
    """Go back. Leases end: what they hold has no call."""
    op.execute("update budget_windows set held_nano_usd = 0")
    op.execute("delete from budget_leases")
    op.add_column("budget_leases", sa.Column("scopes", JsonDocument, nullable=True))
    op.add_column("budget_leases", sa.Column("hold_id", Id(), nullable=True))
    op.drop_column("budget_windows", "recalls")
