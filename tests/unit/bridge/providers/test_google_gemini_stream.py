import json
from typing import Any

import pytest

from bridge.chat import ChatResponse, ReasoningPart, ToolCall, Usage
from bridge.errors import MalformedReplyError, ProviderError
from bridge.providers.google_gemini_stream import GeminiEventReader, put_argument
from bridge.streaming import ServerSentEvent, fold
from tests.support.wire import deployment

TARGET = deployment("google", dialect="gemini")


def event(*parts: Any, finish: str | None = None, index: int = 0, **more: Any) -> Any:
    candidate: dict[str, Any] = {"content": {"parts": list(parts)}, "index": index}
    if finish is not None:
        candidate["finishReason"] = finish
    return {"candidates": [candidate], "responseId": "r1", **more}


def streamed(*events: Any) -> ChatResponse:
    reader = GeminiEventReader(TARGET)
    return fold(chunk for one in events for chunk in reader.read(ServerSentEvent(json.dumps(one))))


def test_pieces_are_put_together_and_the_last_usage_stands() -> None:
    answer = streamed(
        event({"text": "Hm", "thought": True}, usageMetadata={"promptTokenCount": 5}),
        event({"text": "He"}, usageMetadata={"promptTokenCount": 5, "candidatesTokenCount": 1}),
        event({"text": "llo"}, finish="STOP", usageMetadata={"promptTokenCount": 5, "candidatesTokenCount": 2}),
    )

    assert (answer.text, answer.reasoning, answer.finish_reason) == ("Hello", "Hm", "stop")
    assert answer.usage == Usage(5, 2)


def test_a_signature_in_an_empty_last_part_is_kept() -> None:
    answer = streamed(event({"text": "Hello"}), event({"text": "", "thoughtSignature": "s"}, finish="STOP"))

    assert answer.reasoning_parts == (ReasoningPart("", "google:s"),)


def test_calls_of_several_events_run_in_parallel_with_ids_of_their_own() -> None:
    one = {"functionCall": {"name": "add", "args": {"x": 1}}, "thoughtSignature": "s"}
    other = {"functionCall": {"name": "add", "args": {"x": 2}}}
    answer = streamed(event(one), event(other), event({"text": ""}, finish="STOP"))

    assert [(call.name, call.arguments, call.signature) for call in answer.tool_calls] == [
        ("add", '{"x":1}', "s"),
        ("add", '{"x":2}', ""),
    ]
    assert len({call.id for call in answer.tool_calls}) == 2
    assert answer.finish_reason == "tool_calls"


def test_streamed_arguments_come_at_the_end_of_their_call() -> None:
    def piece(**more: Any) -> Any:
        return event({"functionCall": {"willContinue": True, **more}})

    answer = streamed(
        piece(name="go", id="c"),
        piece(partialArgs=[{"jsonPath": "$.to", "stringValue": "Bos"}]),
        piece(partialArgs=[{"jsonPath": "$.to", "stringValue": "ton"}, {"jsonPath": "$.days", "numberValue": 3}]),
        event({"functionCall": {}}, finish="STOP"),
    )

    assert answer.tool_calls == (ToolCall("c", "go", '{"to":"Boston","days":3}'),)


@pytest.mark.parametrize(
    ("pieces", "arguments"),
    [
        ([{"jsonPath": "$.a.b", "boolValue": True}], {"a": {"b": True}}),
        ([{"jsonPath": "$.a[1]", "numberValue": 2}], {"a": [None, 2]}),
        (
            [{"jsonPath": "$.a[0].b", "stringValue": "x"}, {"jsonPath": "$.a[0].b", "stringValue": "y"}],
            {"a": [{"b": "xy"}]},
        ),
        ([{"jsonPath": "$['a b']", "stringValue": "x"}], {"a b": "x"}),
        ([{"jsonPath": "$.a", "nullValue": "NULL_VALUE"}], {"a": None}),
        ([{"jsonPath": "$.a"}], {}),
        ([{"stringValue": "x"}], {}),
        ([{"jsonPath": "$.a", "stringValue": "x"}, {"jsonPath": "$.a.b", "stringValue": "y"}], {"a": "x"}),
    ],
)
def test_a_piece_of_an_argument_finds_its_place(pieces: list[Any], arguments: Any) -> None:
    found: dict[str, object] = {}
    for piece in pieces:
        put_argument(found, piece)

    assert found == arguments


def test_an_index_beyond_reason_takes_no_memory() -> None:
    found: dict[str, object] = {}
    put_argument(found, {"jsonPath": "$.a[999999999]", "stringValue": "x"})

    assert len(str(found)) < 100_000


def test_candidates_are_told_apart() -> None:
    answer = streamed(event({"text": "a"}), event({"text": "b"}, index=1), event(finish="STOP"))

    assert (answer.text, [other.text for other in answer.other_choices]) == ("a", ["b"])


def test_a_blocked_prompt_ends_with_the_content_filter() -> None:
    answer = streamed({"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}})

    assert (answer.text, answer.finish_reason) == ("", "content_filter")


def test_an_event_that_says_nothing_adds_nothing() -> None:
    assert streamed({}) == ChatResponse("", None, None)


@pytest.mark.parametrize("text", ['{"candidates": [', "[]", '{"candidates": 7}', "[" * 100_000])
def test_an_event_that_cannot_be_read_is_malformed(text: str) -> None:
    with pytest.raises(MalformedReplyError):
        GeminiEventReader(TARGET).read(ServerSentEvent(text))


def test_an_error_in_mid_stream_is_raised() -> None:
    with pytest.raises(ProviderError, match="overloaded") as caught:
        streamed(event({"text": "a"}), {"error": {"code": 503, "message": "overloaded", "status": "UNAVAILABLE"}})

    assert caught.value.status == 503


def test_a_call_that_its_server_could_not_read_breaks_the_stream() -> None:
    with pytest.raises(MalformedReplyError):
        streamed(event({"text": "a"}), event(finish="MALFORMED_FUNCTION_CALL"))


def test_there_is_no_end_mark() -> None:
    reader = GeminiEventReader(TARGET)
    reader.read(ServerSentEvent(json.dumps(event({"text": "a"}, finish="STOP"))))

    assert not reader.is_done
