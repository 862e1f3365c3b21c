import json
from typing import Any

import pytest

from bridge.chat import ChatResponse
from bridge.errors import MalformedReplyError, ProviderError, RejectedError, UnavailableError
from bridge.providers.openai_chat_stream import OpenAiEventReader
from bridge.streaming import ServerSentEvent, fold
from tests.support.wire import deployment


def event(delta: dict[str, Any] | None = None, finish: str | None = None, **rest: Any) -> ServerSentEvent:
    choice = {"index": 0, "delta": delta or {}, "finish_reason": finish}
    return ServerSentEvent(json.dumps({"id": "r1", "model": "m-1", "choices": [choice], **rest}))


def calling(**call: Any) -> ServerSentEvent:
    return event({"tool_calls": [call]})


def read(*events: ServerSentEvent) -> ChatResponse:
    reader = OpenAiEventReader(deployment())
    return fold(chunk for item in events for chunk in reader.read(item))


def arguments(answer: ChatResponse) -> list[tuple[str, str]]:
    return [(call.name, call.arguments) for call in answer.tool_calls]


def test_text_reason_and_usage_add_up() -> None:
    usage = ServerSentEvent('{"choices": [], "usage": {"prompt_tokens": 2, "completion_tokens": 3}}')
    answer = read(event({"role": "assistant", "content": ""}), event({"content": "Hi"}), event({}, "stop"), usage)

    assert (answer.text, answer.finish_reason, answer.model) == ("Hi", "stop", "m-1")
    assert answer.usage is not None
    assert answer.usage.output_tokens == 3


def test_the_end_mark_is_seen_and_is_no_chunk() -> None:
    reader = OpenAiEventReader(deployment())

    assert reader.read(ServerSentEvent("[DONE]")) == ()
    assert reader.is_done


def test_pieces_with_an_index_belong_together() -> None:
    answer = read(
        calling(index=0, id="a", function={"name": "add", "arguments": ""}),
        calling(index=0, function={"arguments": '{"x":'}),
        calling(index=1, id="b", function={"name": "sub", "arguments": "{}"}),
        calling(index=0, function={"arguments": "1}"}),
    )

    assert arguments(answer) == [("add", '{"x":1}'), ("sub", "{}")]


def test_whole_calls_without_an_index_are_calls_of_their_own() -> None:
    answer = read(
        event(
            {
                "tool_calls": [
                    {"id": "a", "function": {"name": "plus", "arguments": '{"a":1}'}},
                    {"id": "b", "function": {"name": "minus", "arguments": '{"a":2}'}},
                ]
            },
            "tool_calls",
        )
    )

    assert arguments(answer) == [("plus", '{"a":1}'), ("minus", '{"a":2}')]


def test_nameless_pieces_without_an_index_continue_the_last_call() -> None:
    answer = read(calling(function={"name": "add", "arguments": '{"x"'}), calling(function={"arguments": ":1}"}))

    assert arguments(answer) == [("add", '{"x":1}')]


def test_parallel_calls_that_all_claim_index_zero_are_told_apart_by_id() -> None:
    answer = read(
        calling(index=0, id="a", function={"name": "f", "arguments": "{}"}),
        calling(index=0, id="b", function={"name": "f", "arguments": "[]"}),
    )

    assert arguments(answer) == [("f", "{}"), ("f", "[]")]


def test_an_id_and_name_repeated_with_every_piece_name_one_call() -> None:
    answer = read(
        calling(index=0, id="a", function={"name": "f", "arguments": "{"}),
        calling(index=0, id="a", function={"name": "f", "arguments": "}"}),
    )

    assert arguments(answer) == [("f", "{}")]


def test_a_call_with_an_empty_id_gets_one_and_stop_becomes_tool_calls() -> None:
    answer = read(calling(index=0, id="", function={"name": "f", "arguments": "{}"}), event({}, "stop"))

    assert answer.tool_calls[0].id
    assert answer.finish_reason == "tool_calls"


def test_usage_one_level_deeper_is_found() -> None:
    answer = read(event({}, "stop", x_groq={"usage": {"prompt_tokens": 5, "completion_tokens": 1}}))

    assert answer.usage is not None
    assert answer.usage.input_tokens == 5


def test_an_error_object_in_the_stream_is_raised() -> None:
    with pytest.raises(RejectedError, match="Token limit"):
        read(ServerSentEvent('{"error": {"code": 400, "message": "Token limit reached"}, "choices": []}'))


@pytest.mark.parametrize("text", ['{"message": "boom"}', "boom"])
def test_an_error_event_is_raised_whatever_its_shape(text: str) -> None:
    with pytest.raises(ProviderError, match="boom"):
        read(ServerSentEvent(text, name="error"))


def test_an_error_without_a_status_counts_as_unavailable() -> None:
    with pytest.raises(UnavailableError):
        read(ServerSentEvent('{"error": "upstream went away"}'))


@pytest.mark.parametrize("text", ['{"broken": ', "[1]", '{"choices": 5}'])
def test_an_event_that_cannot_be_read_is_malformed(text: str) -> None:
    with pytest.raises(MalformedReplyError):
        read(ServerSentEvent(text))


def test_a_message_instead_of_a_delta_is_read() -> None:
    assert read(ServerSentEvent('{"choices": [{"message": {"content": "x"}, "finish_reason": "stop"}]}')).text == "x"
