"""How many requests and tokens an API key and an organisation may use a minute and a day.

Revision: 0010
Follows: 0009
"""

import sqlalchemy as sa
from alembic import op

from platform_api.database.columns import JsonDocument

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward."""
    op.add_column("api_keys", sa.Column("limits", JsonDocument, nullable=True))
    op.add_column("organizations", sa.Column("limits", JsonDocument, nullable=True))


def downgrade() -> None:
    """Go back. Own limits are forgotten; those of the configuration hold for everybody."""
    op.drop_column("organizations", "limits")
    op.drop_column("api_keys", "limits")
