"""Bodies of /api/auth/api-keys."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, Field, StringConstraints

from bridge.money import usd_number
from platform_api.auth.schemas import Body, Name
from platform_api.database.tables.identity import ApiKeyRow
from platform_api.rates import Rates

DEFAULT_DAYS = 90
MAX_DAYS = 3650
MAX_GRACE_HOURS = 7 * 24

Scope = Annotated[str, StringConstraints(pattern=r"^(\*|[a-z_]+:(\*|[a-z_]+))$", max_length=60)]
ModelName = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\s\x00-\x1f]+$")]
Budget = Annotated[Decimal, Field(ge=0, le=1_000_000_000, max_digits=18, decimal_places=9)]


class NewKey(Body):
    """What the key may do, spend and use. Without `scopes`: all that its creator may do and a key can carry."""

    name: Name
    scopes: list[Scope] | None = Field(default=None, max_length=100)
    budget_usd: Budget | None = Field(default=None, description="Spend cap over the key's whole life.")
    expires_in_days: int | None = Field(default=DEFAULT_DAYS, ge=1, le=MAX_DAYS, description="null: never.")
    models: list[ModelName] | None = Field(default=None, max_length=200, description="Models and aliases; null: all.")
    limits: Rates | None = Field(default=None, description="For who may set budgets. Left out: the default for keys.")


class KeyChange(Body):
    """What of a key can be changed; what is left out stays."""

    name: Name | None = None
    scopes: list[Scope] | None = Field(default=None, max_length=100)
    models: list[ModelName] | None = Field(default=None, max_length=200)
    budget_usd: Budget | None = Field(default=None, description="null: no cap.")
    expires_in_days: int | None = Field(default=None, ge=1, le=MAX_DAYS, description="Counted from now; null: never.")
    limits: Rates | None = Field(default=None, description="In place of the former ones; null: the default for keys.")


class Rotation(Body):
    """How long the old key keeps working beside the new one."""

    grace_hours: int = Field(default=24, ge=0, le=MAX_GRACE_HOURS)


class KeyView(BaseModel):
    """A key without its secret."""

    id: UUID
    name: str
    prefix: str
    last_four: str
    scopes: list[str]
    models: list[str] | None
    budget_usd: float | None
    limits: Rates | None
    created_by: UUID | None
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None
    rotated_from: UUID | None


class CreatedKey(KeyView):
    """A key just made; `key` is shown this once."""

    key: str


def view_of(row: ApiKeyRow) -> KeyView:
    """The row as it is shown."""
    return KeyView(
        id=row.id,
        name=row.name,
        prefix=row.prefix,
        last_four=row.last_four,
        scopes=row.scopes,
        models=row.models,
        budget_usd=usd_number(row.budget_nano_usd),
        limits=None if row.limits is None else Rates.stored(row.limits),
        created_by=row.created_by,
        created_at=row.created_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
        last_used_at=row.last_used_at,
        rotated_from=row.rotated_from,
    )
