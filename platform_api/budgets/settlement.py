"""Held money becomes spent money: called by the journal's drain, in the transaction that stores the ledger rows."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from bridge.call_record import BudgetScope
from platform_api.budgets.repository import BudgetRepository, Spent, WindowKey, period_of, scope_of
from platform_api.budgets.windows import window_start
from platform_api.database.tables.usage import BudgetLeaseRow


@dataclass(frozen=True, slots=True)
class SpentCall:
    """What a call cost, when it began, what it counts against, and the leases it was made under."""

    org_id: UUID
    scopes: tuple[BudgetScope, ...]
    cost_nano_usd: int
    started_at: datetime
    lease_ids: tuple[UUID, ...]


@dataclass(frozen=True, slots=True)
class LostHold:
    """Money held for a call whose process died before it could say what became of it."""

    id: UUID
    org_id: UUID
    amount_nano_usd: int
    scopes: dict[str, str]
    at: datetime


async def settle(db: AsyncSession, calls: Iterable[SpentCall]) -> None:
    """End the calls' leases and count their cost, in every budget on one of their scopes.

    A budget that was made while a call was under way has no lease of it; the cost is counted in it all the same.
    """
    budgets = BudgetRepository(db)
    by_org: dict[UUID, list[SpentCall]] = {}
    for call in calls:
        by_org.setdefault(call.org_id, []).append(call)
    for org_id in sorted(by_org):
        await _settle_org(budgets, org_id, by_org[org_id])


async def _settle_org(budgets: BudgetRepository, org_id: UUID, calls: Sequence[SpentCall]) -> None:
    lease_ids = [lease_id for call in calls for lease_id in call.lease_ids]
    leases = {row.id: row for row in await budgets.take_leases(lease_ids)} if lease_ids else {}
    standing = await budgets.standing(org_id)
    changes: dict[WindowKey, Spent] = {}
    for call in calls:
        own = [leases[lease_id] for lease_id in call.lease_ids if lease_id in leases]
        for lease in own:
            _add(changes, (lease.budget_id, lease.starts_at), Spent(-lease.amount_nano_usd, call.cost_nano_usd))
        if call.cost_nano_usd == 0:
            continue
        leased = {lease.budget_id for lease in own}
        for budget in standing:
            if budget.id not in leased and scope_of(budget) in call.scopes:
                key = (budget.id, window_start(period_of(budget), call.started_at))
                _add(changes, key, Spent(0, call.cost_nano_usd))
    await budgets.change(org_id, changes)


async def release(budgets: BudgetRepository, leases: Sequence[BudgetLeaseRow]) -> None:
    """Give the money of ended leases back to their windows."""
    changes: dict[UUID, dict[WindowKey, Spent]] = {}
    for lease in leases:
        own = changes.setdefault(lease.org_id, {})
        _add(own, (lease.budget_id, lease.starts_at), Spent(-lease.amount_nano_usd))
    for org_id in sorted(changes):
        await budgets.change(org_id, changes[org_id])


async def release_expired(db: AsyncSession, writer_id: str, *, before: datetime) -> int:
    """Give back what this living process holds for calls that ended without a record; how many leases there were."""
    budgets = BudgetRepository(db)
    leases = await budgets.take_leases_of(writer_id, before=before)
    await release(budgets, leases)
    return len(leases)


async def settle_lost(db: AsyncSession, writer_id: str) -> list[LostHold]:
    """Count what a dead process still held as spent: the calls may have been billed. Its journal is drained already.

    One hold a call; the caller writes its ledger row.
    """
    budgets = BudgetRepository(db)
    leases = await budgets.take_leases_of(writer_id)
    changes: dict[UUID, dict[WindowKey, Spent]] = {}
    holds: dict[UUID, LostHold] = {}
    for lease in leases:
        amount = lease.amount_nano_usd
        own = changes.setdefault(lease.org_id, {})
        _add(own, (lease.budget_id, lease.starts_at), Spent(-amount, amount))
        holds[lease.hold_id] = LostHold(lease.hold_id, lease.org_id, amount, lease.scopes, lease.created_at)
    for org_id in sorted(changes):
        await budgets.change(org_id, changes[org_id])
    return list(holds.values())


def _add(changes: dict[WindowKey, Spent], key: WindowKey, change: Spent) -> None:
    before = changes.get(key, Spent())
    changes[key] = Spent(before.held_nano_usd + change.held_nano_usd, before.settled_nano_usd + change.settled_nano_usd)
