"""The money that one call holds: enough for what it has spent and for the attempt it is about to make."""

import asyncio
import logging

from bridge.call_record import AttemptRecord, BudgetLedger, BudgetScope, Lease

logger = logging.getLogger(__name__)

RENEW_EVERY_S = 20.0


class Reservation:
    """Leases of one call, under every budget that covers it. Without a ledger it holds nothing and allows all."""

    def __init__(self, ledger: BudgetLedger | None, org_id: str, scopes: tuple[BudgetScope, ...]) -> None:
        self._ledger = ledger
        self._org_id = org_id
        self._scopes = scopes
        self._leases: list[Lease] = []
        self._held_nano_usd = 0
        self._renewal: asyncio.Task[None] | None = None
        self.has_budget = False
        """Is known after `is_budgeted` was asked."""

    @property
    def leases(self) -> tuple[Lease, ...]:
        """Everything held so far."""
        return tuple(self._leases)

    async def is_budgeted(self) -> bool:
        """Does a budget cover the call? Only then is anything held."""
        if self._ledger is not None:
            self.has_budget = await self._ledger.has_budget(self._org_id, self._scopes)
        return self.has_budget

    async def cover(self, attempts: tuple[AttemptRecord, ...], bound_nano_usd: int) -> None:
        """Hold what the attempts so far have cost and `bound_nano_usd` for the next one.

        An attempt of unknown cost counts as the bound. Raises BudgetExceededError; nothing may be dispatched then.
        """
        if self._ledger is None or not self.has_budget:
            return
        spent = sum(bound_nano_usd if one.cost_nano_usd is None else one.cost_nano_usd for one in attempts)
        missing = spent + bound_nano_usd - self._held_nano_usd
        if missing <= 0:
            return
        self._leases += await self._ledger.lease(self._org_id, self._scopes, missing)
        self._held_nano_usd += missing
        if self._renewal is None and self._leases:
            self._renewal = asyncio.create_task(self._keep_alive(self._ledger))

    async def close(self, *, was_dispatched: bool) -> tuple[Lease, ...]:
        """Stop renewing. The leases that settle with the call's record; none when nothing was dispatched."""
        if self._renewal is not None:
            await _stopped(self._renewal)
        if was_dispatched or self._ledger is None:
            return self.leases
        await self._ledger.give_back(self.leases)
        return ()

    async def _keep_alive(self, ledger: BudgetLedger) -> None:
        while True:
            await asyncio.sleep(RENEW_EVERY_S)
            await ledger.renew(self.leases)


async def _stopped(renewal: asyncio.Task[None]) -> None:
    renewal.cancel()
    await asyncio.wait({renewal})
    failure = None if renewal.cancelled() else renewal.exception()
    if failure is not None:
        logger.warning("budget.renewal_failed", exc_info=failure)
