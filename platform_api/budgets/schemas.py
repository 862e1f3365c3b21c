"""What budgets look like over HTTP."""

from datetime import datetime
from decimal import Decimal
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Scope = Literal["organization", "key", "alias", "flow"]

MAX_USD = Decimal(1_000_000_000)


class NewBudget(BaseModel):
    """A hard cap. `id` names the key (its id), alias or flow; the organization needs none."""

    model_config = ConfigDict(extra="forbid")

    scope: Scope
    id: str | None = Field(default=None, min_length=1, max_length=200)
    limit_usd: Decimal = Field(ge=0, le=MAX_USD, allow_inf_nan=False)
    period: Literal["day", "week", "month", "total"]


class BudgetItem(BaseModel):
    """A budget and its present window. `held_usd` is set aside: for calls in flight, and by processes for the next."""

    budget_id: str
    scope: Scope
    id: str
    period: str
    limit_usd: float
    spent_usd: float
    held_usd: float
    left_usd: float
    window_starts_at: datetime
    created_at: datetime
