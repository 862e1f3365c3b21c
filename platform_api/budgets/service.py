"""Setting, listing and removing budgets."""

from collections.abc import Sequence
from datetime import datetime
from typing import cast
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from bridge.budget_periods import Period, window_start
from bridge.call_record import BudgetScope, ScopeKind
from bridge.identifiers import NewId
from bridge.money import Usd, to_nano_usd, usd_number
from platform_api.budgets.repository import BudgetRepository, Spent, period_of, scope_of
from platform_api.budgets.schemas import BudgetItem, NewBudget, Scope
from platform_api.database.tables.usage import BudgetRow
from platform_api.errors import FieldProblem, InvalidError, NotFoundError


async def create(db: AsyncSession, org_id: UUID, new: NewBudget, *, now: datetime, new_id: NewId) -> BudgetItem:
    """Set a budget, or change the limit of the one on the same scope and period. Takes effect at once."""
    scope = _checked_scope(org_id, new)
    budget = await set_limit(db, org_id, scope, new.period, to_nano_usd(new.limit_usd), now=now, new_id=new_id)
    return (await _items(db, org_id, [budget], now=now))[0]


async def set_limit(
    db: AsyncSession,
    org_id: UUID,
    scope: BudgetScope,
    period: Period,
    limit_nano_usd: int,
    *,
    now: datetime,
    new_id: NewId,
) -> BudgetRow:
    """The budget on a scope and period with that limit, made if missing. What was spent in its window counts."""
    budgets = BudgetRepository(db)
    budget = await budgets.find_on(org_id, scope, period)
    if budget is not None:
        budget.limit_nano_usd = limit_nano_usd
        await budgets.recall(org_id, budget_id=budget.id)
        return budget
    if scope.kind != "run":  # nothing was spent on a run that is being made
        await budgets.stop_the_drain(org_id)
    budget = BudgetRow(
        id=UUID(new_id()),
        org_id=org_id,
        kind=scope.kind,
        scope_id=scope.id,
        period=period,
        limit_nano_usd=limit_nano_usd,
        created_at=now,
    )
    db.add(budget)
    await db.flush()
    starts_at = window_start(period, now)
    spent = 0 if scope.kind == "run" else await budgets.already_spent(org_id, scope, starts_at)
    await budgets.open_window(org_id, (budget.id, starts_at), settled_nano_usd=spent)
    return budget


async def list_budgets(db: AsyncSession, org_id: UUID, *, now: datetime) -> list[BudgetItem]:
    """All standing budgets with their present windows; those of single runs are not among them."""
    return await _items(db, org_id, await BudgetRepository(db).standing(org_id), now=now)


async def remove(db: AsyncSession, org_id: UUID, budget_id: UUID) -> None:
    """Lift a budget. Raises NotFoundError."""
    budget = await BudgetRepository(db).find(org_id, budget_id)
    if budget is None or budget.kind == "run":
        raise NotFoundError("budget", budget_id)
    await db.delete(budget)


async def set_run_budget(
    db: AsyncSession, org_id: UUID, run_id: str, limit: Usd, *, now: datetime, new_id: NewId
) -> None:
    """The ceiling of one run; set with the run's row, before its first call."""
    scope = BudgetScope("run", run_id)
    await set_limit(db, org_id, scope, "total", to_nano_usd(limit), now=now, new_id=new_id)


async def _items(db: AsyncSession, org_id: UUID, rows: Sequence[BudgetRow], *, now: datetime) -> list[BudgetItem]:
    keys = {row.id: (row.id, window_start(period_of(row), now)) for row in rows}
    spent = await BudgetRepository(db).spent(org_id, keys.values()) if rows else {}
    return [_item(row, keys[row.id][1], spent[keys[row.id]]) for row in rows]


def _item(row: BudgetRow, starts_at: datetime, spent: Spent) -> BudgetItem:
    scope = scope_of(row)
    left = max(0, row.limit_nano_usd - spent.held_nano_usd - spent.settled_nano_usd)
    return BudgetItem(
        budget_id=str(row.id),
        scope=cast("Scope", "organization" if scope.kind == "org" else scope.kind),
        id=scope.id,
        period=row.period,
        limit_usd=usd_number(row.limit_nano_usd) or 0.0,
        spent_usd=usd_number(spent.settled_nano_usd) or 0.0,
        held_usd=usd_number(spent.held_nano_usd) or 0.0,
        left_usd=usd_number(left) or 0.0,
        window_starts_at=starts_at,
        created_at=row.created_at,
    )


def _checked_scope(org_id: UUID, new: NewBudget) -> BudgetScope:
    if new.scope == "organization":
        if new.id not in (None, str(org_id)):
            raise InvalidError("a budget is set on your own organization", [FieldProblem("/id", "leave it out")])
        return BudgetScope("org", str(org_id))
    if new.id is None:
        raise InvalidError(f"which {new.scope}?", [FieldProblem("/id", f"name the {new.scope}")])
    if new.scope == "key":
        try:
            return BudgetScope("key", str(UUID(new.id)))
        except ValueError as error:
            raise InvalidError("a key is named by its id", [FieldProblem("/id", "no UUID")]) from error
    return BudgetScope(cast("ScopeKind", new.scope), new.id)
