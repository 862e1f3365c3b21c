from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count

import pytest

from bridge.budgets import MemoryBudgetLedger
from bridge.call_record import AttemptRecord, BudgetScope
from bridge.clock import FrozenClock
from bridge.errors import BudgetExceededError
from bridge.lease_pool import LeasePool
from bridge.reservation import Reservation

NOW = datetime(2026, 11, 24, tzinfo=UTC)
ORG = BudgetScope("org", "o")
ATTEMPT = AttemptRecord(
    "a", "d", "p", "m", NOW, 1.0, None, "failed", "timeout", "", None, None, 30, None, None, True
)  # fmt: skip


def numbered_ledger() -> MemoryBudgetLedger:
    numbers = count()
    return MemoryBudgetLedger(lambda: f"id-{next(numbers)}")


@pytest.fixture
def ledger() -> MemoryBudgetLedger:
    return numbered_ledger()


@pytest.fixture
async def pool(ledger: MemoryBudgetLedger) -> AsyncIterator[LeasePool]:
    pool = LeasePool(ledger, FrozenClock(NOW), lambda: "lease")
    yield pool
    await pool.aclose()


async def made(pool: LeasePool | None) -> Reservation:
    one = Reservation(pool, "o", (ORG,), call_id="c", started_at=NOW)
    await one.is_budgeted()
    return one


def held(one: Reservation) -> int:
    return sum(lease.amount_nano_usd for lease in one.leases)


async def test_the_first_attempt_holds_its_bound_and_a_free_failure_needs_no_more(
    ledger: MemoryBudgetLedger, pool: LeasePool
) -> None:
    ledger.set_budget("o", ORG, 1000)
    one = await made(pool)
    await one.cover((), 100)
    await one.cover((replace(ATTEMPT, cost_nano_usd=0),), 100)

    assert held(one) == 100


async def test_a_billed_or_unpriced_failure_is_held_beside_the_next_attempt(
    ledger: MemoryBudgetLedger, pool: LeasePool
) -> None:
    ledger.set_budget("o", ORG, 1000)
    one = await made(pool)
    await one.cover((), 100)
    await one.cover((ATTEMPT,), 100)
    assert held(one) == 130
    await one.cover((replace(ATTEMPT, cost_nano_usd=None),), 100)
    assert held(one) == 200


async def test_money_of_a_call_that_was_never_dispatched_is_free_again(
    ledger: MemoryBudgetLedger, pool: LeasePool
) -> None:
    budget = ledger.set_budget("o", ORG, 100)
    one = await made(pool)
    await one.cover((), 100)
    assert await one.close(was_dispatched=False) == ()
    assert (await made(pool)).has_budget
    await pool.return_idle()

    assert ledger.held_nano_usd(budget) == 0


async def test_leases_of_a_dispatched_call_stay_until_they_are_settled(
    ledger: MemoryBudgetLedger, pool: LeasePool
) -> None:
    budget = ledger.set_budget("o", ORG, 1000)
    one = await made(pool)
    await one.cover((), 100)

    (lease,) = await one.close(was_dispatched=True)
    assert (lease.budget_id, lease.scope, lease.amount_nano_usd) == (budget, ORG, 100)
    assert ledger.held_nano_usd(budget) == 100


async def test_what_does_not_fit_is_refused_with_what_is_left(ledger: MemoryBudgetLedger, pool: LeasePool) -> None:
    ledger.set_budget("o", ORG, 99)

    with pytest.raises(BudgetExceededError) as caught:
        await (await made(pool)).cover((), 100)
    assert (caught.value.scope, caught.value.limit_nano_usd, caught.value.left_nano_usd) == ("org", 99, 99)


async def test_without_a_pool_everything_is_allowed_and_nothing_held() -> None:
    one = await made(None)
    await one.cover((), 10**12)

    assert not one.has_budget
    assert await one.close(was_dispatched=True) == ()


async def test_what_no_budget_covers_holds_nothing(pool: LeasePool) -> None:
    one = await made(pool)
    await one.cover((), 10**12)

    assert not one.has_budget
    assert one.leases == ()
