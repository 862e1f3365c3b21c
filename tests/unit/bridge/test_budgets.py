import itertools
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from bridge.budgets import MemoryBudgetLedger, attempt_bound_nano_usd, input_bound_tokens, scopes_of
from bridge.call_record import AttemptRecord, BudgetScope, CallContext, CallRecord, Lease
from bridge.catalog.deployments import Deployment
from bridge.catalog.entries import ModelEntry
from bridge.catalog.prices import Prices
from bridge.chat import ChatRequest, ImagePart, Message, Usage
from bridge.errors import BudgetExceededError

NOW = datetime(2026, 11, 24, tzinfo=UTC)
ORG = BudgetScope("org", "acme")


def numbered() -> Callable[[], str]:
    numbers = itertools.count()
    return lambda: f"id-{next(numbers)}"


def settled(call_id: str, leases: tuple[Lease, ...], cost: int | None) -> CallRecord:
    attempt = AttemptRecord(
        f"{call_id}-1",
        "d",
        "p",
        "m",
        NOW,
        1.0,
        None,
        "succeeded",
        None,
        None,
        200,
        Usage(1, 1),
        cost,
        None,
        None,
        False,
    )
    return CallRecord(
        call_id,
        CallContext(org_id="acme"),
        "m",
        None,
        None,
        (attempt,),
        "succeeded",
        "off",
        False,
        NOW,
        NOW,
        leases=leases,
    )


def test_a_call_belongs_to_every_scope_it_names_in_id_order() -> None:
    context = CallContext(org_id="acme", key_id="k", flow="f", run_id="r")

    assert scopes_of(context, "fast") == tuple(
        sorted(
            [
                ORG,
                BudgetScope("key", "k"),
                BudgetScope("alias", "fast"),
                BudgetScope("flow", "f"),
                BudgetScope("run", "r"),
            ]
        )
    )


@given(st.text(max_size=200))
def test_the_input_bound_is_at_least_a_token_a_byte_and_sixteen_a_message(text: str) -> None:
    request = ChatRequest(model="m", messages=(Message.of("user", text), Message.of("assistant", text)))

    assert input_bound_tokens(request) >= 2 * (len(text.encode("utf-8", "replace")) + 16)


def test_an_image_counts_at_its_most() -> None:
    request = ChatRequest(model="m", messages=(Message("user", (ImagePart("https://x/y.png"),)),))

    assert input_bound_tokens(request) >= 50_000


def test_an_unknown_price_makes_the_bound_unknown() -> None:
    known = Deployment(
        "openai/gpt-4o-mini",
        "openai",
        "gpt-4o-mini",
        "openai",
        "http://x",
        ModelEntry("openai/gpt-4o-mini", "openai", "gpt-4o-mini", prices_of="openai"),
    )
    unknown = replace(known, name="acme/x", entry=ModelEntry("acme/x", "acme", "x"))
    request = ChatRequest(model="m", messages=(Message.of("user", "hi"),), max_output_tokens=10)
    prices = Prices()

    assert attempt_bound_nano_usd(prices, request, known, NOW) == (2 + 16) * 150 + 10 * 600
    assert attempt_bound_nano_usd(prices, request, unknown, NOW) is None
    assert attempt_bound_nano_usd(prices, replace(request, n=3), known, NOW) == (2 + 16) * 150 + 30 * 600


async def test_a_lease_is_all_or_nothing_over_the_budgets_of_a_call() -> None:
    ledger = MemoryBudgetLedger(numbered())
    org = ledger.set_budget("acme", ORG, 100)
    ledger.set_budget("acme", BudgetScope("key", "k"), 10)

    with pytest.raises(BudgetExceededError):
        await ledger.lease("acme", (ORG, BudgetScope("key", "k")), 50)

    assert ledger.left_nano_usd(org) == 100


async def test_another_organisation_is_never_held_to_it() -> None:
    ledger = MemoryBudgetLedger(numbered())
    ledger.set_budget("acme", ORG, 0)

    assert await ledger.lease("other", (ORG,), 50) == ()
    assert not await ledger.has_budget("other", (ORG,))


async def test_a_call_settles_once_however_often_it_is_recorded() -> None:
    ledger = MemoryBudgetLedger(numbered())
    budget = ledger.set_budget("acme", ORG, 100)
    call = settled("c", await ledger.lease("acme", (ORG,), 60), 25)
    for _ in range(3):
        ledger.record(call)

    assert ledger.left_nano_usd(budget) == 75


async def test_an_unknown_cost_settles_at_what_was_held() -> None:
    ledger = MemoryBudgetLedger(numbered())
    budget = ledger.set_budget("acme", ORG, 100)
    ledger.record(settled("c", await ledger.lease("acme", (ORG,), 60), None))

    assert ledger.left_nano_usd(budget) == 40


class LedgerMachine(RuleBasedStateMachine):
    """Leases, give-backs and settlements in any order: what is left is always limit - held - spent, and never < 0."""

    held = Bundle("held")

    def __init__(self) -> None:
        super().__init__()
        self.ledger = MemoryBudgetLedger(numbered())
        self.budget = self.ledger.set_budget("acme", ORG, 1000)
        self.calls = itertools.count()
        self.holding: dict[str, int] = {}
        self.spent = 0

    @rule(target=held, amount=st.integers(0, 400))
    def lease(self, amount: int) -> tuple[Lease, ...]:
        fits = amount <= 1000 - self.spent - sum(self.holding.values())
        try:
            leases = _now(self.ledger.lease("acme", (ORG,), amount))
        except BudgetExceededError:
            assert not fits
            return ()
        assert fits
        self.holding |= {lease.id: lease.amount_nano_usd for lease in leases}
        return leases

    @rule(leases=held)
    def give_back(self, leases: tuple[Lease, ...]) -> None:
        _now(self.ledger.give_back(leases))
        for lease in leases:
            self.holding.pop(lease.id, None)

    @rule(leases=consumes(held), share=st.floats(0, 1))
    def settle(self, leases: tuple[Lease, ...], share: float) -> None:
        cost = sum(int(self.holding.pop(lease.id, 0) * share) for lease in leases)
        self.ledger.record(settled(f"call-{next(self.calls)}", leases, cost))
        self.spent += cost if leases else 0

    @invariant()
    def adds_up(self) -> None:
        left = self.ledger.left_nano_usd(self.budget)
        assert left == 1000 - self.spent - sum(self.holding.values())
        assert left >= 0


def _now(coroutine: Any) -> Any:
    """Run a coroutine that never really waits."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    raise AssertionError("it waited")


TestLedger = LedgerMachine.TestCase
