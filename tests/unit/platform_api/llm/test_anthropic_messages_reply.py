import json
from typing import Any

from bridge.chat import ChatResponse, ReasoningPart, StreamChunk, ToolCall, ToolCallDelta, Usage
from platform_api.llm.anthropic_messages_reply import EventEncoder, message
from platform_api.llm.client_dialect import AnswerFacts
from tests.support.answers import result_of

FACTS = AnswerFacts("1", "acme/m", 7)
USED = Usage(20, 5, cached_tokens=12, cache_write_tokens=3)


def events(raw: bytes) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for block in raw.decode().split("\n\n"):
        if block:
            name, data = block.split("\n", 1)
            found.append(json.loads(data.removeprefix("data: ")))
            assert name == f"event: {found[-1]['type']}"
    return found


def test_a_whole_message_holds_thoughts_text_and_calls_in_order() -> None:
    response = ChatResponse(
        "It rains.",
        "tool_calls",
        USED,
        tool_calls=(ToolCall("t1", "look", '{"a": 1}'), ToolCall("t2", "look", "oops")),
        reasoning="hm",
        reasoning_parts=(ReasoningPart("hm", "s1"), ReasoningPart("", "r1", is_redacted=True)),
    )
    body = json.loads(message(response, FACTS))

    assert body["content"] == [
        {"type": "thinking", "thinking": "hm", "signature": "s1"},
        {"type": "redacted_thinking", "data": "r1"},
        {"type": "text", "text": "It rains."},
        {"type": "tool_use", "id": "t1", "name": "look", "input": {"a": 1}},
        {"type": "tool_use", "id": "t2", "name": "look", "input": {"INVALID_JSON": "oops"}},
    ]
    assert (body["id"], body["model"], body["stop_reason"]) == ("msg_1", "acme/m", "tool_use")
    assert body["usage"] == {
        "input_tokens": 5,
        "cache_read_input_tokens": 12,
        "cache_creation_input_tokens": 3,
        "output_tokens": 5,
    }


def test_a_refusal_is_text_and_its_own_reason() -> None:
    body = json.loads(message(ChatResponse("", "stop", None, refusal="No."), FACTS))

    assert (body["content"], body["stop_reason"]) == ([{"type": "text", "text": "No."}], "refusal")


def test_a_stream_opens_and_closes_each_block() -> None:
    encoder = EventEncoder(FACTS)
    raw = encoder.chunk(StreamChunk(reasoning="hm"))
    raw += encoder.chunk(StreamChunk(reasoning_parts=(ReasoningPart("hm", "s1"),)))
    raw += encoder.chunk(StreamChunk(text="It "))
    raw += encoder.chunk(StreamChunk(text="rains."))
    raw += encoder.chunk(StreamChunk(tool_calls=(ToolCallDelta(0, "t1", "look"), ToolCallDelta(1, "t2", "see", "{"))))
    raw += encoder.chunk(StreamChunk(tool_calls=(ToolCallDelta(0, arguments="{}"), ToolCallDelta(1, arguments="}"))))
    raw += encoder.end(result_of(ChatResponse("It rains.", "tool_calls", USED)))
    found = events(raw)

    assert [(event["type"], event.get("index")) for event in found] == [
        ("message_start", None),
        ("content_block_start", 0),
        ("content_block_delta", 0),
        ("content_block_delta", 0),
        ("content_block_stop", 0),
        ("content_block_start", 1),
        ("content_block_delta", 1),
        ("content_block_delta", 1),
        ("content_block_stop", 1),
        ("content_block_start", 2),
        ("content_block_start", 3),
        ("content_block_delta", 3),
        ("content_block_delta", 2),
        ("content_block_delta", 3),
        ("content_block_stop", 2),
        ("content_block_stop", 3),
        ("message_delta", None),
        ("message_stop", None),
    ]
    assert found[3]["delta"] == {"type": "signature_delta", "signature": "s1"}
    assert found[-2]["delta"]["stop_reason"] == "tool_use"
    assert found[-2]["usage"]["output_tokens"] == 5


def test_an_empty_stream_is_still_a_message() -> None:
    found = events(EventEncoder(FACTS).end(result_of(ChatResponse("", "stop", Usage(3, 0)))))

    assert [event["type"] for event in found] == ["message_start", "message_delta", "message_stop"]
