from collections.abc import Mapping
from dataclasses import dataclass

import pytest

from bridge.call_record import BudgetScope, CallContext
from bridge.clock import FrozenClock
from bridge.errors import BudgetExceededError
from bridge.providers.mock import MockTransport
from bridge.routing.policy import re_execute
from bridge.transport import Endpoint, Timeouts, WireReply, WireRequest
from tests.support.bridge_calls import CONTEXT, NOW, Bench, asking, bench

PRICED = {
    "models": {
        "mock/long": {"input_usd_per_mtok": 1, "output_usd_per_mtok": 10, "max_output_tokens": 8000},
        "mock/longer": {"input_usd_per_mtok": 1, "output_usd_per_mtok": 40, "max_output_tokens": 16_000},
        "mock/unsaid": {"input_usd_per_mtok": 1, "output_usd_per_mtok": 10},
    },
    "aliases": {
        "both": {"candidates": ["mock/long", "mock/longer"]},
        "ruled": {"candidates": ["mock/long"], "max_tokens": 100},
    },
}
INPUT_NANO_USD = (5 + 16) * 1000
"""Of "hello"."""
TOKEN_NANO_USD = 10_000


class Noting(MockTransport):
    """A mock that remembers what it was sent."""

    def __init__(self) -> None:
        super().__init__({}, clock=FrozenClock(NOW))
        self.bodies: list[Mapping[str, object]] = []

    async def send(self, request: WireRequest, target: Endpoint, *, limits: Timeouts) -> WireReply:
        self.bodies.append(dict(request.body or {}))
        return await super().send(request, target, limits=limits)


@dataclass(slots=True)
class Shop:
    """A bridge under a budget, or under none, and what its provider was sent."""

    one: Bench
    mock: Noting

    async def sent(self, model: str, context: CallContext = CONTEXT, *, limit: int | None = None) -> object:
        """The output limit that reached the provider."""
        await self.one.bridge.chat(asking(model, max_output_tokens=limit), context)
        body = self.mock.bodies[-1]
        return body.get("max_completion_tokens", body.get("max_tokens"))


def with_left(left_nano_usd: int | None) -> Shop:
    mock = Noting()
    one = bench(sections=PRICED, transports={"mock": mock})
    if left_nano_usd is not None:
        one.ledger.set_budget("acme", BudgetScope("org", "acme"), left_nano_usd)
    return Shop(one, mock)


async def test_without_a_limit_the_models_maximum_is_sent() -> None:
    assert await with_left(10**9).sent("mock/long") == 8000
    assert await with_left(10**9).sent("mock/unsaid") == 1024
    assert await with_left(None).sent("mock/long") is None


async def test_near_the_limit_what_is_left_is_sent() -> None:
    assert await with_left(INPUT_NANO_USD + 500 * TOKEN_NANO_USD + 9).sent("mock/long") == 500
    assert await with_left(INPUT_NANO_USD + 16 * TOKEN_NANO_USD).sent("mock/long") == 16


async def test_under_sixteen_tokens_the_call_is_refused() -> None:
    shop = with_left(INPUT_NANO_USD + 16 * TOKEN_NANO_USD - 1)

    with pytest.raises(BudgetExceededError):
        await shop.sent("mock/long")
    assert shop.mock.bodies == []


async def test_every_candidate_that_can_be_reached_fits() -> None:
    assert await with_left(INPUT_NANO_USD + 400 * TOKEN_NANO_USD).sent("both") == 100
    shop = with_left(INPUT_NANO_USD + 40 * TOKEN_NANO_USD)
    assert await shop.sent("both") == 40
    decision = shop.one.sink.calls[0].decision
    assert decision is not None
    assert "of the budget is left" in decision.dropped["mock/longer"]
    assert re_execute(decision) == decision


async def test_a_limit_that_somebody_set_is_not_lowered() -> None:
    left = INPUT_NANO_USD + 50 * TOKEN_NANO_USD

    with pytest.raises(BudgetExceededError):
        await with_left(left).sent("mock/long", limit=51)
    with pytest.raises(BudgetExceededError):
        await with_left(left).sent("ruled")
    assert await with_left(left).sent("mock/long", limit=50) == 50


async def test_a_call_of_a_flow_is_sent_the_default() -> None:
    assert await with_left(10**9).sent("mock/long", CallContext("acme", run_id="r")) == 1024
    with pytest.raises(BudgetExceededError):
        await with_left(INPUT_NANO_USD + 500 * TOKEN_NANO_USD).sent("mock/long", CallContext("acme", run_id="r"))
