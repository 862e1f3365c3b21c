"""What every BudgetLedger does, seen through the pools of processes that share it. Subclassed once a ledger."""

import asyncio
from datetime import UTC, datetime
from typing import Protocol

import pytest

from bridge.budget_periods import Period
from bridge.call_record import BudgetScope, CallRecord, Dispatch
from bridge.clock import FrozenClock
from bridge.errors import BudgetExceededError, BudgetUnavailableError
from bridge.identifiers import new_id
from bridge.lease_pool import Claim, LeasePool
from tests.support.money import made_call, made_dispatch

LIMIT = 1_000_000


class Process(Protocol):
    """One process: a pool, and a journal that reaches the ledger only when it is drained."""

    pool: LeasePool

    def dispatched(self, attempt: Dispatch) -> None:
        """Journal that an attempt is on its way."""
        ...

    def record(self, call: CallRecord) -> None:
        """Journal the call."""
        ...

    async def drain(self) -> None:
        """Take what is journalled into the ledger."""
        ...

    async def kill(self) -> None:
        """End at once; what was journalled is drained by somebody else."""
        ...

    async def aclose(self) -> None:
        """End in order."""
        ...


class Money(Protocol):
    """A ledger, and how its budgets stand."""

    org_id: str
    clock: FrozenClock

    async def process(self) -> Process: ...
    async def set_budget(self, scope: BudgetScope, limit: int, period: Period = "total") -> str: ...
    async def remove_budget(self, budget_id: str) -> None: ...
    async def stands(self, budget_id: str, at: datetime) -> tuple[int, int]:
        """Held and settled in the window that holds `at`."""
        ...

    def cut(self, *, is_away: bool) -> None:
        """From now on the ledger answers nothing, or again."""
        ...


class Call:
    """One call of a process, from its first hold to its record."""

    def __init__(self, money: Money, process: Process, scopes: tuple[BudgetScope, ...]) -> None:
        self._process = process
        self.claim = Claim(new_id(), money.org_id, scopes, money.clock.now())

    async def hold(self, amount: int) -> "Call":
        """Hold that much in all, and be on its way."""
        await self._process.pool.hold(self.claim, amount)
        self._process.dispatched(made_dispatch(self.claim))
        return self

    def end(self, cost: int | None) -> CallRecord:
        """Record it and settle it, as the bridge does."""
        record = made_call(
            self.claim.org_id,
            cost_nano_usd=cost,
            leases=self.claim.leases,
            at=self.claim.started_at,
            call_id=self.claim.call_id,
        )
        self._process.record(record)
        self._process.pool.settle(record)
        return record


class BudgetLedgerSuite:
    """Every test gets `money`."""

    def org(self, money: Money) -> BudgetScope:
        return BudgetScope("org", money.org_id)

    async def started(self, money: Money, process: Process, amount: int) -> Call:
        return await Call(money, process, (self.org(money),)).hold(amount)

    async def test_settled_money_is_what_calls_cost_and_nothing_stays_held(self, money: Money) -> None:
        budget = await money.set_budget(self.org(money), LIMIT)
        process = await money.process()
        for cost in (0, 700, 1000):
            (await self.started(money, process, 1000)).end(cost)
        await process.drain()
        await process.pool.return_idle()

        assert await money.stands(budget, money.clock.now()) == (0, 1700)
        await process.aclose()

    async def test_calls_within_a_lease_do_not_ask_and_what_they_leave_serves_the_next(self, money: Money) -> None:
        await money.set_budget(self.org(money), LIMIT)
        process = await money.process()
        (await self.started(money, process, 20_000)).end(1)
        money.cut(is_away=True)
        for _ in range(100):
            (await self.started(money, process, 19_000)).end(1)
        with pytest.raises(BudgetUnavailableError):
            await self.started(money, process, 20_000)
        money.cut(is_away=False)
        (await self.started(money, process, 20_000)).end(1)
        await process.aclose()

    async def test_an_old_lease_lends_no_more_while_it_cannot_be_renewed(self, money: Money) -> None:
        await money.set_budget(self.org(money), LIMIT)
        process = await money.process()
        (await self.started(money, process, 1000)).end(1)
        money.cut(is_away=True)
        money.clock.advance(61)
        with pytest.raises(BudgetUnavailableError):
            await self.started(money, process, 10)
        money.cut(is_away=False)

        (await self.started(money, process, 10)).end(1)
        await process.aclose()

    async def test_all_budgets_of_a_call_or_none(self, money: Money) -> None:
        key = BudgetScope("key", new_id())
        wide = await money.set_budget(self.org(money), LIMIT)
        await money.set_budget(key, 10)
        process = await money.process()

        with pytest.raises(BudgetExceededError) as caught:
            await Call(money, process, (self.org(money), key)).hold(11)
        assert (caught.value.scope, caught.value.limit_nano_usd, caught.value.left_nano_usd) == ("key", 10, 10)
        assert await money.stands(wide, money.clock.now()) == (0, 0)
        await process.aclose()

    async def test_concurrent_calls_never_cross_the_limit(self, money: Money) -> None:
        budget = await money.set_budget(self.org(money), 10_500)
        process = await money.process()

        async def one_call() -> bool:
            try:
                call = await self.started(money, process, 1000)
            except BudgetExceededError:
                return False
            await asyncio.sleep(0.01)
            call.end(700)
            return True

        answered = sum(await asyncio.gather(*(one_call() for _ in range(60))))
        await process.drain()
        held, settled = await money.stands(budget, money.clock.now())

        assert 10 <= answered <= 15
        assert settled == answered * 700
        assert held + settled <= 10_500
        await process.aclose()
        assert await money.stands(budget, money.clock.now()) == (0, settled)

    async def test_idle_money_of_another_process_is_called_back_before_a_refusal(self, money: Money) -> None:
        await money.set_budget(self.org(money), 10_000)
        rich, poor = await money.process(), await money.process()
        (await self.started(money, rich, 8000)).end(0)

        call = await self.started(money, poor, 9000)

        assert sum(lease.amount_nano_usd for lease in call.claim.leases) == 9000
        with pytest.raises(BudgetExceededError):
            await self.started(money, rich, 1001)
        call.end(9000)
        await rich.aclose()
        await poor.aclose()

    async def test_idle_money_goes_back_by_itself(self, money: Money) -> None:
        budget = await money.set_budget(self.org(money), LIMIT)
        process = await money.process()
        (await self.started(money, process, 1000)).end(0)
        await process.drain()
        await process.pool.tend()
        assert (await money.stands(budget, money.clock.now()))[0] == 20_000
        money.clock.advance(11)
        await process.pool.tend()

        assert await money.stands(budget, money.clock.now()) == (0, 0)
        assert process.pool.leases == ()
        await process.aclose()

    async def test_a_killed_process_costs_what_its_cut_off_calls_held_and_frees_the_rest(self, money: Money) -> None:
        budget = await money.set_budget(self.org(money), LIMIT)
        process = await money.process()
        (await self.started(money, process, 4000)).end(1000)
        cut_off = await self.started(money, process, 200)
        await cut_off.hold(300)
        await process.kill()

        assert await money.stands(budget, money.clock.now()) == (0, 1300)

    async def test_a_call_settles_once_however_often_it_is_recorded(self, money: Money) -> None:
        budget = await money.set_budget(self.org(money), LIMIT)
        process = await money.process()
        record = (await self.started(money, process, 1000)).end(600)
        for _ in range(2):
            await process.drain()
            process.record(record)
            process.pool.settle(record)
        await process.drain()
        await process.aclose()

        assert await money.stands(budget, money.clock.now()) == (0, 600)

    async def test_an_unknown_cost_settles_at_what_was_held(self, money: Money) -> None:
        budget = await money.set_budget(self.org(money), LIMIT)
        process = await money.process()
        (await self.started(money, process, 1000)).end(None)
        await process.drain()
        await process.aclose()

        assert await money.stands(budget, money.clock.now()) == (0, 1000)

    async def test_a_cost_beyond_its_reservation_is_counted_in_full(self, money: Money) -> None:
        budget = await money.set_budget(self.org(money), LIMIT)
        process = await money.process()
        (await self.started(money, process, 1000)).end(1500)
        await process.drain()
        await process.aclose()

        assert await money.stands(budget, money.clock.now()) == (0, 1500)

    async def test_a_call_counts_in_the_month_it_began_in_however_long_it_takes(self, money: Money) -> None:
        month_end = datetime(2026, 1, 31, 23, 59, 59, tzinfo=UTC)
        money.clock.advance((month_end - money.clock.now()).total_seconds())
        budget = await money.set_budget(self.org(money), 10_000, "month")
        process = await money.process()
        old = await self.started(money, process, 6000)
        money.clock.advance(2)
        new = await self.started(money, process, 9000)
        await old.hold(8000)
        for _ in range(4):
            await process.pool.tend()
            money.clock.advance(20)
        old.end(7500)
        new.end(100)
        await process.drain()
        await process.aclose()

        assert await money.stands(budget, month_end) == (0, 7500)
        assert await money.stands(budget, money.clock.now()) == (0, 100)

    async def test_a_lowered_limit_takes_idle_money_away_and_a_raised_one_counts_at_once(self, money: Money) -> None:
        budget = await money.set_budget(self.org(money), LIMIT)
        process = await money.process()
        (await self.started(money, process, 10_000)).end(10)
        await money.set_budget(self.org(money), 100)
        await process.pool.tend()
        with pytest.raises(BudgetExceededError):
            await self.started(money, process, 1000)
        await money.set_budget(self.org(money), LIMIT)
        (await self.started(money, process, 1000)).end(10)
        await process.drain()
        await process.aclose()

        assert await money.stands(budget, money.clock.now()) == (0, 20)

    async def test_a_lifted_budget_holds_nobody_back_not_even_calls_it_had_leased_to(self, money: Money) -> None:
        budget = await money.set_budget(self.org(money), 1000)
        process = await money.process()
        call = await self.started(money, process, 1000)
        await money.remove_budget(budget)
        money.clock.advance(6)
        await process.pool.tend()
        (await self.started(money, process, 5000)).end(5000)
        call.end(100)
        await process.drain()
        again = await money.set_budget(self.org(money), LIMIT)
        await process.aclose()

        assert (await money.stands(again, money.clock.now()))[0] == 0
