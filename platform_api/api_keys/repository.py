"""Queries of API keys and of the spend caps that come with them."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from uuid_utils.compat import uuid7

from platform_api.database.tables.identity import ApiKeyRow
from platform_api.database.tables.usage import BudgetRow
from platform_api.paging import PageQuery, fetch_page


class ApiKeyRepository:
    """The keys of one organisation at a time."""

    def __init__(self, db: AsyncSession) -> None:
        self._db = db

    async def find(self, org_id: UUID, key_id: UUID) -> ApiKeyRow | None:
        """The key, revoked or not."""
        return await self._db.scalar(select(ApiKeyRow).where(ApiKeyRow.org_id == org_id, ApiKeyRow.id == key_id))

    async def page(self, org_id: UUID, query: PageQuery) -> tuple[list[ApiKeyRow], str | None]:
        """Keys, newest first."""
        return await fetch_page(self._db, select(ApiKeyRow).where(ApiKeyRow.org_id == org_id), ApiKeyRow.id, query)

    async def cap(self, key: ApiKeyRow, limit_nano_usd: int | None, *, now: datetime) -> None:
        """Set the hard spend cap over the whole life of the key and of those it was rotated from; None: no cap."""
        spend_id = str(key.rotated_from or key.id)
        key.budget_nano_usd = limit_nano_usd
        budget = await self._db.scalar(
            select(BudgetRow).where(
                BudgetRow.org_id == key.org_id,
                BudgetRow.kind == "key",
                BudgetRow.scope_id == spend_id,
                BudgetRow.period == "total",
            )
        )
        if limit_nano_usd is None:
            if budget is not None:
                await self._db.delete(budget)
        elif budget is not None:
            budget.limit_nano_usd = limit_nano_usd
        else:
            budget = BudgetRow(id=uuid7(), org_id=key.org_id, kind="key", scope_id=spend_id, period="total")
            budget.limit_nano_usd, budget.created_at = limit_nano_usd, now
            self._db.add(budget)
        await self._db.flush()
