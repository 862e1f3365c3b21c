import json

import pytest

from bridge.call_record import CallContext, CallRecord
from bridge.chat import JsonFormat, Tool
from bridge.config import BridgeConfig
from bridge.decision import Decision
from bridge.errors import (
    BridgeError,
    ContentFilterError,
    ContextLengthError,
    NoRouteError,
    RejectedError,
    SchemaViolationError,
    UnknownModelError,
    UnsupportedFeatureError,
)
from bridge.gateway import Bridge
from bridge.routing.policy import re_execute
from tests.support.bridge_calls import CONTEXT, TWO, asking, bench, failing, read, the_call, tried

NAME = JsonFormat(schema={"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]})


async def test_a_provider_that_fails_and_then_hangs_is_answered_for_by_the_second_within_the_deadline() -> None:
    one = bench(
        faults=[failing("status", times=1), failing("hang", times=None)],
        sections={**TWO, "retry": {"deadline_s": 60}},
    )

    result = await one.bridge.chat(asking("two"), CONTEXT)

    assert result.response.text == "mock answer to: hello"
    assert tried(result.record) == [
        ("mock/first", "failed"),
        ("mock/first", "failed"),
        ("mock/second", "succeeded"),
    ]
    assert [a.error_class for a in result.record.attempts] == ["unavailable", "timeout", None]
    assert one.clock.monotonic() < 60


async def test_a_silent_route_is_not_tried_again() -> None:
    one = bench(faults=[failing("hang", times=None)], sections=TWO)

    result = await one.bridge.chat(asking("two"), CONTEXT)

    assert tried(result.record) == [("mock/first", "failed"), ("mock/second", "succeeded")]


async def test_a_retry_after_is_waited_for_and_the_same_provider_asked_again() -> None:
    one = bench(faults=[failing("rate_limit", retry_after_s=2)], sections=TWO)

    result = await one.bridge.chat(asking("two"), CONTEXT)

    assert tried(result.record) == [("mock/first", "failed"), ("mock/first", "succeeded")]
    assert 2.0 <= one.clock.monotonic() <= 2.5


async def test_a_retry_after_beyond_patience_moves_on_and_keeps_the_provider_out_for_that_long() -> None:
    one = bench(faults=[failing("rate_limit", retry_after_s=90)], sections=TWO)

    first = await one.bridge.chat(asking("two"), CONTEXT)
    second = await one.bridge.chat(asking("two"), CONTEXT)
    one.clock.advance(91)
    third = await one.bridge.chat(asking("two"), CONTEXT)

    assert tried(first.record) == [("mock/first", "failed"), ("mock/second", "succeeded")]
    assert tried(second.record) == [("mock/second", "succeeded")]
    assert second.record.decision is not None
    assert "pause" in second.record.decision.dropped["mock/first"]
    assert tried(third.record) == [("mock/first", "succeeded")]


async def test_an_only_provider_that_rate_limits_forever_ends_in_its_own_error() -> None:
    one = bench(faults=[{"kind": "rate_limit", "times": None}])

    with pytest.raises(BridgeError) as caught:
        await one.bridge.chat(asking("mock/only"), CONTEXT)

    assert caught.value.error_class == "rate_limit"
    assert caught.value.call is the_call(one)
    assert the_call(one).status == "failed"
    assert len(the_call(one).attempts) == 2


async def test_one_deadline_holds_over_all_attempts() -> None:
    one = bench(faults=[{"kind": "hang", "times": None}], sections={**TWO, "retry": {"deadline_s": 8}})

    with pytest.raises(BridgeError) as caught:
        await one.bridge.chat(asking("two"), CONTEXT)

    assert caught.value.error_class == "timeout"
    assert one.clock.monotonic() <= 8.0
    assert len(the_call(one).attempts) == 2


async def test_a_request_may_set_a_shorter_deadline() -> None:
    one = bench(faults=[{"kind": "hang", "times": None}])

    with pytest.raises(BridgeError):
        await one.bridge.chat(asking("mock/a", deadline_s=1.5), CONTEXT)

    assert one.clock.monotonic() <= 1.5


async def test_a_rejected_request_goes_to_nobody_else() -> None:
    one = bench(faults=[failing("status", status=400, times=None)], sections=TWO)

    with pytest.raises(RejectedError):
        await one.bridge.chat(asking("two"), CONTEXT)

    assert tried(the_call(one)) == [("mock/first", "failed")]
    assert the_call(one).cost_nano_usd == 0


async def test_a_wrong_credential_is_left_for_the_next_provider_at_once() -> None:
    one = bench(faults=[failing("auth", times=None)], sections=TWO)

    result = await one.bridge.chat(asking("two"), CONTEXT)

    assert tried(result.record) == [("mock/first", "failed"), ("mock/second", "succeeded")]


async def test_a_prompt_too_long_for_one_model_goes_only_to_bigger_windows() -> None:
    one = bench(
        faults=[failing("context_length", times=None)],
        sections={
            "models": {
                "mock/first": {"context_window": 8000},
                "mock/small": {"context_window": 4000},
                "mock/large": {"context_window": 100_000},
            },
            "aliases": {"sized": {"candidates": ["mock/first", "mock/small", "mock/large"]}},
        },
    )

    result = await one.bridge.chat(asking("sized"), CONTEXT)

    assert tried(result.record) == [("mock/first", "failed"), ("mock/large", "succeeded")]


async def test_a_prompt_too_long_for_all_is_said_to_be_so_after_one_attempt() -> None:
    one = bench(faults=[{"kind": "context_length", "times": None}], sections=TWO)

    with pytest.raises(ContextLengthError):
        await one.bridge.chat(asking("two"), CONTEXT)

    assert len(the_call(one).attempts) == 1


async def test_refused_content_stops_the_call() -> None:
    one = bench(faults=[failing("content_filter", times=None)], sections=TWO)

    with pytest.raises(ContentFilterError):
        await one.bridge.chat(asking("two"), CONTEXT)

    assert tried(the_call(one)) == [("mock/first", "failed")]


async def test_refused_content_goes_to_the_fallback_where_the_alias_says_so() -> None:
    alias = {"candidates": ["mock/first", "mock/second"], "fallback": ["mock/third"], "on_content_filter": "fallback"}
    one = bench(faults=[failing("content_filter", times=None)], sections={"aliases": {"open": alias}})

    result = await one.bridge.chat(asking("open"), CONTEXT)

    assert tried(result.record) == [("mock/first", "failed"), ("mock/third", "succeeded")]


async def test_an_answer_that_breaks_the_schema_is_asked_for_once_more() -> None:
    one = bench(replies=[{"text": "no json at all", "times": 1}, {"json": {"name": "Ada"}}])

    result = await one.bridge.chat(asking("mock/a", response_format=NAME), CONTEXT)

    assert result.parsed == {"name": "Ada"}
    assert result.record.re_asks == 1
    assert len(result.record.attempts) == 2


async def test_a_second_answer_that_breaks_the_schema_ends_the_call() -> None:
    one = bench(replies=[{"text": '{"surname": 1}'}])

    with pytest.raises(SchemaViolationError):
        await one.bridge.chat(asking("mock/a", response_format=NAME), CONTEXT)

    assert the_call(one).error_class == "schema_violation"
    assert len(the_call(one).attempts) == 2


async def test_a_streamed_answer_that_breaks_the_schema_is_a_typed_error() -> None:
    one = bench(replies=[{"text": "no json"}])

    with pytest.raises(SchemaViolationError):
        await read(one.bridge.stream(asking("mock/a", response_format=NAME), CONTEXT))

    assert the_call(one).status == "failed"


async def test_a_schema_that_is_none_is_refused_before_anything_is_sent() -> None:
    one = bench()

    with pytest.raises(UnsupportedFeatureError):
        await one.bridge.chat(asking("mock/a", response_format=JsonFormat(schema={"type": "nonsense"})), CONTEXT)

    assert one.mock.calls == []


async def test_broken_json_from_a_provider_is_retried_and_then_left() -> None:
    one = bench(faults=[failing("malformed", times=None)], sections=TWO)

    result = await one.bridge.chat(asking("two"), CONTEXT)

    assert [name for name, _ in tried(result.record)] == ["mock/first", "mock/first", "mock/second"]


async def test_an_unknown_name_is_recorded_and_names_what_was_meant() -> None:
    one = bench()

    with pytest.raises(UnknownModelError, match="did you mean 'balanced'"):
        await one.bridge.chat(asking("blanced"), CONTEXT)

    assert the_call(one).status == "failed"
    assert the_call(one).decision is None


async def test_a_model_whose_key_is_missing_says_which_variable() -> None:
    one = bench(sections={"providers": {"openai": {"api_key": "${env:OPENAI_API_KEY}"}}})

    with pytest.raises(NoRouteError, match="OPENAI_API_KEY is not set"):
        await one.bridge.chat(asking("openai/gpt-4o-mini"), CONTEXT)

    assert one.bridge.unavailable() == {"openai": "OPENAI_API_KEY is not set"}


async def test_what_no_candidate_can_do_is_refused_as_unsupported() -> None:
    one = bench(sections={"models": {"mock/plain": {"capabilities": ["chat", "stream"]}}})

    with pytest.raises(UnsupportedFeatureError, match="lacks tools"):
        await one.bridge.chat(asking("mock/plain", tools=(Tool(name="search"),)), CONTEXT)


async def test_without_any_key_built_in_aliases_resolve_to_the_local_model_only() -> None:
    one = bench(sections={"providers": {"local": {}, "mock": {}, "openai": {"api_key": "${env:OPENAI_API_KEY}"}}})

    for alias in ("fastest", "cheapest", "best", "balanced"):
        assert one.bridge.decide(asking(alias), CONTEXT).attempts == ("local/smollm2",)


async def test_a_recorded_decision_re_executes_to_the_same_plan_from_its_json_alone() -> None:
    one = bench(
        faults=[failing("status", times=None)],
        sections={"aliases": {"many": {"policy": "weighted", "candidates": [f"mock/{n}" for n in range(6)]}}},
    )
    for _ in range(5):
        await one.bridge.chat(asking("many"), CONTEXT)

    for call in one.sink.calls:
        assert call.decision is not None
        stored = Decision.from_json(json.loads(json.dumps(call.decision.to_json())))
        assert stored == call.decision
        assert re_execute(stored) == call.decision
    assert len({call.decision.attempts for call in one.sink.calls if call.decision}) > 1


async def test_a_provider_that_is_down_is_taken_out_probed_and_taken_back() -> None:
    one = bench(faults=[failing("status", status=503, times=8)], sections=TWO)
    served: list[tuple[float, str]] = []
    while one.clock.monotonic() < 120:
        result = await one.bridge.chat(asking("two"), CONTEXT)
        served.append((one.clock.monotonic(), result.record.attempts[-1].deployment))
        one.clock.advance(2)
    failed_there = [call for call in one.mock.calls if call.fault is not None]
    back_at_s = next(at_s for at_s, name in served if name == "mock/first")

    assert served[0][1] == "mock/second"
    assert served[-1][1] == "mock/first"
    assert len(failed_there) == 8
    assert back_at_s < 5 + 10 + 20 + 40 + 10
    down = [record for record in one.sink.calls if record.decision and "mock/first" in record.decision.dropped]
    assert any("circuit open" in (record.decision.dropped["mock/first"] if record.decision else "") for record in down)


async def test_the_last_target_is_tried_even_while_its_circuit_is_open() -> None:
    one = bench(faults=[{"kind": "status", "times": 8}], sections={"breaker": {"consecutive": 2}})
    for _ in range(4):
        with pytest.raises(BridgeError):
            await one.bridge.chat(asking("mock/only"), CONTEXT)

    assert len(one.mock.calls) >= 4
    assert (await one.bridge.chat(asking("mock/only"), CONTEXT)).response.text


async def test_three_dead_providers_and_twenty_calls_are_not_a_storm() -> None:
    one = bench(
        faults=[{"kind": "status", "status": 503, "times": None}],
        sections={"aliases": {"dead": {"candidates": ["mock/a", "mock/b", "mock/c"]}}},
    )
    for _ in range(20):
        with pytest.raises(BridgeError):
            await one.bridge.chat(asking("dead"), CONTEXT)

    assert len(one.mock.calls) < 60


class BrokenSink:
    def record(self, call: CallRecord) -> None:
        raise RuntimeError(f"disk full at {call.call_id}")


async def test_a_sink_that_fails_costs_nobody_an_answer(caplog: pytest.LogCaptureFixture) -> None:
    one = bench()
    config = BridgeConfig.parse({"providers": {"mock": {}}})
    bridge = Bridge(config, transports={"mock": one.mock}, sinks=[BrokenSink(), one.sink], clock=one.clock)

    result = await bridge.chat(asking("mock/a"), CONTEXT)

    assert result.response.text
    assert len(one.sink.calls) == 1
    assert "call_sink.failed" in caplog.text


async def test_the_cache_answers_the_same_question_of_the_same_organisation_for_nothing() -> None:
    one = bench(sections={"aliases": {"kept": {"candidates": ["mock/a"], "cache": "exact"}}})
    first = await one.bridge.chat(asking("kept"), CONTEXT)
    second = await one.bridge.chat(asking("kept"), CONTEXT)
    other = await one.bridge.chat(asking("kept"), CallContext(org_id="other"))

    assert [r.record.cache for r in (first, second, other)] == ["miss", "hit", "miss"]
    assert second.response == first.response
    assert second.record.attempts == ()
    assert second.record.cost_nano_usd == 0
    assert len(one.mock.calls) == 2


async def test_a_cached_answer_can_be_streamed_and_a_streamed_one_is_cached() -> None:
    one = bench(sections={"aliases": {"kept": {"candidates": ["mock/a"], "cache": "exact"}}})
    first = one.bridge.stream(asking("kept"), CONTEXT)
    text = await read(first)
    again = one.bridge.stream(asking("kept"), CONTEXT)

    assert await read(again) == text
    assert again.result.record.cache == "hit"
    assert len(one.mock.calls) == 1


async def test_an_answer_cut_by_the_token_limit_is_not_cached() -> None:
    one = bench(
        replies=[{"text": "half an ans", "finish_reason": "length"}],
        sections={"aliases": {"kept": {"candidates": ["mock/a"], "cache": "exact"}}},
    )
    await one.bridge.chat(asking("kept"), CONTEXT)
    await one.bridge.chat(asking("kept"), CONTEXT)

    assert len(one.mock.calls) == 2


async def test_round_robin_takes_turns() -> None:
    one = bench(sections={"aliases": {"turns": {"policy": "round_robin", "candidates": ["mock/a", "mock/b"]}}})
    served = [(await one.bridge.chat(asking("turns"), CONTEXT)).record.attempts[0].model for _ in range(4)]

    assert served == ["mock/a", "mock/b", "mock/a", "mock/b"]


async def test_listing_models_shows_those_that_can_be_called() -> None:
    one = bench(sections={"providers": {"mock": {}, "local": {}, "openai": {"api_key": "${env:OPENAI_API_KEY}"}}})

    assert [model.name for model in one.bridge.models()] == ["local/smollm2", "local/wordllama"]
    assert one.bridge.knows("openai/gpt-4o-mini")
    assert not one.bridge.knows("openai/nonsense")
    assert one.bridge.suggest("chepest") == "cheapest"


async def test_a_deployment_whose_rate_limit_is_used_up_is_passed_over() -> None:
    limited = {
        "providers": {"mock": {"limits": {"requests_per_minute": 2}}},
        "aliases": {"two": {"candidates": ["mock/first", "mock/second"]}},
    }
    one = bench(sections=limited)
    for _ in range(3):
        await one.bridge.chat(asking("two"), CONTEXT)

    assert [tried(call)[0][0] for call in one.sink.calls] == ["mock/first", "mock/first", "mock/second"]
    assert "rate limit reached" in one.bridge.decide(asking("two"), CONTEXT).dropped["mock/first"]
