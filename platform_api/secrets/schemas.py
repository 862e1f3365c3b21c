"""Bodies of /api/secrets. A value goes in and never comes out."""

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, Field, SecretStr

from platform_api.auth.schemas import Body
from platform_api.database.tables.secrets import SecretRow

MAX_VALUE_CHARS = 16_384


class NewSecret(Body):
    """The value, under the name in the path."""

    value: SecretStr = Field(min_length=1, max_length=MAX_VALUE_CHARS)


class SecretView(BaseModel):
    """A secret as it is shown: everything but its value."""

    name: str
    created_at: datetime
    updated_at: datetime
    updated_by: UUID | None


def view_of(row: SecretRow) -> SecretView:
    """The row as it is shown."""
    return SecretView(name=row.name, created_at=row.created_at, updated_at=row.updated_at, updated_by=row.updated_by)
