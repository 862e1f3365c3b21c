"""The money that one call holds: enough for what it has spent and for the attempt it is about to make."""

from datetime import datetime

from bridge.call_record import AttemptRecord, BudgetScope, Lease
from bridge.lease_pool import Claim, LeasePool


class Reservation:
    """What one call holds under every budget that covers it. Without a pool it holds nothing and allows all."""

    def __init__(
        self,
        pool: LeasePool | None,
        org_id: str,
        scopes: tuple[BudgetScope, ...],
        *,
        call_id: str,
        started_at: datetime,
    ) -> None:
        self._pool = pool
        self._claim = Claim(call_id, org_id, scopes, started_at)
        self.has_budget = False
        """Is known after `is_budgeted` was asked."""

    @property
    def leases(self) -> tuple[Lease, ...]:
        """Everything held so far."""
        return self._claim.leases

    async def is_budgeted(self) -> bool:
        """Does a budget cover the call? Only then is anything held. Raises BudgetUnavailableError."""
        if self._pool is not None:
            self.has_budget = await self._pool.is_budgeted(self._claim)
        return self.has_budget

    async def cover(self, attempts: tuple[AttemptRecord, ...], bound_nano_usd: int) -> None:
        """Hold what the attempts so far have cost and `bound_nano_usd` for what comes next.

        An attempt of unknown cost counts as the bound. Two attempts at once: `bound_nano_usd` is the sum of both.

        Raises:
            BudgetExceededError: It does not fit; nothing may be dispatched then.
            BudgetUnavailableError: Nobody can say whether it fits.
        """
        if self._pool is None or not self.has_budget:
            return
        total = bound_nano_usd
        for one in attempts:
            total += bound_nano_usd if one.cost_nano_usd is None else one.cost_nano_usd
        if not self._pool.hold_now(self._claim, total):
            await self._pool.hold(self._claim, total)

    async def close(self, *, was_dispatched: bool) -> tuple[Lease, ...]:
        """What settles with the call's record; nothing, and all is put back, when nothing was dispatched."""
        if self._pool is not None and not was_dispatched:
            self._pool.release(self._claim)
        return self.leases
