import asyncio

import pytest

from bridge.call_record import BudgetScope, CallContext
from bridge.errors import BridgeError, BudgetExceededError
from bridge.routing.policy import re_execute
from tests.support.bridge_calls import CONTEXT, Bench, asking, bench, read

PRICED = {
    "models": {
        "mock/cheap": {"input_usd_per_mtok": 1, "output_usd_per_mtok": 2},
        "mock/dear": {"input_usd_per_mtok": 10, "output_usd_per_mtok": 20},
        "acme/unknown": {},
    },
    "providers": {"mock": {}, "acme": {"dialect": "openai", "base_url": "http://127.0.0.1:1/v1"}},
    "aliases": {"both": {"candidates": ["mock/cheap", "mock/dear"]}},
}
ORG = BudgetScope("org", "acme")
USD = 1_000_000_000


def with_budget(limit_nano_usd: int, scope: BudgetScope = ORG, **options: object) -> tuple[Bench, str]:
    one = bench(sections=PRICED, **options)  # pyright: ignore[reportArgumentType]  # test options by name
    return one, one.ledger.set_budget("acme", scope, limit_nano_usd)


async def test_a_call_that_fits_is_settled_at_what_it_cost() -> None:
    one, budget = with_budget(USD)

    result = await one.bridge.chat(asking("mock/cheap"), CONTEXT)

    usage = result.record.attempts[0].usage
    assert usage is not None
    assert result.record.cost_nano_usd is not None
    assert result.record.cost_nano_usd == usage.input_tokens * 1000 + usage.output_tokens * 2000
    assert one.ledger.unspent_nano_usd(budget) + result.record.cost_nano_usd == USD
    assert [lease.scope for lease in result.record.leases] == [ORG]


async def test_a_call_that_might_not_fit_is_refused_before_anything_is_sent() -> None:
    one, budget = with_budget(1_000_000)

    with pytest.raises(BudgetExceededError) as caught:
        await one.bridge.chat(asking("mock/cheap", max_output_tokens=1024), CONTEXT)

    assert (caught.value.scope, caught.value.left_nano_usd) == ("org", 1_000_000)
    assert one.mock.calls == []
    assert one.ledger.unspent_nano_usd(budget) == 1_000_000
    assert one.sink.calls[0].error_class == "budget"


async def test_the_limit_that_is_sent_is_the_default_under_a_budget_only() -> None:
    one, _ = with_budget(USD)
    await one.bridge.chat(asking("mock/cheap"), CONTEXT)
    await one.bridge.chat(asking("mock/cheap"), CallContext(org_id="free"))

    with_limit, without = one.sink.calls
    assert with_limit.decision is not None
    assert with_limit.decision.question is not None
    assert with_limit.decision.question.max_output_tokens == 1024
    assert without.decision is not None
    assert without.decision.question is not None
    assert without.decision.question.max_output_tokens is None


async def test_the_reservation_covers_the_dearest_model_the_decision_may_reach() -> None:
    one, budget = with_budget(USD, faults=[{"kind": "status", "match": {"model": "cheap"}, "times": None}])

    result = await one.bridge.chat(asking("both"), CONTEXT)

    assert result.record.attempts[-1].model == "mock/dear"
    cost = result.record.cost_nano_usd
    assert cost is not None
    assert sum(lease.amount_nano_usd for lease in result.record.leases) >= cost
    assert one.ledger.unspent_nano_usd(budget) == USD - cost


async def test_a_target_that_the_budget_cannot_bear_is_left_out_and_a_lesser_one_still_answers() -> None:
    one, _ = with_budget(10_000_000, faults=[{"kind": "status", "match": {"model": "cheap"}, "times": None}])

    with pytest.raises(BridgeError):
        await one.bridge.chat(asking("both", max_output_tokens=1024), CONTEXT)
    call = one.sink.calls[0]

    assert {attempt.model for attempt in call.attempts} == {"mock/cheap"}
    assert call.decision is not None
    assert "of the budget is left" in call.decision.dropped["mock/dear"]
    assert re_execute(call.decision) == call.decision


async def test_a_failed_attempt_that_may_be_billed_is_held_beside_the_next_one() -> None:
    one, _ = with_budget(USD, faults=[{"kind": "hang", "match": {"model": "cheap"}, "times": None}])

    result = await one.bridge.chat(asking("both"), CONTEXT)

    failed, succeeded = result.record.attempts
    assert failed.cost_nano_usd is not None
    assert failed.is_estimated
    assert failed.cost_nano_usd > 0
    held = sum(lease.amount_nano_usd for lease in result.record.leases)
    assert held >= failed.cost_nano_usd + (succeeded.cost_nano_usd or 0)
    assert len(result.record.leases) == 1


async def test_an_unknown_price_is_refused_under_a_budget_and_the_way_out_is_named() -> None:
    one, _ = with_budget(USD)

    with pytest.raises(BudgetExceededError, match="input_usd_per_mtok"):
        await one.bridge.chat(asking("acme/unknown"), CONTEXT)


async def test_what_costs_nothing_reserves_nothing() -> None:
    one, budget = with_budget(0)

    result = await one.bridge.chat(asking("mock/free"), CONTEXT)

    assert result.record.leases == ()
    assert result.record.cost_nano_usd == 0
    assert one.ledger.unspent_nano_usd(budget) == 0


async def test_a_cache_hit_reserves_nothing() -> None:
    sections = {**PRICED, "aliases": {"kept": {"candidates": ["mock/cheap"], "cache": "exact"}}}
    one = bench(sections=sections)
    budget = one.ledger.set_budget("acme", ORG, USD)
    await one.bridge.chat(asking("kept"), CONTEXT)
    left = one.ledger.unspent_nano_usd(budget)

    hit = await one.bridge.chat(asking("kept"), CONTEXT)

    assert hit.record.cache == "hit"
    assert hit.record.leases == ()
    assert one.ledger.unspent_nano_usd(budget) == left


async def test_an_attempt_that_is_surely_unbilled_gives_its_money_back() -> None:
    one, budget = with_budget(USD, faults=[{"kind": "auth", "times": None}])

    with pytest.raises(BridgeError):
        await one.bridge.chat(asking("mock/cheap"), CONTEXT)

    assert one.ledger.unspent_nano_usd(budget) == USD


async def test_a_stream_that_its_reader_leaves_is_paid_for_what_was_produced() -> None:
    one, budget = with_budget(USD)
    stream = one.bridge.stream(asking("mock/cheap"), CONTEXT)
    async for _ in stream:
        break
    await stream.aclose()

    cost = one.sink.calls[0].cost_nano_usd
    assert cost is not None
    assert cost > 0
    assert one.ledger.unspent_nano_usd(budget) == USD - cost


@pytest.mark.parametrize(
    ("scope", "context"),
    [
        (BudgetScope("key", "k1"), CallContext(org_id="acme", key_id="k1")),
        (BudgetScope("flow", "triage"), CallContext(org_id="acme", flow="triage")),
        (BudgetScope("run", "r1"), CallContext(org_id="acme", run_id="r1")),
        (BudgetScope("alias", "both"), CallContext(org_id="acme")),
    ],
)
async def test_every_scope_of_a_call_is_held_to_its_budget(scope: BudgetScope, context: CallContext) -> None:
    one, _ = with_budget(1000, scope)

    with pytest.raises(BudgetExceededError):
        await one.bridge.chat(asking("both"), context)

    await one.bridge.chat(asking("mock/cheap"), CallContext(org_id="acme"))


async def test_what_calls_do_not_use_serves_the_next_ones_and_goes_back_at_the_end() -> None:
    one, budget = with_budget(USD)
    for _ in range(3):
        await one.bridge.chat(asking("mock/cheap"), CONTEXT)
    (first, *_), held = one.sink.calls, one.ledger.held_nano_usd(budget)
    await one.bridge.aclose()

    assert held > 0
    assert {lease.id for call in one.sink.calls for lease in call.leases} == {first.leases[0].id}
    assert one.ledger.held_nano_usd(budget) == 0
    assert one.ledger.settled_nano_usd(budget) == sum(call.cost_nano_usd or 0 for call in one.sink.calls)


async def test_concurrent_calls_never_cross_the_limit() -> None:
    one, budget = with_budget(15_000_000)

    async def one_call(number: int) -> int:
        stream = one.bridge.stream(asking("mock/cheap", f"call {number}", max_output_tokens=500), CONTEXT)
        try:
            await read(stream)
        except BudgetExceededError:
            return 0
        return stream.result.record.cost_nano_usd or 0

    spent = sum(await asyncio.gather(*(one_call(number) for number in range(60))))

    assert 0 < spent <= 15_000_000
    assert one.ledger.unspent_nano_usd(budget) == 15_000_000 - spent
    assert any(call.error_class == "budget" for call in one.sink.calls)
