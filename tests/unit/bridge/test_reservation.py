import asyncio
import itertools
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from bridge import reservation
from bridge.budgets import MemoryBudgetLedger
from bridge.call_record import AttemptRecord, BudgetScope, Lease
from bridge.errors import BudgetExceededError
from bridge.reservation import Reservation

ORG = BudgetScope("org", "o")
ATTEMPT = AttemptRecord(
    "a", "d", "p", "m", datetime(2026, 11, 24, tzinfo=UTC), 1.0, None, "failed", "timeout", "", None, None, 30, None,
    None, True,
)  # fmt: skip


class RenewingLedger(MemoryBudgetLedger):
    """Counts renewals, and may fail at them."""

    def __init__(self, *, fails: bool = False) -> None:
        numbers = itertools.count()
        super().__init__(lambda: str(next(numbers)))
        self.renewed = asyncio.Event()
        self._fails = fails

    async def renew(self, leases: tuple[Lease, ...]) -> None:
        assert leases
        self.renewed.set()
        if self._fails:
            raise OSError("database gone")


async def made(limit: int = 1000, *, fails: bool = False) -> tuple[Reservation, RenewingLedger, str]:
    ledger = RenewingLedger(fails=fails)
    budget = ledger.set_budget("o", ORG, limit)
    one = Reservation(ledger, "o", (ORG,))
    assert await one.is_budgeted()
    return one, ledger, budget


async def test_the_first_attempt_holds_its_bound_and_a_free_failure_needs_no_more() -> None:
    one, ledger, budget = await made()
    await one.cover((), 100)
    await one.cover((replace(ATTEMPT, cost_nano_usd=0),), 100)

    assert ledger.left_nano_usd(budget) == 900
    await one.close(was_dispatched=False)


async def test_a_billed_or_unpriced_failure_is_held_beside_the_next_attempt() -> None:
    one, ledger, budget = await made()
    await one.cover((), 100)
    await one.cover((ATTEMPT,), 100)
    assert ledger.left_nano_usd(budget) == 870
    await one.cover((replace(ATTEMPT, cost_nano_usd=None),), 100)
    assert ledger.left_nano_usd(budget) == 800
    await one.close(was_dispatched=False)


async def test_money_of_a_call_that_was_never_dispatched_goes_back() -> None:
    one, ledger, budget = await made()
    await one.cover((), 100)

    assert await one.close(was_dispatched=False) == ()
    assert ledger.left_nano_usd(budget) == 1000


async def test_leases_of_a_dispatched_call_stay_until_they_are_settled() -> None:
    one, ledger, budget = await made()
    await one.cover((), 100)

    (lease,) = await one.close(was_dispatched=True)
    assert lease.amount_nano_usd == 100
    assert ledger.left_nano_usd(budget) == 900


async def test_what_does_not_fit_is_refused() -> None:
    one, _, _ = await made(limit=99)

    with pytest.raises(BudgetExceededError):
        await one.cover((), 100)


async def test_without_a_ledger_everything_is_allowed_and_nothing_held() -> None:
    one = Reservation(None, "o", (ORG,))
    await one.cover((), 10**12)

    assert not await one.is_budgeted()
    assert await one.close(was_dispatched=True) == ()


async def test_what_no_budget_covers_holds_nothing() -> None:
    one = Reservation(RenewingLedger(), "o", (ORG,))

    assert not await one.is_budgeted()
    await one.cover((), 10**12)
    assert one.leases == ()


@pytest.mark.parametrize("fails", [False, True])
async def test_leases_of_a_long_call_are_kept_alive(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, fails: bool
) -> None:
    monkeypatch.setattr(reservation, "RENEW_EVERY_S", 0.001)
    one, ledger, _ = await made(fails=fails)
    await one.cover((), 100)
    await asyncio.wait_for(ledger.renewed.wait(), 1)
    await asyncio.sleep(0)
    await one.close(was_dispatched=True)

    assert ("budget.renewal_failed" in caplog.text) == fails
