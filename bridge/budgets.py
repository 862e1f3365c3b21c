"""Budgets: the port to whoever decides about money, what a call counts against, and a ledger in memory.

A process takes leases, one for each budget and window (`lease_pool`); within them its calls hold and settle without
asking anybody. SQL is the authority (`platform_api/budgets`); the ledger in memory serves tests and simulations.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol

from bridge.budget_periods import Period, window_start
from bridge.call_record import BudgetScope, CallContext, CallRecord, Dispatch, Lease
from bridge.identifiers import NewId

LARGEST_SHARE_NANO_USD = 500_000_000
"""A process takes no more than this ahead of its calls..."""
PERCENT_OF_WHAT_IS_LEFT = 2
"""...and no more than this part of what is left."""


@dataclass(frozen=True, slots=True)
class Budget:
    """A hard cap on everything that belongs to `scope`. Its limit is read where it is decided."""

    id: str
    scope: BudgetScope
    period: Period


@dataclass(frozen=True, slots=True)
class LeaseRequest:
    """Money wanted for one window of a budget, on top of what the lease has."""

    lease_id: str
    budget: Budget
    starts_at: datetime
    needed_nano_usd: int
    """0: only that the lease goes on, while the limit still allows it."""


@dataclass(frozen=True, slots=True)
class Grant:
    """Money added to a lease. `recalls`: how often the window's money had been called back by then."""

    lease_id: str
    amount_nano_usd: int
    recalls: int


@dataclass(frozen=True, slots=True)
class Refusal:
    """A limit does not allow a request. Nothing was taken, not from the other budgets either."""

    request: LeaseRequest
    limit_nano_usd: int
    left_nano_usd: int
    held_by_others_nano_usd: int
    """By other processes: some of it may be idle."""


@dataclass(frozen=True, slots=True)
class LeaseState:
    """A lease as its ledger sees it."""

    recalls: int
    is_over_limit: bool
    """The limit was lowered under what is held and settled."""


class BudgetLedger(Protocol):
    """Who decides about money.

    Settling is not here: the journal's drain moves what a recorded call held to what is settled, in the transaction
    that stores its ledger rows. Every method may raise BudgetUnavailableError; then nothing was changed, or what was
    changed counts as held until the process ends.
    """

    async def budgets_on(self, org_id: str, scopes: tuple[BudgetScope, ...]) -> tuple[Budget, ...]:
        """The budgets on one of `scopes`, by id. May answer from a cache that is a few seconds old."""
        ...

    async def lease(self, org_id: str, requests: Sequence[LeaseRequest]) -> tuple[Grant, ...] | Refusal:
        """At least what every request needs, or nothing. A budget that is gone has no grant; leases live 60 s more."""
        ...

    async def renew(self, lease_ids: Sequence[str]) -> Mapping[str, LeaseState]:
        """Another 60 s for the leases; one that is missing in the answer holds nothing any more."""
        ...

    async def look(self, lease_ids: Sequence[str]) -> Mapping[str, LeaseState]:
        """The leases as they are, without renewing them."""
        ...

    async def recall(self, org_id: str, request: LeaseRequest) -> None:
        """Ask all processes to give back what they hold idle in the request's window."""
        ...

    async def give_back(self, amounts: Mapping[str, int]) -> None:
        """Take idle money out of leases: lease id -> nano-dollars."""
        ...


def scopes_of(context: CallContext, alias: str | None) -> tuple[BudgetScope, ...]:
    """Everything a budget may be set on that this call belongs to, in id order."""
    found: list[BudgetScope] = [BudgetScope("org", context.org_id)]
    if context.key_id is not None:
        found.append(BudgetScope("key", context.key_id))
    if alias is not None:
        found.append(BudgetScope("alias", alias))
    if context.flow is not None:
        found.append(BudgetScope("flow", context.flow))
    if context.run_id is not None:
        found.append(BudgetScope("run", context.run_id))
    return tuple(sorted(found))


def granted_nano_usd(needed_nano_usd: int, left_nano_usd: int) -> int:
    """What to lease when that much is needed: ahead of the next calls while much is left, else just that.

    Nothing needed, nothing taken.
    """
    if needed_nano_usd <= 0:
        return 0
    return max(needed_nano_usd, min(LARGEST_SHARE_NANO_USD, left_nano_usd * PERCENT_OF_WHAT_IS_LEFT // 100))


def taken_nano_usd(held_nano_usd: int, cost_nano_usd: int | None) -> int:
    """How much of what a call held is gone once it has cost that; an unknown cost takes all of it."""
    return held_nano_usd if cost_nano_usd is None else min(cost_nano_usd, held_nano_usd)


@dataclass(slots=True)
class _Window:
    settled_nano_usd: int = 0
    held_nano_usd: int = 0
    recalls: int = 0


@dataclass(slots=True)
class _Lease:
    budget_id: str
    starts_at: datetime
    amount_nano_usd: int = 0


@dataclass(slots=True)
class _Budget:
    known: Budget
    org_id: str
    limit_nano_usd: int
    windows: dict[datetime, _Window] = field(default_factory=dict[datetime, _Window])


class MemoryBudgetLedger:
    """Budgets in memory, for any number of pools. Also a CallSink: a recorded call is settled at once.

    `away` makes every question fail, as a database does that cannot be reached; which budgets there are is remembered.
    """

    def __init__(self, new_id: NewId) -> None:
        self._new_id = new_id
        self._budgets: dict[str, _Budget] = {}
        self._leases: dict[str, _Lease] = {}
        self._holds: dict[str, tuple[Lease, ...]] = {}
        """What calls hold that were dispatched and are not over."""
        self._settled_calls: set[str] = set()
        self._asked: set[tuple[str, tuple[BudgetScope, ...]]] = set()
        self.away: Exception | None = None

    def set_budget(self, org_id: str, scope: BudgetScope, limit_nano_usd: int, *, period: Period = "total") -> str:
        """Set a hard limit, or change the one on that scope and period; the budget's id."""
        for budget in self._budgets.values():
            if (budget.org_id, budget.known.scope, budget.known.period) == (org_id, scope, period):
                budget.limit_nano_usd = limit_nano_usd
                for window in budget.windows.values():
                    window.recalls += 1
                return budget.known.id
        known = Budget(self._new_id(), scope, period)
        self._budgets[known.id] = _Budget(known, org_id, limit_nano_usd)
        return known.id

    def remove_budget(self, budget_id: str) -> None:
        """Lift a budget; its leases are gone with it."""
        del self._budgets[budget_id]
        self._leases = {key: lease for key, lease in self._leases.items() if lease.budget_id != budget_id}

    def settled_nano_usd(self, budget_id: str, at: datetime | None = None) -> int:
        """What was spent in the window that holds `at`."""
        return self._shown(budget_id, at).settled_nano_usd

    def unspent_nano_usd(self, budget_id: str, at: datetime | None = None) -> int:
        """What of the limit is not spent in that window, held or not."""
        return self._budgets[budget_id].limit_nano_usd - self.settled_nano_usd(budget_id, at)

    def held_nano_usd(self, budget_id: str, at: datetime | None = None) -> int:
        """What processes hold in that window, for calls or idle."""
        return self._shown(budget_id, at).held_nano_usd

    def leased_nano_usd(self, lease_id: str) -> int:
        """What one lease holds."""
        return self._leases[lease_id].amount_nano_usd if lease_id in self._leases else 0

    async def budgets_on(self, org_id: str, scopes: tuple[BudgetScope, ...]) -> tuple[Budget, ...]:
        if (org_id, scopes) not in self._asked:
            self._answer()
            self._asked.add((org_id, scopes))
        found = [one.known for one in self._budgets.values() if one.org_id == org_id and one.known.scope in scopes]
        return tuple(sorted(found, key=lambda budget: budget.id))

    async def lease(self, org_id: str, requests: Sequence[LeaseRequest]) -> tuple[Grant, ...] | Refusal:
        del org_id
        self._answer()
        standing = [request for request in requests if request.budget.id in self._budgets]
        for request in standing:
            left = self._left(request)
            if left < request.needed_nano_usd:
                return Refusal(
                    request, self._budgets[request.budget.id].limit_nano_usd, max(left, 0), self._others(request)
                )
        return tuple(self._grant(request) for request in standing)

    async def renew(self, lease_ids: Sequence[str]) -> Mapping[str, LeaseState]:
        return await self.look(lease_ids)

    async def look(self, lease_ids: Sequence[str]) -> Mapping[str, LeaseState]:
        await asyncio.sleep(0)
        self._answer()
        found: dict[str, LeaseState] = {}
        for lease_id in lease_ids:
            lease = self._leases.get(lease_id)
            if lease is not None:
                budget, window = self._budgets[lease.budget_id], self._window(lease.budget_id, lease.starts_at)
                is_over = window.held_nano_usd + window.settled_nano_usd > budget.limit_nano_usd
                found[lease_id] = LeaseState(window.recalls, is_over)
        return found

    async def recall(self, org_id: str, request: LeaseRequest) -> None:
        del org_id
        self._answer()
        self._window(request.budget.id, request.starts_at).recalls += 1

    async def give_back(self, amounts: Mapping[str, int]) -> None:
        self._answer()
        for lease_id, amount in amounts.items():
            self._reduce(lease_id, amount)

    def dispatched(self, attempt: Dispatch) -> None:
        """A call is on its way, and what it holds is known even after a kill. As a CallJournal hears of it."""
        self._holds[attempt.call_id] = attempt.leases

    def record(self, call: CallRecord) -> None:
        """Settle a call: what it held is taken out of its leases, its cost is spent. Idempotent."""
        if call.call_id in self._settled_calls:
            return
        self._settled_calls.add(call.call_id)
        self._holds.pop(call.call_id, None)
        self._settle(call.leases, call.cost_nano_usd)
        leased = {lease.budget_id for lease in call.leases}
        scopes = scopes_of(call.context, call.alias)
        for budget in self._budgets.values():
            if budget.org_id == call.context.org_id and budget.known.scope in scopes and budget.known.id not in leased:
                window = self._window(budget.known.id, window_start(budget.known.period, call.started_at))
                window.settled_nano_usd += call.cost_nano_usd or 0

    def bury(self, lease_ids: Iterable[str]) -> None:
        """End the leases of a killed process: calls without a record cost what they held, the rest is free."""
        gone = set(lease_ids)
        for call_id, leases in list(self._holds.items()):
            if any(lease.id in gone for lease in leases):
                del self._holds[call_id]
                self._settle(leases, None)
        for lease_id in gone & self._leases.keys():
            self._reduce(lease_id, self._leases[lease_id].amount_nano_usd)

    def _settle(self, leases: Sequence[Lease], cost_nano_usd: int | None) -> None:
        for lease in leases:
            held = self._leases.get(lease.id)
            if held is not None:
                spent = lease.amount_nano_usd if cost_nano_usd is None else cost_nano_usd
                self._window(held.budget_id, held.starts_at).settled_nano_usd += spent
                self._reduce(lease.id, taken_nano_usd(lease.amount_nano_usd, cost_nano_usd))

    def _grant(self, request: LeaseRequest) -> Grant:
        amount = granted_nano_usd(request.needed_nano_usd, self._left(request))
        lease = self._leases.setdefault(request.lease_id, _Lease(request.budget.id, request.starts_at))
        window = self._window(request.budget.id, request.starts_at)
        lease.amount_nano_usd += amount
        window.held_nano_usd += amount
        return Grant(request.lease_id, amount, window.recalls)

    def _reduce(self, lease_id: str, amount: int) -> None:
        lease = self._leases.get(lease_id)
        if lease is None:
            return
        given = min(amount, lease.amount_nano_usd)
        lease.amount_nano_usd -= given
        self._window(lease.budget_id, lease.starts_at).held_nano_usd -= given
        if lease.amount_nano_usd == 0:
            del self._leases[lease_id]

    def _left(self, request: LeaseRequest) -> int:
        window = self._window(request.budget.id, request.starts_at)
        return self._budgets[request.budget.id].limit_nano_usd - window.held_nano_usd - window.settled_nano_usd

    def _others(self, request: LeaseRequest) -> int:
        return sum(
            lease.amount_nano_usd
            for lease_id, lease in self._leases.items()
            if (lease.budget_id, lease.starts_at) == (request.budget.id, request.starts_at)
            and lease_id != request.lease_id
        )

    def _shown(self, budget_id: str, at: datetime | None) -> _Window:
        period = self._budgets[budget_id].known.period
        return self._window(budget_id, window_start(period, at or datetime.now(UTC)))

    def _window(self, budget_id: str, starts_at: datetime) -> _Window:
        return self._budgets[budget_id].windows.setdefault(starts_at, _Window())

    def _answer(self) -> None:
        if self.away is not None:
            raise self.away
