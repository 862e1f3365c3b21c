"""The BudgetLedger over SQL: leases of one process, taken and returned by conditional updates in short transactions.

Rows are locked in one order, everywhere: windows by budget id first, then leases. A window's `held` is the sum of its
leases; both change in one transaction.
"""

from collections.abc import Mapping, Sequence
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from bridge.budgets import Budget, Grant, LeaseRequest, LeaseState, Refusal, granted_nano_usd
from bridge.call_record import BudgetScope
from bridge.clock import Clock
from bridge.errors import BudgetUnavailableError
from platform_api.budgets.answering import answering
from platform_api.budgets.leases import LeaseRepository, LeaseWriter
from platform_api.budgets.repository import BudgetRepository, WindowFacts, WindowKey
from platform_api.budgets.settlement import give_back
from platform_api.budgets.standing import StandingBudgets
from platform_api.database.session import Database


class _RefusedError(Exception):
    """Rolls the transaction back."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__("refused")
        self.refusal = refusal


class SqlBudgetLedger:
    """BudgetLedger in the platform's database, for the process whose journal is known as `writer_id`."""

    def __init__(self, database: Database, clock: Clock, writer_id: str) -> None:
        self._database = database
        self._clock = clock
        self._writer_id = writer_id
        self._standing = StandingBudgets(database, clock)

    async def budgets_on(self, org_id: str, scopes: tuple[BudgetScope, ...]) -> tuple[Budget, ...]:
        return await self._standing.on(org_id, scopes)

    async def lease(self, org_id: str, requests: Sequence[LeaseRequest]) -> tuple[Grant, ...] | Refusal:
        try:
            async with answering(), self._database.for_org(UUID(org_id))() as db:
                return await self._lease(db, UUID(org_id), requests)
        except _RefusedError as refused:
            return refused.refusal

    async def renew(self, lease_ids: Sequence[str]) -> Mapping[str, LeaseState]:
        async with answering(), self._database.system()() as db:
            leases = LeaseRepository(db)
            await leases.renew([UUID(lease_id) for lease_id in lease_ids], self._clock.now())
            return await leases.states([UUID(lease_id) for lease_id in lease_ids])

    async def look(self, lease_ids: Sequence[str]) -> Mapping[str, LeaseState]:
        async with answering(), self._database.system().read() as db:
            return await LeaseRepository(db).states([UUID(lease_id) for lease_id in lease_ids])

    async def recall(self, org_id: str, request: LeaseRequest) -> None:
        async with answering(), self._database.for_org(UUID(org_id))() as db:
            await BudgetRepository(db).recall(UUID(org_id), _key(request))

    async def give_back(self, amounts: Mapping[str, int]) -> None:
        """Raises BudgetUnavailableError only when nothing was changed; in doubt it counts as given back."""
        is_done = False
        try:
            async with answering(), self._database.system()() as db:
                await give_back(db, {UUID(lease_id): amount for lease_id, amount in amounts.items()})
                is_done = True
        except BudgetUnavailableError:
            if not is_done:
                raise

    def forget(self, org_id: str) -> None:
        """Look the organisation's budgets up again: one was made or removed."""
        self._standing.forget(org_id)

    async def _lease(self, db: AsyncSession, org_id: UUID, requests: Sequence[LeaseRequest]) -> tuple[Grant, ...]:
        """Raises _RefusedError."""
        budgets, leases = BudgetRepository(db), LeaseRepository(db)
        facts = await budgets.facts(org_id, {_key(request) for request in requests})
        grants: list[Grant] = []
        for request in sorted(requests, key=_key):
            known = facts.get(_key(request))
            if known is None:
                self.forget(str(org_id))  # the budget is gone
                continue
            amount = await self._held(budgets, org_id, request, known)
            if amount is None:
                raise _RefusedError(await self._refusal(budgets, org_id, request))
            grants.append(Grant(request.lease_id, amount, known.recalls))
        writer = LeaseWriter(org_id, self._writer_id, self._clock.now())
        amounts = {grant.lease_id: grant.amount_nano_usd for grant in grants}
        await leases.add(writer, [(r, amounts[r.lease_id]) for r in requests if r.lease_id in amounts])
        return tuple(grants)

    async def _held(
        self, budgets: BudgetRepository, org_id: UUID, request: LeaseRequest, known: WindowFacts
    ) -> int | None:
        """Hold what is needed or, while much is left, more; how much it was, None when not even that fits."""
        key, needed = _key(request), request.needed_nano_usd
        if not known.is_open:
            await budgets.open_window(org_id, key)
        ahead = granted_nano_usd(needed, known.left_nano_usd)
        for amount in dict.fromkeys((ahead, needed)):
            if await budgets.hold(org_id, key, amount):
                return amount
        return None

    async def _refusal(self, budgets: BudgetRepository, org_id: UUID, request: LeaseRequest) -> Refusal:
        key = _key(request)
        known = (await budgets.facts(org_id, {key})).get(key)
        if known is None:
            return Refusal(request, 0, 0, 0)
        others = await budgets.held_by_others(org_id, key, self._writer_id)
        return Refusal(request, known.limit_nano_usd, max(0, known.left_nano_usd), others)


def _key(request: LeaseRequest) -> WindowKey:
    return UUID(request.budget.id), request.starts_at
