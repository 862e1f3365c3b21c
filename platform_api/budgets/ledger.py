"""The BudgetLedger over SQL: all scopes or none, by conditional updates in one short transaction.

Which budgets exist is remembered for two seconds (this process's own changes, and keys, aliases and flows it has not
met before, are looked up at once); their limits and what is spent are always read where they are decided.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import insert, update
from sqlalchemy.ext.asyncio import AsyncSession

from bridge.call_record import BudgetScope, Lease
from bridge.clock import Clock
from bridge.errors import BudgetExceededError
from bridge.identifiers import NewId, new_id
from bridge.money import usd_number
from platform_api.budgets.repository import BudgetRepository, WindowKey, period_of, scope_of
from platform_api.budgets.settlement import release
from platform_api.budgets.windows import Period, window_start
from platform_api.database.session import Database
from platform_api.database.tables.usage import BudgetLeaseRow, BudgetRow

LEASE = timedelta(seconds=60)
REMEMBERED_S = 2.0
MAX_RUNS = 10_000


@dataclass(frozen=True, slots=True)
class KnownBudget:
    """A budget as far as it may be remembered."""

    id: UUID
    scope: BudgetScope
    period: Period


@dataclass(frozen=True, slots=True)
class _Known:
    budgets: tuple[KnownBudget, ...]
    fresh_until: float
    asked: set[BudgetScope]
    """Scopes that were looked at since."""


class SqlBudgetLedger:
    """BudgetLedger in the platform's database, for the process whose journal is `writer_id`."""

    def __init__(self, database: Database, clock: Clock, writer_id: str, *, make_id: NewId = new_id) -> None:
        self._database = database
        self._clock = clock
        self._writer_id = writer_id
        self._new_id = make_id
        self._known: dict[str, _Known] = {}
        self._looking_up = asyncio.Lock()
        self._runs: OrderedDict[str, KnownBudget | None] = OrderedDict()

    async def lease(self, org_id: str, scopes: tuple[BudgetScope, ...], needed_nano_usd: int) -> tuple[Lease, ...]:
        """Hold the amount under every budget on one of the scopes. Raises BudgetExceededError, holding nothing."""
        budgets = await self._budgets(org_id, scopes)
        if not budgets or needed_nano_usd <= 0:
            return ()
        async with self._database.for_org(UUID(org_id))() as db:
            return await self._lease(db, UUID(org_id), budgets, needed_nano_usd, scopes)

    async def has_budget(self, org_id: str, scopes: tuple[BudgetScope, ...]) -> bool:
        """Is there a budget on one of the scopes?"""
        return bool(await self._budgets(org_id, scopes))

    async def renew(self, leases: tuple[Lease, ...]) -> None:
        """Another minute."""
        if leases:
            async with self._database.system()() as db:
                await db.execute(
                    update(BudgetLeaseRow)
                    .where(BudgetLeaseRow.id.in_([UUID(lease.id) for lease in leases]))
                    .values(expires_at=self._clock.now() + LEASE)
                    .execution_options(synchronize_session=False)
                )

    async def give_back(self, leases: tuple[Lease, ...]) -> None:
        """Return the money of a call that was never dispatched."""
        if leases:
            async with self._database.system()() as db:
                budgets = BudgetRepository(db)
                await release(budgets, await budgets.take_leases(UUID(lease.id) for lease in leases))

    def forget(self, org_id: str) -> None:
        """Look the organisation's budgets up again: one was made or removed."""
        self._known.pop(org_id, None)

    async def _budgets(self, org_id: str, scopes: Sequence[BudgetScope]) -> list[KnownBudget]:
        """The budgets on one of the scopes, in the order in which windows are locked."""
        lasting = {scope for scope in scopes if scope.kind != "run"}
        found = [budget for budget in await self._standing(org_id, lasting) if budget.scope in lasting]
        for scope in scopes:
            if scope.kind == "run" and (budget := await self._of_run(org_id, scope)) is not None:
                found.append(budget)
        return sorted(found, key=lambda budget: budget.id)

    async def _standing(self, org_id: str, scopes: set[BudgetScope]) -> tuple[KnownBudget, ...]:
        known = self._fresh(org_id, scopes)
        if known is None:
            async with self._looking_up:
                known = self._fresh(org_id, scopes) or await self._look_up(org_id, scopes)
        return known.budgets

    def _fresh(self, org_id: str, scopes: set[BudgetScope]) -> _Known | None:
        known = self._known.get(org_id)
        is_fresh = known is not None and known.fresh_until > self._clock.monotonic() and scopes <= known.asked
        return known if is_fresh else None

    async def _look_up(self, org_id: str, scopes: set[BudgetScope]) -> _Known:
        before, now = self._known.get(org_id), self._clock.monotonic()
        asked = scopes if before is None or before.fresh_until <= now else scopes | before.asked
        async with self._database.for_org(UUID(org_id)).read() as db:
            rows = await BudgetRepository(db).standing(UUID(org_id))
        known = _Known(tuple(_known_budget(row) for row in rows), now + REMEMBERED_S, asked)
        if self._known.get(org_id) is before:
            self._known[org_id] = known
        return known

    async def _of_run(self, org_id: str, scope: BudgetScope) -> KnownBudget | None:
        """A run's budget is made with the run and never changes, so it is remembered for good."""
        if scope.id not in self._runs:
            async with self._database.for_org(UUID(org_id)).read() as db:
                row = await BudgetRepository(db).find_on(UUID(org_id), scope, "total")
            self._runs[scope.id] = None if row is None else _known_budget(row)
            while len(self._runs) > MAX_RUNS:
                self._runs.popitem(last=False)
        return self._runs[scope.id]

    async def _lease(
        self,
        db: AsyncSession,
        org_id: UUID,
        budgets: Sequence[KnownBudget],
        needed: int,
        scopes: Sequence[BudgetScope],
    ) -> tuple[Lease, ...]:
        repository = BudgetRepository(db)
        now = self._clock.now()
        hold_id = UUID(self._new_id())
        leases: list[Lease] = []
        records: list[dict[str, object]] = []
        for budget in budgets:
            key = (budget.id, window_start(budget.period, now))
            if not await self._hold(repository, org_id, budget, key, needed):
                continue
            lease = Lease(self._new_id(), str(budget.id), budget.scope, needed)
            leases.append(lease)
            records.append(
                {
                    "id": UUID(lease.id),
                    "org_id": org_id,
                    "hold_id": hold_id,
                    "budget_id": budget.id,
                    "starts_at": key[1],
                    "amount_nano_usd": needed,
                    "scopes": {scope.kind: scope.id for scope in scopes},
                    "writer_id": self._writer_id,
                    "expires_at": now + LEASE,
                    "created_at": now,
                }
            )
        if records:
            await db.execute(insert(BudgetLeaseRow), records)
        return tuple(leases)

    async def _hold(
        self, repository: BudgetRepository, org_id: UUID, budget: KnownBudget, key: WindowKey, needed: int
    ) -> bool:
        """Hold it in one window; False when the budget is gone. Raises BudgetExceededError."""
        if await repository.hold(org_id, key, needed):
            return True
        limit = await repository.limit(org_id, budget.id)
        if limit is None:
            self.forget(str(org_id))
            return False
        await repository.open_window(org_id, key)
        if await repository.hold(org_id, key, needed):
            return True
        spent = (await repository.spent(org_id, [key]))[key]
        left = max(0, limit - spent.held_nano_usd - spent.settled_nano_usd)
        of = "in all" if budget.period == "total" else f"a {budget.period}"
        raise BudgetExceededError(
            f"the budget of {_amount(limit)} {of} on {_title(budget.scope)} has {_amount(left)} left"
            f" and this call may cost {_amount(needed)}",
            scope=budget.scope.kind,
            limit_nano_usd=limit,
            left_nano_usd=left,
        )


def _known_budget(row: BudgetRow) -> KnownBudget:
    return KnownBudget(row.id, scope_of(row), period_of(row))


def _title(scope: BudgetScope) -> str:
    return "the organization" if scope.kind == "org" else f"{scope.kind} {scope.id}"


def _amount(nano_usd: int) -> str:
    return f"${usd_number(nano_usd):.9f}".rstrip("0").rstrip(".")
