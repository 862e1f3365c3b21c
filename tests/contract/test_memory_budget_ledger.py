import itertools
from datetime import datetime

import pytest

from bridge.budget_periods import Period
from bridge.budgets import MemoryBudgetLedger
from bridge.call_record import BudgetScope, CallRecord, Dispatch
from bridge.clock import FrozenClock
from bridge.errors import BudgetUnavailableError
from bridge.lease_pool import LeasePool
from tests.contract.budget_ledger_suite import BudgetLedgerSuite
from tests.support.money import NOW

NUMBERS = itertools.count()


def numbered() -> str:
    return f"id-{next(NUMBERS):06}"


class MemoryProcess:
    """A pool, and a journal in memory."""

    def __init__(self, ledger: MemoryBudgetLedger, clock: FrozenClock) -> None:
        self._ledger = ledger
        self._journal: list[CallRecord] = []
        self.pool = LeasePool(ledger, clock, numbered)

    def dispatched(self, attempt: Dispatch) -> None:
        self._ledger.dispatched(attempt)

    def record(self, call: CallRecord) -> None:
        self._journal.append(call)

    async def drain(self) -> None:
        for call in self._journal:
            self._ledger.record(call)
        self._journal.clear()

    async def kill(self) -> None:
        leases = [lease.id for lease in self.pool.leases]
        await self.drain()
        self._ledger.bury(leases)

    async def aclose(self) -> None:
        await self.drain()
        await self.pool.aclose()
        await self.drain()


class MemoryMoney:
    """A ledger in memory."""

    def __init__(self) -> None:
        self.org_id = "acme"
        self.clock = FrozenClock(NOW)
        self._ledger = MemoryBudgetLedger(numbered)

    async def process(self) -> MemoryProcess:
        return MemoryProcess(self._ledger, self.clock)

    async def set_budget(self, scope: BudgetScope, limit: int, period: Period = "total") -> str:
        return self._ledger.set_budget(self.org_id, scope, limit, period=period)

    async def remove_budget(self, budget_id: str) -> None:
        self._ledger.remove_budget(budget_id)

    async def stands(self, budget_id: str, at: datetime) -> tuple[int, int]:
        return self._ledger.held_nano_usd(budget_id, at), self._ledger.settled_nano_usd(budget_id, at)

    def cut(self, *, is_away: bool) -> None:
        self._ledger.away = BudgetUnavailableError("away") if is_away else None


class TestMemoryBudgetLedger(BudgetLedgerSuite):
    @pytest.fixture
    def money(self) -> MemoryMoney:
        return MemoryMoney()
