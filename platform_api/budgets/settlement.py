"""Held money becomes spent money: called by the journal's drain, in the transaction that stores the ledger rows."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from bridge.budget_periods import window_start
from bridge.budgets import taken_nano_usd
from bridge.call_record import BudgetScope
from platform_api.budgets.leases import LeaseRepository
from platform_api.budgets.repository import BudgetRepository, Spent, WindowKey, period_of, scope_of
from platform_api.database.tables.usage import BudgetLeaseRow, BudgetRow


@dataclass(frozen=True, slots=True)
class HeldShare:
    """What a call held out of one lease."""

    lease_id: UUID
    amount_nano_usd: int


@dataclass(frozen=True, slots=True)
class SpentCall:
    """What a call cost, when it began, what it counts against, and what it held."""

    org_id: UUID
    scopes: tuple[BudgetScope, ...]
    cost_nano_usd: int | None
    """None: unknown. What was held for it counts as spent."""
    started_at: datetime
    shares: tuple[HeldShare, ...]


class _Changes:
    """Amounts to add, by window and lease. No lease gives more than it has."""

    def __init__(self, leases: Mapping[UUID, BudgetLeaseRow]) -> None:
        self._left = {lease_id: row.amount_nano_usd for lease_id, row in leases.items()}
        self.windows: dict[WindowKey, Spent] = {}
        self.leases: dict[UUID, int] = {}

    def spend(self, key: WindowKey, amount: int) -> None:
        """It is spent in the window."""
        before = self.windows.get(key, Spent())
        self.windows[key] = Spent(before.held_nano_usd, before.settled_nano_usd + amount)

    def take(self, lease: BudgetLeaseRow, amount: int) -> None:
        """The lease holds that much less, and so does its window."""
        taken = min(amount, self._left[lease.id])
        self._left[lease.id] -= taken
        self.leases[lease.id] = self.leases.get(lease.id, 0) + taken
        key = (lease.budget_id, lease.starts_at)
        before = self.windows.get(key, Spent())
        self.windows[key] = Spent(before.held_nano_usd - taken, before.settled_nano_usd)


async def settle(db: AsyncSession, calls: Iterable[SpentCall]) -> None:
    """Take what the calls held out of their leases and count their cost, in every budget on one of their scopes.

    A budget that was made while a call was under way has no lease of it; the cost is counted in it all the same.
    """
    by_org: dict[UUID, list[SpentCall]] = {}
    for call in calls:
        by_org.setdefault(call.org_id, []).append(call)
    for org_id in sorted(by_org):
        await _settle_org(db, org_id, by_org[org_id])


async def _settle_org(db: AsyncSession, org_id: UUID, calls: Sequence[SpentCall]) -> None:
    budgets, leases = BudgetRepository(db), LeaseRepository(db)
    lease_ids = {share.lease_id for call in calls for share in call.shares}
    rows = await leases.find(lease_ids) if lease_ids else {}
    changes = _Changes(rows)
    standing = await budgets.standing(org_id)
    for call in calls:
        _settle_call(changes, rows, standing, call)
    await budgets.change(org_id, changes.windows)
    await leases.reduce(changes.leases)


def _settle_call(
    changes: _Changes, leases: Mapping[UUID, BudgetLeaseRow], standing: Sequence[BudgetRow], call: SpentCall
) -> None:
    leased: set[UUID] = set()
    for share in call.shares:
        lease = leases.get(share.lease_id)
        if lease is not None:
            leased.add(lease.budget_id)
            spent = share.amount_nano_usd if call.cost_nano_usd is None else call.cost_nano_usd
            changes.take(lease, taken_nano_usd(share.amount_nano_usd, call.cost_nano_usd))
            changes.spend((lease.budget_id, lease.starts_at), spent)
    if not call.cost_nano_usd:
        return
    for budget in standing:
        if budget.id not in leased and scope_of(budget) in call.scopes:
            changes.spend((budget.id, window_start(period_of(budget), call.started_at)), call.cost_nano_usd)


async def give_back(db: AsyncSession, amounts: Mapping[UUID, int]) -> None:
    """Take idle money out of leases and windows; more than a lease has is not taken."""
    leases = LeaseRepository(db)
    await _release(db, await leases.find(amounts), amounts)


async def end_leases(db: AsyncSession, writer_id: str) -> None:
    """Free all that a process still holds. Its journal is drained, and what its calls held is settled already."""
    rows = await LeaseRepository(db).of_writer(writer_id)
    await _release(db, {row.id: row for row in rows}, {row.id: row.amount_nano_usd for row in rows})


async def _release(db: AsyncSession, rows: Mapping[UUID, BudgetLeaseRow], amounts: Mapping[UUID, int]) -> None:
    budgets = BudgetRepository(db)
    by_org: dict[UUID, _Changes] = {}
    for row in rows.values():
        by_org.setdefault(row.org_id, _Changes(rows)).take(row, amounts[row.id])
    for org_id in sorted(by_org):
        await budgets.change(org_id, by_org[org_id].windows)
    await LeaseRepository(db).reduce({key: amount for one in by_org.values() for key, amount in one.leases.items()})
