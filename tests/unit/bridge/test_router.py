"""The router inside a bridge: what it is told by calls, and what becomes of its choices."""

import json
from dataclasses import replace

import pytest

from bridge.call_record import CallContext
from bridge.chat import ChatRequest, Message
from bridge.decision import Decision, Escalation
from bridge.errors import NoRouteError, UnsupportedFeatureError
from bridge.providers.mock import MockTransport
from bridge.routing.policy import re_execute
from bridge.transport import Endpoint, Timeouts, WireReply, WireRequest
from tests.support.bridge_calls import CONTEXT, Bench, asking, bench, read, tried

PRICES = {
    "mock/small": {"input_usd_per_mtok": 1, "output_usd_per_mtok": 1},
    "mock/large": {"input_usd_per_mtok": 9, "output_usd_per_mtok": 9},
}
BOTH = ["mock/large", "mock/small"]


def ladder(**cascade: object) -> dict[str, object]:
    alias = {"policy": "cascade", "candidates": BOTH, "cascade": cascade}
    return {"models": PRICES, "aliases": {"ladder": alias}}


def answering(small: str, large: str = "A long and thorough answer.", **cascade: object) -> Bench:
    replies: list[dict[str, object]] = [
        {"match": {"model": "small"}, "text": small},
        {"match": {"model": "large"}, "text": large},
    ]
    return bench(replies=replies, sections=ladder(**cascade))


async def test_a_cascade_asks_the_cheaper_model_and_stays_with_a_good_answer() -> None:
    one = answering("Certainly.", min_chars=5)
    result = await one.bridge.chat(asking("ladder"), CONTEXT)

    assert result.response.text == "Certainly."
    assert tried(result.record) == [("mock/small", "succeeded")]
    assert result.record.decision is not None
    assert result.record.decision.escalations == ()


async def test_a_cascade_climbs_and_both_attempts_are_in_the_record() -> None:
    one = answering("No.", min_chars=5)
    result = await one.bridge.chat(asking("ladder"), CONTEXT)
    decision = result.record.decision

    assert result.response.text == "A long and thorough answer."
    assert tried(result.record) == [("mock/small", "succeeded"), ("mock/large", "succeeded")]
    assert all(attempt.cost_nano_usd for attempt in result.record.attempts)
    assert decision is not None
    assert decision.escalations == (Escalation("mock/small", "3 characters, at least 5 wanted"),)
    assert re_execute(Decision.from_json(json.loads(json.dumps(decision.to_json())))) == decision


async def test_a_streamed_cascade_shows_nothing_of_the_answer_that_was_passed_over() -> None:
    one = answering("No.", min_chars=5)
    stream = one.bridge.stream(asking("ladder"), CONTEXT)

    assert await read(stream) == "A long and thorough answer."
    assert tried(stream.result.record) == [("mock/small", "succeeded"), ("mock/large", "succeeded")]


CACHING = {
    "models": {
        "mock/first": {"input_usd_per_mtok": 1, "output_usd_per_mtok": 1, "cache_read_usd_per_mtok": 0.1},
        "mock/second": {"input_usd_per_mtok": 1, "output_usd_per_mtok": 1},
    },
    "aliases": {
        "sticky": {"policy": "round_robin", "candidates": ["mock/first", "mock/second"], "affinity": {"ttl_s": 60}}
    },
}


def turn(*texts: str) -> ChatRequest:
    roles = ("user", "assistant")
    return ChatRequest("sticky", tuple(Message.of(roles[n % 2], text) for n, text in enumerate(texts)))


async def test_a_conversation_stays_where_reading_its_prompt_again_is_cheaper() -> None:
    one = bench(sections=CACHING)
    for request in (turn("hello"), turn("hello", "hi", "go on"), turn("hello", "hi", "go on", "well", "and?")):
        await one.bridge.chat(request, CONTEXT)

    assert [tried(call)[0][0] for call in one.sink.calls] == ["mock/first"] * 3


async def test_a_conversation_moves_on_when_its_time_is_over_or_where_nothing_is_gained() -> None:
    one = bench(sections=CACHING)
    await one.bridge.chat(turn("hello"), CONTEXT)
    one.clock.advance(61)
    await one.bridge.chat(turn("hello", "hi", "go on"), CONTEXT)
    await one.bridge.chat(turn("hello", "hi", "go on", "well", "and?"), CONTEXT)

    assert [tried(call)[0][0] for call in one.sink.calls] == ["mock/first", "mock/second", "mock/first"]


TRIAL = {
    "aliases": {
        "trial": {
            "policy": "experiment",
            "candidates": ["mock/a", "mock/b"],
            "experiment": {"name": "tone", "arms": {"mock/a": 1, "mock/b": 1}, "unit": "user"},
        }
    }
}


async def test_a_user_stays_in_the_arm_and_the_call_records_it() -> None:
    one = bench(sections=TRIAL)
    arms: dict[str, set[str]] = {}
    for user in ("ada", "bo", "cy", "di", "eve", "flo") * 2:
        result = await one.bridge.chat(asking("trial"), replace(CONTEXT, user_id=user))
        assert result.record.decision is not None
        assert result.record.decision.arm == result.record.attempts[0].deployment
        arms.setdefault(user, set()).add(str(result.record.decision.arm))

    assert all(len(seen) == 1 for seen in arms.values())
    assert {arm for seen in arms.values() for arm in seen} == {"mock/a", "mock/b"}


async def test_a_caller_is_kept_to_the_models_it_may_use() -> None:
    one = bench(sections=TRIAL)
    only_b = CallContext(org_id="acme", allowed_models=("mock/b",))

    assert (await one.bridge.chat(asking("trial"), only_b)).record.attempts[0].deployment == "mock/b"
    with pytest.raises(NoRouteError, match="the caller may not use it"):
        await one.bridge.chat(asking("mock/a"), only_b)


class KeptRequests(MockTransport):
    """The mock, with the bodies it was sent."""

    def __init__(self) -> None:
        super().__init__()
        self.bodies: list[dict[str, object]] = []

    async def send(self, request: WireRequest, target: Endpoint, *, limits: Timeouts) -> WireReply:
        self.bodies.append(json.loads(json.dumps(request.body)))
        return await super().send(request, target, limits=limits)


def picky(**rules: object) -> tuple[Bench, KeptRequests]:
    kept = KeptRequests()
    providers = {"mock": {}, "perplexity": {"api_key": "k"}}
    aliases = {"x": {"candidates": ["perplexity/sonar", "mock/a"], **rules}}
    transports = {"mock": kept, "perplexity": kept}
    return bench(sections={"providers": providers, "aliases": aliases}, transports=transports), kept


async def test_a_feature_goes_to_a_model_that_has_it() -> None:
    one, kept = picky()
    result = await one.bridge.chat(asking("x", seed=7), CONTEXT)

    assert result.record.attempts[0].deployment == "mock/a"
    assert result.record.decision is not None
    assert result.record.decision.dropped == {"perplexity/sonar": "cannot honour seed"}
    assert kept.bodies[0]["seed"] == 7


async def test_a_feature_is_left_out_where_the_alias_allows_it_and_the_decision_says_so() -> None:
    one, kept = picky(may_drop=["seed"])
    result = await one.bridge.chat(asking("x", seed=7), CONTEXT)

    assert result.record.attempts[0].deployment == "perplexity/sonar"
    assert "seed" not in kept.bodies[0]
    assert result.record.decision is not None
    assert result.record.decision.candidates[0].reason == "is sent the request without seed; number 1 as listed"


async def test_a_feature_that_the_named_model_lacks_is_refused() -> None:
    one, _ = picky()

    with pytest.raises(UnsupportedFeatureError, match="cannot honour seed"):
        await one.bridge.chat(asking("perplexity/sonar", seed=7), CONTEXT)


async def test_predictions_follow_the_answers_that_were_seen() -> None:
    one = bench(replies=[{"usage": {"input_tokens": 100, "output_tokens": 20}}], sections={"models": PRICES})
    before = one.bridge.decide(asking("mock/small"), CONTEXT)
    for _ in range(6):
        await one.bridge.chat(asking("mock/small"), CONTEXT)
    after = one.bridge.decide(asking("mock/small"), CONTEXT)

    assert before.question is not None
    assert after.question is not None
    assert (before.question.output_tokens, after.question.output_tokens) == (300, 20)
    assert (after.candidates[0].cost_usd or 0) < (before.candidates[0].cost_usd or 0)
