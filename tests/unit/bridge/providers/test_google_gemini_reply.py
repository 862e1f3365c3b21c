from typing import Any

import pytest

from bridge.chat import ChatResponse, ReasoningPart, ToolCall, Usage
from bridge.errors import MalformedReplyError, RateLimitedError
from bridge.providers.google_gemini_reply import response_of
from bridge.providers.rejections import to_error
from tests.support.wire import deployment

TARGET = deployment("google", dialect="gemini")


def candidate(*parts: Any, finish: str | None = "STOP", **more: Any) -> Any:
    return {"content": {"role": "model", "parts": list(parts)}, "finishReason": finish, **more}


def answered(*candidates: Any, **more: Any) -> ChatResponse:
    return response_of({"candidates": list(candidates), "responseId": "r1", **more}, TARGET)


def call(name: str, **more: Any) -> Any:
    return {"functionCall": {"name": name, "args": {"x": 1}, **more}}


def test_text_thoughts_and_the_model_that_answered() -> None:
    answer = answered(
        candidate({"text": "Hm", "thought": True}, {"text": "He"}, {"text": "llo"}), modelVersion="gemini-x-001"
    )

    assert (answer.text, answer.reasoning, answer.model) == ("Hello", "Hm", "gemini-x-001")


def test_signatures_of_thoughts_texts_and_calls_are_kept() -> None:
    answer = answered(
        candidate(
            {"text": "Hm", "thought": True, "thoughtSignature": "s1"},
            {"text": "Hello", "thoughtSignature": "s2"},
            {**call("add"), "thoughtSignature": "s3"},
        )
    )

    assert answer.reasoning_parts == (ReasoningPart("Hm", "google:s1"), ReasoningPart("", "google:s2"))
    assert answer.tool_calls[0].signature == "s3"


def test_calls_without_ids_get_stable_ones_that_differ_between_replies() -> None:
    def ids(reply_id: str) -> list[str]:
        answer = response_of({"candidates": [candidate(call("a"), call("a"))], "responseId": reply_id}, TARGET)
        return [one.id for one in answer.tool_calls]

    assert ids("r1") == ids("r1")
    assert len({*ids("r1"), *ids("r2")}) == 4


def test_a_call_keeps_its_own_id_and_may_have_no_arguments() -> None:
    answer = answered(candidate(call("add", id="c9"), {"functionCall": {"name": "now"}}))

    assert answer.tool_calls[0] == ToolCall("c9", "add", '{"x":1}')
    assert answer.tool_calls[1].arguments == "{}"


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("STOP", "stop"),
        ("MAX_TOKENS", "length"),
        ("SAFETY", "content_filter"),
        ("RECITATION", "content_filter"),
        ("BLOCKLIST", "content_filter"),
        ("PROHIBITED_CONTENT", "content_filter"),
        ("LANGUAGE", "other"),
        ("FINISH_REASON_UNSPECIFIED", None),
        (None, None),
    ],
)
def test_finish_reasons_in_our_words(word: str | None, reason: str | None) -> None:
    assert answered(candidate({"text": "a"}, finish=word)).finish_reason == reason


def test_stop_beside_calls_means_tool_calls_and_a_cut_call_stays_cut() -> None:
    assert answered(candidate(call("add"))).finish_reason == "tool_calls"
    assert answered(candidate(call("add"), finish="MAX_TOKENS")).finish_reason == "length"


@pytest.mark.parametrize("word", ["MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL"])
def test_a_call_its_own_server_could_not_read_is_a_malformed_reply(word: str) -> None:
    with pytest.raises(MalformedReplyError, match=word):
        answered(candidate(finish=word))


def test_a_blocked_prompt_has_no_text_and_the_filter_s_finish() -> None:
    answer = response_of({"promptFeedback": {"blockReason": "SAFETY"}}, TARGET)

    assert (answer.text, answer.finish_reason) == ("", "content_filter")


@pytest.mark.parametrize("payload", [{}, {"candidates": []}, {"candidates": [7]}, {"candidates": "x"}])
def test_what_is_no_reply_is_malformed(payload: Any) -> None:
    with pytest.raises(MalformedReplyError):
        response_of(payload, TARGET)


def test_an_error_inside_a_200_is_raised() -> None:
    with pytest.raises(RateLimitedError, match="quota"):
        response_of({"error": {"code": 429, "message": "quota", "status": "RESOURCE_EXHAUSTED"}}, TARGET)


def test_usage_counts_thoughts_as_output_and_tools_prompts_as_input() -> None:
    counts = {
        "promptTokenCount": 100,
        "candidatesTokenCount": 20,
        "thoughtsTokenCount": 30,
        "cachedContentTokenCount": 40,
        "toolUsePromptTokenCount": 5,
        "totalTokenCount": 155,
    }

    assert answered(candidate({"text": "a"}), usageMetadata=counts).usage == Usage(
        input_tokens=105, output_tokens=50, cached_tokens=40, reasoning_tokens=30
    )


@pytest.mark.parametrize("counts", [None, {}, {"promptTokenCount": "many"}, [1], {"totalTokenCount": 3}])
def test_usage_that_says_nothing_is_unknown(counts: Any) -> None:
    assert answered(candidate({"text": "a"}), usageMetadata=counts).usage is None


def test_a_prompt_without_an_answer_is_billed_for_the_prompt() -> None:
    assert answered(candidate(), usageMetadata={"promptTokenCount": 7}).usage == Usage(7, 0)


def test_other_candidates_are_other_choices() -> None:
    answer = answered(candidate({"text": "a"}), candidate({"text": "b"}, index=1))

    assert (answer.text, [other.text for other in answer.other_choices]) == ("a", ["b"])


def test_logprobs_in_the_shape_of_chat_completions() -> None:
    result = {
        "chosenCandidates": [{"token": "He", "logProbability": -0.1}, {"token": "llo", "logProbability": -0.2}],
        "topCandidates": [{"candidates": [{"token": "Ha", "logProbability": -2}]}],
    }

    assert answered(candidate({"text": "Hello"}, logprobsResult=result)).logprobs == {
        "content": [
            {"token": "He", "logprob": -0.1, "top_logprobs": [{"token": "Ha", "logprob": -2.0}]},
            {"token": "llo", "logprob": -0.2, "top_logprobs": []},
        ]
    }


def test_an_error_body_may_be_an_array_and_say_when_to_come_back() -> None:
    body = b"""[{"error": {"code": 429, "message": "Quota exceeded", "status": "RESOURCE_EXHAUSTED", "details": [
        {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34.5s"}]}}]"""

    error = to_error(429, {}, body, TARGET)

    assert isinstance(error, RateLimitedError)
    assert (error.retry_after_s, error.code) == (34.5, "RESOURCE_EXHAUSTED")
