from typing import Any

import pytest

from bridge.chat import ToolCall, Usage
from bridge.errors import MalformedReplyError, RateLimitedError, UnavailableError
from bridge.providers.openai_chat_reply import response_of, usage_of
from tests.support.wire import deployment

TARGET = deployment()


def reply(message: dict[str, Any], finish: str | None = "stop", **rest: Any) -> dict[str, Any]:
    return {"id": "r1", "model": "m-1", "choices": [{"index": 0, "message": message, "finish_reason": finish}], **rest}


def test_an_answer_has_text_reason_usage_and_the_providers_model_name() -> None:
    answer = response_of(reply({"content": "hi"}, usage={"prompt_tokens": 3, "completion_tokens": 1}), TARGET)

    assert (answer.text, answer.finish_reason, answer.model) == ("hi", "stop", "m-1")
    assert answer.usage == Usage(3, 1)


def test_stop_beside_tool_calls_means_tool_calls() -> None:
    call = {"id": "a", "function": {"name": "add", "arguments": '{"x":1}'}}
    answer = response_of(reply({"content": None, "tool_calls": [call]}), TARGET)

    assert answer.tool_calls == (ToolCall("a", "add", '{"x":1}'),)
    assert answer.finish_reason == "tool_calls"


def test_arguments_sent_as_an_object_become_json_text() -> None:
    call = {"id": "a", "function": {"name": "add", "arguments": {"x": 1}}}

    assert response_of(reply({"tool_calls": [call]}), TARGET).tool_calls[0].arguments == '{"x":1}'


def test_calls_without_ids_get_different_ones() -> None:
    calls = [{"id": "", "function": {"name": "add", "arguments": "{}"}}] * 2
    ids = [call.id for call in response_of(reply({"tool_calls": calls}), TARGET).tool_calls]

    assert len(set(ids)) == 2
    assert all(ids)


def test_the_old_single_function_call_is_a_tool_call() -> None:
    answer = response_of(reply({"function_call": {"name": "f", "arguments": "{}"}}, "function_call"), TARGET)

    assert answer.tool_calls[0].name == "f"
    assert answer.finish_reason == "tool_calls"


def test_thinking_parts_are_reasoning_and_not_text() -> None:
    parts = [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, {"type": "text", "text": "4"}]
    answer = response_of(reply({"content": parts}), TARGET)

    assert (answer.text, answer.reasoning) == ("4", "hm")


def test_further_choices_are_kept() -> None:
    payload = reply({"content": "A"})
    payload["choices"].append({"index": 1, "message": {"content": "B"}, "finish_reason": "length"})
    answer = response_of(payload, TARGET)

    assert [(other.text, other.finish_reason) for other in answer.other_choices] == [("B", "length")]


@pytest.mark.parametrize(
    ("word", "ours"),
    [
        ("eos", "stop"),
        ("model_length", "length"),
        ("content_filter", "content_filter"),
        ("whatever", "other"),
        (None, None),
    ],
)
def test_finish_words_are_translated(word: str | None, ours: str | None) -> None:
    assert response_of(reply({"content": "x"}, word), TARGET).finish_reason == ours


def test_an_answer_that_the_provider_broke_off_is_a_failure() -> None:
    with pytest.raises(UnavailableError, match="broke off"):
        response_of(reply({"content": "x"}, "insufficient_system_resource"), TARGET)


def test_an_error_inside_a_200_reply_is_an_error() -> None:
    with pytest.raises(RateLimitedError):
        response_of({"error": {"code": 429, "message": "slow down"}}, TARGET)


@pytest.mark.parametrize("payload", [{}, {"choices": []}, {"choices": "x"}, {"choices": [{"message": 5}]}])
def test_what_is_not_the_dialect_is_malformed(payload: dict[str, Any]) -> None:
    with pytest.raises(MalformedReplyError):
        response_of(payload, TARGET)


def test_unreadable_usage_does_not_cost_the_answer() -> None:
    answer = response_of(reply({"content": "x"}, usage={"prompt_tokens": "many"}), TARGET)

    assert answer.text == "x"
    assert answer.usage is None


def test_reasoning_counted_beside_the_output_is_added_to_it() -> None:
    usage, cost_usd = usage_of(
        {
            "prompt_tokens": 12,
            "completion_tokens": 2,
            "total_tokens": 354,
            "completion_tokens_details": {"reasoning_tokens": 340},
            "cost_in_usd_ticks": 1_721_250,
        }
    )

    assert usage == Usage(12, 342, reasoning_tokens=340)
    assert cost_usd == pytest.approx(0.000172125)


def test_audio_counted_beside_the_input_is_added_to_it() -> None:
    details = {"audio_tokens": 375}
    usage, _ = usage_of(
        {"prompt_tokens": 9, "completion_tokens": 201, "total_tokens": 585, "prompt_tokens_details": details}
    )

    assert usage == Usage(384, 201)


@pytest.mark.parametrize(
    "counted",
    [
        {"prompt_tokens_details": {"cached_tokens": 4}},
        {"prompt_cache_hit_tokens": 4},
        {"num_cached_tokens": 4},
    ],
)
def test_cached_tokens_are_found_under_each_vendors_name(counted: dict[str, Any]) -> None:
    usage, _ = usage_of({"prompt_tokens": 9, "completion_tokens": 1, **counted})

    assert usage == Usage(9, 1, cached_tokens=4)


def test_a_cost_may_be_a_number_or_an_object() -> None:
    assert usage_of({"cost": 0.25}) == (None, 0.25)
    assert usage_of({"cost": {"total_cost": 0.5, "input_tokens_cost": 0.1}}) == (None, 0.5)
    assert usage_of({"cost": {}}) == (None, None)


def test_more_cached_tokens_than_input_are_counted_beside_it() -> None:
    usage, _ = usage_of({"prompt_tokens": 29, "completion_tokens": 6, "prompt_tokens_details": {"cached_tokens": 157}})

    assert usage == Usage(186, 6, cached_tokens=157)
