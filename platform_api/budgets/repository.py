"""Queries of budgets: windows are changed by conditional updates only, always in the order of budget ids."""

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import datetime
from typing import cast
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from bridge.budget_periods import Period
from bridge.call_record import BudgetScope, ScopeKind
from platform_api.database.tables.identity import OrganizationRow
from platform_api.database.tables.usage import BudgetLeaseRow, BudgetRow, BudgetWindowRow, CallRow, LedgerRow
from platform_api.database.upserts import insert_missing

WindowKey = tuple[UUID, datetime]
"""A budget's id and when the window begins."""


@dataclass(frozen=True, slots=True)
class Spent:
    """What one window of a budget holds."""

    held_nano_usd: int = 0
    settled_nano_usd: int = 0


@dataclass(frozen=True, slots=True)
class WindowFacts:
    """A window beside the limit of its budget. One that is not open yet has no row."""

    limit_nano_usd: int
    held_nano_usd: int
    settled_nano_usd: int
    recalls: int
    is_open: bool

    @property
    def left_nano_usd(self) -> int:
        """What may still be held; negative after a limit was lowered."""
        return self.limit_nano_usd - self.held_nano_usd - self.settled_nano_usd


def scope_of(budget: BudgetRow) -> BudgetScope:
    """What the budget is set on."""
    return BudgetScope(cast("ScopeKind", budget.kind), budget.scope_id)


def period_of(budget: BudgetRow) -> Period:
    """Its period."""
    return cast("Period", budget.period)


class BudgetRepository:
    """Budgets of one organisation, their windows and leases."""

    def __init__(self, db: AsyncSession) -> None:
        self._db = db

    async def standing(self, org_id: UUID) -> Sequence[BudgetRow]:
        """All budgets but those of single runs."""
        query = select(BudgetRow).where(BudgetRow.org_id == org_id, BudgetRow.kind != "run").order_by(BudgetRow.id)
        return (await self._db.scalars(query)).all()

    async def find(self, org_id: UUID, budget_id: UUID) -> BudgetRow | None:
        """One budget."""
        return await self._db.scalar(select(BudgetRow).where(BudgetRow.org_id == org_id, BudgetRow.id == budget_id))

    async def find_on(self, org_id: UUID, scope: BudgetScope, period: Period) -> BudgetRow | None:
        """The budget on a scope and period."""
        query = select(BudgetRow).where(
            BudgetRow.org_id == org_id,
            BudgetRow.kind == scope.kind,
            BudgetRow.scope_id == scope.id,
            BudgetRow.period == period,
        )
        return await self._db.scalar(query)

    async def facts(self, org_id: UUID, keys: Set[WindowKey]) -> dict[WindowKey, WindowFacts]:
        """Limit and state of the windows; a budget that is gone is missing."""
        window = BudgetWindowRow
        query = select(BudgetRow.id, BudgetRow.limit_nano_usd).where(
            BudgetRow.org_id == org_id, BudgetRow.id.in_({budget_id for budget_id, _ in keys})
        )
        limits = {row[0]: row[1] for row in (await self._db.execute(query)).all()}
        opened = select(
            window.budget_id, window.starts_at, window.held_nano_usd, window.settled_nano_usd, window.recalls
        ).where(window.org_id == org_id, window.budget_id.in_(set(limits)))
        found = {(row[0], row[1]): row for row in (await self._db.execute(opened)).all()}
        return {
            key: WindowFacts(limits[key[0]], row[2], row[3], row[4], is_open=True)
            if (row := found.get(key)) is not None
            else WindowFacts(limits[key[0]], 0, 0, 0, is_open=False)
            for key in keys
            if key[0] in limits
        }

    async def held_by_others(self, org_id: UUID, key: WindowKey, writer_id: str) -> int:
        """What processes other than `writer_id` hold of a window."""
        query = select(func.coalesce(func.sum(BudgetLeaseRow.amount_nano_usd), 0)).where(
            BudgetLeaseRow.org_id == org_id,
            BudgetLeaseRow.budget_id == key[0],
            BudgetLeaseRow.starts_at == key[1],
            BudgetLeaseRow.writer_id != writer_id,
        )
        return int(await self._db.scalar(query) or 0)

    async def recall(self, org_id: UUID, key: WindowKey | None = None, *, budget_id: UUID | None = None) -> None:
        """Ask all who hold money of a window, or of all windows of a budget, to give back what is idle."""
        windows = update(BudgetWindowRow).where(BudgetWindowRow.org_id == org_id)
        if key is not None:
            windows = windows.where(BudgetWindowRow.budget_id == key[0], BudgetWindowRow.starts_at == key[1])
        else:
            windows = windows.where(BudgetWindowRow.budget_id == budget_id)
        await self._db.execute(
            windows.values(recalls=BudgetWindowRow.recalls + 1).execution_options(synchronize_session=False)
        )

    async def spent(self, org_id: UUID, keys: Iterable[WindowKey]) -> dict[WindowKey, Spent]:
        """What those windows hold; a window without a row holds nothing."""
        wanted = set(keys)
        query = select(BudgetWindowRow).where(
            BudgetWindowRow.org_id == org_id, BudgetWindowRow.budget_id.in_({budget_id for budget_id, _ in wanted})
        )
        rows = (await self._db.scalars(query)).all()
        found = {
            (row.budget_id, row.starts_at): Spent(row.held_nano_usd, row.settled_nano_usd)
            for row in rows
            if (row.budget_id, row.starts_at) in wanted
        }
        return {key: found.get(key, Spent()) for key in wanted}

    async def hold(self, org_id: UUID, key: WindowKey, amount_nano_usd: int) -> bool:
        """Hold the amount if the limit allows it; the check and the change are one statement."""
        budget_id, starts_at = key
        limit = select(BudgetRow.limit_nano_usd).where(BudgetRow.id == budget_id).scalar_subquery()
        taken = BudgetWindowRow.held_nano_usd + BudgetWindowRow.settled_nano_usd
        statement = (
            update(BudgetWindowRow)
            .where(
                BudgetWindowRow.org_id == org_id,
                BudgetWindowRow.budget_id == budget_id,
                BudgetWindowRow.starts_at == starts_at,
                taken + amount_nano_usd <= limit,
            )
            .values(held_nano_usd=BudgetWindowRow.held_nano_usd + amount_nano_usd)
            .returning(BudgetWindowRow.budget_id)
            .execution_options(synchronize_session=False)
        )
        return (await self._db.execute(statement)).first() is not None

    async def open_window(self, org_id: UUID, key: WindowKey, *, settled_nano_usd: int = 0) -> None:
        """Make the window's row if it is missing."""
        record = {
            "org_id": org_id,
            "budget_id": key[0],
            "starts_at": key[1],
            "held_nano_usd": 0,
            "settled_nano_usd": settled_nano_usd,
            "recalls": 0,
        }
        await insert_missing(self._db, BudgetWindowRow, record)

    async def change(self, org_id: UUID, changes: Mapping[WindowKey, Spent]) -> None:
        """Add (or, negative, take away) amounts; windows are made as needed and locked in one order."""
        for key in sorted(changes):
            change = changes[key]
            await self.open_window(org_id, key)
            await self._db.execute(
                update(BudgetWindowRow)
                .where(
                    BudgetWindowRow.org_id == org_id,
                    BudgetWindowRow.budget_id == key[0],
                    BudgetWindowRow.starts_at == key[1],
                )
                .values(
                    held_nano_usd=BudgetWindowRow.held_nano_usd + change.held_nano_usd,
                    settled_nano_usd=BudgetWindowRow.settled_nano_usd + change.settled_nano_usd,
                )
                .execution_options(synchronize_session=False)
            )

    async def stop_the_drain(self, org_id: UUID) -> None:
        """Until this transaction ends nothing is added to the organisation's ledger, so that its sum holds."""
        await self._db.execute(select(OrganizationRow.id).where(OrganizationRow.id == org_id).with_for_update())

    async def already_spent(self, org_id: UUID, scope: BudgetScope, since: datetime) -> int:
        """What the ledger holds for a scope since then: where a new budget starts."""
        query = (
            select(func.coalesce(func.sum(LedgerRow.cost_nano_usd), 0))
            .join(CallRow, CallRow.id == LedgerRow.call_id)
            .where(LedgerRow.org_id == org_id, CallRow.started_at >= since)
        )
        match scope.kind:
            case "org":
                pass
            case "key":
                query = query.where(CallRow.key_id == UUID(scope.id))
            case "run":
                query = query.where(CallRow.run_id == UUID(scope.id))
            case "alias":
                query = query.where(CallRow.alias == scope.id)
            case "flow":
                query = query.where(CallRow.flow == scope.id)
        return int(await self._db.scalar(query) or 0)
