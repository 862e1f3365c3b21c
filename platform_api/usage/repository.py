"""Queries of calls and the ledger: what was used and what it cost."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import SQLColumnExpression, case, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from platform_api.database.tables.usage import CallRow, LedgerRow


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over a part of the ledger. `key` is the model, the day, or empty for everything."""

    key: tuple[str, ...]
    requests: int
    input_tokens: int
    output_tokens: int
    cost_nano_usd: int
    unpriced_attempts: int
    """Attempts whose price is unknown: they are not in the cost."""


class UsageRepository:
    """Usage of one organisation."""

    def __init__(self, db: AsyncSession) -> None:
        self._db = db

    async def requests(self, org_id: UUID, start: datetime, end: datetime) -> int:
        """Calls begun in the span, cache hits included."""
        query = select(func.count()).where(
            CallRow.org_id == org_id, CallRow.started_at >= start, CallRow.started_at < end
        )
        return await self._db.scalar(query) or 0

    async def requests_by_day(self, org_id: UUID, start: datetime, end: datetime) -> dict[str, int]:
        """The same for each UTC day that had any."""
        day = self._day(CallRow.started_at)
        query = (
            select(day, func.count())
            .where(CallRow.org_id == org_id, CallRow.started_at >= start, CallRow.started_at < end)
            .group_by(day)
        )
        return {str(key): count for key, count in (await self._db.execute(query)).all()}

    async def by_model(self, org_id: UUID, start: datetime, end: datetime) -> list[Totals]:
        """Sums for each model and provider, the dearest first."""
        return await self._totals(org_id, start, end, (LedgerRow.model, LedgerRow.provider))

    async def by_day(self, org_id: UUID, start: datetime, end: datetime) -> list[Totals]:
        """Sums for each UTC day with attempts, in order."""
        days = await self._totals(org_id, start, end, (self._day(LedgerRow.at),))
        return sorted(days, key=lambda totals: totals.key)

    async def find_call(self, org_id: UUID, call_id: UUID) -> CallRow | None:
        """One call."""
        return await self._db.scalar(select(CallRow).where(CallRow.org_id == org_id, CallRow.id == call_id))

    async def attempts(self, org_id: UUID, call_id: UUID) -> Sequence[LedgerRow]:
        """The attempts of a call, in the order they were made."""
        query = select(LedgerRow).where(LedgerRow.org_id == org_id, LedgerRow.call_id == call_id)
        return (await self._db.scalars(query.order_by(LedgerRow.position, LedgerRow.attempt_id))).all()

    async def _totals(
        self, org_id: UUID, start: datetime, end: datetime, keys: tuple[SQLColumnExpression[str], ...]
    ) -> list[Totals]:
        cost = func.coalesce(func.sum(LedgerRow.cost_nano_usd), 0)
        query = (
            select(
                *keys,
                func.count(LedgerRow.call_id.distinct()),
                func.coalesce(func.sum(LedgerRow.input_tokens), 0),
                func.coalesce(func.sum(LedgerRow.output_tokens), 0),
                cost,
                func.sum(case((LedgerRow.cost_nano_usd.is_(None), 1), else_=0)),
            )
            .where(LedgerRow.org_id == org_id, LedgerRow.at >= start, LedgerRow.at < end)
            .group_by(*keys)
            .order_by(cost.desc())
        )
        n_keys = len(keys)
        return [
            Totals(tuple(str(part) for part in row[:n_keys]), *(int(figure) for figure in row[n_keys:]))
            for row in (await self._db.execute(query)).all()
        ]

    def _day(self, moment: SQLColumnExpression[datetime]) -> SQLColumnExpression[str]:
        """The UTC day as text."""
        if self._db.get_bind().dialect.name == "sqlite":
            return func.strftime("%Y-%m-%d", moment)
        return func.to_char(func.timezone("UTC", moment), "YYYY-MM-DD")
