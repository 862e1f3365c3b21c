"""The money this process may spend: one lease for each budget and window, within which its calls hold and settle.

A call meets the ledger only when a lease has too little left for it. What calls do not use stays in the lease for the
next ones; what is idle goes back, at once when somebody else needs it.
"""

import asyncio
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime

from bridge.budget_periods import window_start
from bridge.budgets import Budget, BudgetLedger, Grant, LeaseRequest, LeaseState, Refusal, taken_nano_usd
from bridge.call_record import BudgetScope, CallRecord, Lease
from bridge.clock import Clock
from bridge.errors import BudgetExceededError, BudgetUnavailableError
from bridge.identifiers import NewId
from bridge.money import usd_number

LEASE_S = 60.0
"""A lease that was not renewed for so long lends no more."""
RENEW_EVERY_S = 20.0
IDLE_S = 10.0
"""Money that nobody asked for as long as this goes back."""
TEND_EVERY_S = 0.2
RECALL_LOOK_S, RECALL_LOOKS = 0.05, 12
"""How often, and how many times, a call looks for idle money of other processes before it is refused."""
RECALL_AGAIN_S = 2.0
"""Calls that are refused so soon after a recall do not wait for another."""
LOOKS = 3

WindowKey = tuple[str, datetime]
"""A budget's id and when the window begins."""


@dataclass(slots=True)
class PoolLease:
    """One lease of this process. `free` and `held` are what SQL may not know yet: calls settle here first."""

    id: str
    org_id: str
    budget: Budget
    starts_at: datetime
    recalls: int
    good_until_s: float
    used_at_s: float
    free_nano_usd: int = 0
    held_nano_usd: int = 0
    n_grants: int = 0


@dataclass(slots=True)
class Claim:
    """What one call holds, and for whom."""

    call_id: str
    org_id: str
    scopes: tuple[BudgetScope, ...]
    started_at: datetime
    """Decides the window, whenever it asks for more and whenever it settles."""
    shares: dict[str, tuple[PoolLease, int]] = field(default_factory=dict[str, tuple[PoolLease, int]])
    """By lease."""
    total_nano_usd: int = 0
    """Held under every budget."""
    budgets: tuple[Budget, ...] = ()
    """As they were when the call began."""
    _leases: tuple[Lease, ...] | None = None

    @property
    def leases(self) -> tuple[Lease, ...]:
        """Everything held so far."""
        if self._leases is None:
            self._leases = tuple(
                Lease(lease.id, lease.budget.id, lease.budget.scope, amount) for lease, amount in self.shares.values()
            )
        return self._leases

    def raised_to(self, total_nano_usd: int) -> None:
        """Its shares have grown to that."""
        self.total_nano_usd = total_nano_usd
        self._leases = None

    def let_go(self) -> None:
        """From now on nothing is held."""
        self.shares.clear()
        self.total_nano_usd = 0
        self._leases = None


class LeasePool:
    """Lends a process's leases to its calls. One for a bridge, on one event loop."""

    def __init__(self, ledger: BudgetLedger, clock: Clock, new_id: NewId) -> None:
        self._ledger = ledger
        self._clock = clock
        self._new_id = new_id
        self._leases: dict[WindowKey, PoolLease] = {}
        self._claims: dict[str, Claim] = {}
        self._asking: dict[str, asyncio.Lock] = {}
        self._recalled_at_s: dict[WindowKey, float] = {}
        self._renewed_at_s = clock.monotonic()
        self._tending: asyncio.Task[None] | None = None

    @property
    def leases(self) -> tuple[PoolLease, ...]:
        """The leases this process has."""
        return tuple(self._leases.values())

    async def is_budgeted(self, claim: Claim) -> bool:
        """Is there a budget on one of the call's scopes? Raises BudgetUnavailableError."""
        claim.budgets = await self._ledger.budgets_on(claim.org_id, claim.scopes)
        return bool(claim.budgets)

    def hold_now(self, claim: Claim, total_nano_usd: int) -> bool:
        """Like `hold`, without waiting; False when the leases do not suffice."""
        if total_nano_usd <= claim.total_nano_usd:
            return True
        is_first = claim.total_nano_usd == 0 and claim.budgets != ()
        return is_first and self._take(claim, claim.budgets, total_nano_usd)

    async def hold(self, claim: Claim, total_nano_usd: int) -> None:
        """Raise what the call holds under every budget that covers it to `total_nano_usd`; all or nothing.

        Raises:
            BudgetExceededError: A limit does not allow it.
            BudgetUnavailableError: The leases do not suffice and the ledger does not answer.
        """
        if total_nano_usd <= claim.total_nano_usd:
            return
        budgets = await self._ledger.budgets_on(claim.org_id, claim.scopes)
        if not self._take(claim, budgets, total_nano_usd):
            async with self._asking.setdefault(claim.org_id, asyncio.Lock()):
                await self._take_more(claim, total_nano_usd)

    def release(self, claim: Claim) -> None:
        """Put everything back: the call was never dispatched."""
        self._end(claim, 0)

    def settle(self, call: CallRecord) -> None:
        """The call is over and journalled: what it did not cost is free again. Idempotent."""
        claim = self._claims.get(call.call_id)
        if claim is not None:
            self._end(claim, call.cost_nano_usd)

    async def return_idle(self, org_id: str | None = None) -> None:
        """Give back what no call holds, of one organisation or of all."""
        await self._return([lease for lease in self._leases.values() if org_id in (None, lease.org_id)])

    async def tend(self) -> None:
        """What has to be done a few times a second: renew, answer recalls, give idle money back."""
        now_s, now = self._clock.monotonic(), self._clock.now()
        wanted = await self._compared(now_s)
        idle = [lease for lease in self._leases.values() if self._is_idle(lease, now_s, now)]
        await self._return([*wanted, *idle])
        self._asking = {org_id: lock for org_id, lock in self._asking.items() if lock.locked()}
        self._recalled_at_s = {key: at_s for key, at_s in self._recalled_at_s.items() if now_s - at_s < RECALL_AGAIN_S}

    async def aclose(self) -> None:
        """Stop tending and give back what can be. Calls under way keep what they hold."""
        if self._tending is not None:
            self._tending.cancel()
            await asyncio.wait({self._tending})
        with suppress(BudgetUnavailableError):
            await self.return_idle()

    def _take(self, claim: Claim, budgets: Iterable[Budget], total: int) -> bool:
        """Take it out of the leases if all of them have enough. Never waits, so nobody comes between."""
        now_s = self._clock.monotonic()
        shares = claim.shares
        taken: list[PoolLease] = []
        for budget in budgets:
            lease = self._leases.get((budget.id, window_start(budget.period, claim.started_at)))
            if lease is None:
                return False
            missing = total - shares[lease.id][1] if lease.id in shares else total
            if missing > 0:
                if lease.free_nano_usd < missing or lease.good_until_s <= now_s:
                    return False
                taken.append(lease)
        for lease in taken:
            missing = total - shares[lease.id][1] if lease.id in shares else total
            lease.free_nano_usd -= missing
            lease.held_nano_usd += missing
            lease.used_at_s = now_s
            shares[lease.id] = (lease, total)
        claim.raised_to(total)
        self._claims[claim.call_id] = claim
        return True

    async def _take_more(self, claim: Claim, total: int) -> None:
        """Take it, with what the ledger adds to the leases."""
        for _ in range(LOOKS):
            budgets = await self._ledger.budgets_on(claim.org_id, claim.scopes)
            if self._take(claim, budgets, total):
                return
            await self._borrow(claim, budgets, total)
            if self._take(claim, budgets, total):
                return
        raise BudgetUnavailableError("the budgets of this call change too fast; try again")

    async def _borrow(self, claim: Claim, budgets: Sequence[Budget], total: int) -> None:
        """Lease what is missing. Before a refusal, idle money of other processes is called back."""
        answer = await self._ask(claim, budgets, total)
        while isinstance(answer, Refusal) and self._may_come_back(answer):
            self._recalled_at_s[_key_of(answer)] = self._clock.monotonic()
            await self._ledger.recall(claim.org_id, answer.request)
            for _ in range(RECALL_LOOKS):
                await asyncio.sleep(RECALL_LOOK_S)
                answer = await self._ask(claim, budgets, total)
                if not isinstance(answer, Refusal):
                    break
        if isinstance(answer, Refusal):
            raise self._exceeded(claim, answer, total)

    async def _ask(self, claim: Claim, budgets: Sequence[Budget], total: int) -> tuple[Grant, ...] | Refusal:
        """Lease what is missing now, and put what was granted into the pool."""
        now_s = self._clock.monotonic()
        requests = self._requests(claim, budgets, total, now_s)
        put_aside = self._put_aside(claim, budgets, total)
        try:
            answer = await self._ledger.lease(claim.org_id, requests) if requests else ()
        finally:
            for lease, amount in put_aside:
                lease.free_nano_usd += amount
        if not isinstance(answer, Refusal):
            self._add(claim.org_id, requests, answer, now_s)
        return answer

    def _requests(self, claim: Claim, budgets: Sequence[Budget], total: int, now_s: float) -> tuple[LeaseRequest, ...]:
        requests: list[LeaseRequest] = []
        for budget in budgets:
            starts_at = window_start(budget.period, claim.started_at)
            lease = self._leases.get((budget.id, starts_at))
            if lease is None:
                requests.append(LeaseRequest(self._new_id(), budget, starts_at, total))
                continue
            missing = total - claim.shares.get(lease.id, (lease, 0))[1]
            if missing > 0 and (lease.free_nano_usd < missing or lease.good_until_s <= now_s):
                requests.append(LeaseRequest(lease.id, budget, starts_at, max(0, missing - lease.free_nano_usd)))
        return tuple(sorted(requests, key=lambda request: (request.budget.id, request.starts_at)))

    def _put_aside(self, claim: Claim, budgets: Sequence[Budget], total: int) -> list[tuple[PoolLease, int]]:
        """Take what is there for the call out of everybody's reach while the ledger is asked for the rest."""
        taken: list[tuple[PoolLease, int]] = []
        for budget in budgets:
            lease = self._leases.get((budget.id, window_start(budget.period, claim.started_at)))
            if lease is not None:
                amount = min(lease.free_nano_usd, total - claim.shares.get(lease.id, (lease, 0))[1])
                lease.free_nano_usd -= amount
                taken.append((lease, amount))
        return taken

    def _add(self, org_id: str, requests: Sequence[LeaseRequest], grants: Sequence[Grant], now_s: float) -> None:
        asked = {request.lease_id: request for request in requests}
        for grant in grants:
            request = asked[grant.lease_id]
            key = (request.budget.id, request.starts_at)
            lease = self._leases.get(key)
            if lease is None:
                lease = self._leases[key] = PoolLease(
                    grant.lease_id, org_id, request.budget, request.starts_at, grant.recalls, now_s, now_s
                )
            lease.free_nano_usd += grant.amount_nano_usd
            lease.good_until_s = now_s + LEASE_S
            lease.n_grants += 1
        if self._leases and (self._tending is None or self._tending.done()):
            self._tending = asyncio.create_task(self._tend_while_needed(), name="tend budget leases")

    def _may_come_back(self, refusal: Refusal) -> bool:
        """Can other processes hold enough idle, and were they not asked just now?"""
        recalled_at_s = self._recalled_at_s.get(_key_of(refusal))
        is_due = recalled_at_s is None or self._clock.monotonic() - recalled_at_s >= RECALL_AGAIN_S
        there = refusal.left_nano_usd + refusal.held_by_others_nano_usd
        return is_due and refusal.held_by_others_nano_usd > 0 and there >= refusal.request.needed_nano_usd

    def _exceeded(self, claim: Claim, refusal: Refusal, total: int) -> BudgetExceededError:
        """The refusal as the caller reads it: what is left for this call, its process's own idle money included."""
        budget, lease = refusal.request.budget, self._leases.get(_key_of(refusal))
        left = refusal.left_nano_usd
        if lease is not None:
            left += lease.free_nano_usd + claim.shares.get(lease.id, (lease, 0))[1]
        of = "in all" if budget.period == "total" else f"a {budget.period}"
        on = "the organization" if budget.scope.kind == "org" else f"{budget.scope.kind} {budget.scope.id}"
        return BudgetExceededError(
            f"the budget of {_amount(refusal.limit_nano_usd)} {of} on {on} has {_amount(left)} left"
            f" and this call may cost {_amount(total)}",
            scope=budget.scope.kind,
            limit_nano_usd=refusal.limit_nano_usd,
            left_nano_usd=left,
        )

    def _end(self, claim: Claim, cost_nano_usd: int | None) -> None:
        self._claims.pop(claim.call_id, None)
        for lease, amount in claim.shares.values():
            lease.held_nano_usd -= amount
            lease.free_nano_usd += amount - taken_nano_usd(amount, cost_nano_usd)
        claim.let_go()

    async def _tend_while_needed(self) -> None:
        while self._leases:
            await asyncio.sleep(TEND_EVERY_S)
            await self.tend()

    async def _compared(self, now_s: float) -> list[PoolLease]:
        """Hold the leases against the ledger; those whose idle money is wanted elsewhere, or is over a limit."""
        is_due = now_s - self._renewed_at_s >= RENEW_EVERY_S
        leases = [lease for lease in self._leases.values() if is_due or lease.free_nano_usd > 0]
        n_grants = {lease.id: lease.n_grants for lease in leases}
        if not leases:
            return []
        try:
            ask = self._ledger.renew if is_due else self._ledger.look
            states = await ask([lease.id for lease in leases])
        except BudgetUnavailableError:
            return []  # the ledger has logged it; leases that cannot be renewed run out
        if is_due:
            self._renewed_at_s = now_s
        same = [lease for lease in leases if lease.n_grants == n_grants[lease.id]]
        for lease in same:
            if lease.id not in states:
                self._leases.pop((lease.budget.id, lease.starts_at), None)
        return [
            lease for lease in same if lease.id in states and self._is_wanted(lease, states[lease.id], is_due, now_s)
        ]

    def _is_wanted(self, lease: PoolLease, state: LeaseState, is_renewed: bool, now_s: float) -> bool:
        if is_renewed:
            lease.good_until_s = now_s + LEASE_S
        is_recalled = state.recalls != lease.recalls
        lease.recalls = state.recalls
        return is_recalled or state.is_over_limit

    def _is_idle(self, lease: PoolLease, now_s: float, now: datetime) -> bool:
        """Has nobody asked for it for a while, or is its window over?"""
        is_past = window_start(lease.budget.period, now) != lease.starts_at
        return is_past or now_s - lease.used_at_s >= IDLE_S

    async def _return(self, leases: Iterable[PoolLease]) -> None:
        """Give the leases' idle money back, and forget leases that nothing is left of."""
        amounts = {lease.id: (lease, lease.free_nano_usd) for lease in leases}
        for lease, _ in amounts.values():
            lease.free_nano_usd = 0
        given = {lease_id: amount for lease_id, (_, amount) in amounts.items() if amount > 0}
        try:
            if given:
                await self._ledger.give_back(given)
        except BudgetUnavailableError:
            for lease, amount in amounts.values():
                lease.free_nano_usd += amount
                lease.used_at_s = self._clock.monotonic()
        for lease, _ in amounts.values():
            key = (lease.budget.id, lease.starts_at)
            if lease.free_nano_usd == 0 and lease.held_nano_usd == 0 and self._leases.get(key) is lease:
                del self._leases[key]


def _key_of(refusal: Refusal) -> WindowKey:
    return refusal.request.budget.id, refusal.request.starts_at


def _amount(nano_usd: int) -> str:
    return f"${usd_number(nano_usd):.9f}".rstrip("0").rstrip(".")
