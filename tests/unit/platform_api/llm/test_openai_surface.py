import json

import pytest

from bridge.chat import ChatResponse, ImagePart, StreamChunk, TextPart, ToolCall, ToolCallDelta, Usage
from platform_api.llm.openai_surface import (
    DONE,
    InvalidRequestError,
    StreamEncoder,
    completion,
    read_body,
    to_request,
)


def body(**fields: object) -> bytes:
    return json.dumps({"model": "balanced", "messages": [{"role": "user", "content": "hi"}], **fields}).encode()


def events(raw: bytes) -> list[dict[str, object]]:
    lines = [line.removeprefix("data: ") for line in raw.decode().split("\n\n") if line]
    return [json.loads(line) for line in lines if line != "[DONE]"]


def test_a_plain_request_becomes_a_chat_request() -> None:
    request = to_request(read_body(body(max_tokens=5, stop="END", temperature=0.5, user="u-1", store=True)))

    assert request.model == "balanced"
    assert request.messages[0].text == "hi"
    assert (request.max_output_tokens, request.stop, request.temperature) == (5, ("END",), 0.5)


def test_parts_tools_and_schema_are_read() -> None:
    raw = body(
        messages=[
            {"role": "developer", "content": "Be brief."},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "What is it?"},
                    {"type": "image_url", "image_url": {"url": "https://x/y.png", "detail": "low"}},
                ],
            },
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{}"}}],
            },
            {"role": "tool", "tool_call_id": "c1", "content": "a cat"},
        ],
        tools=[{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}],
        tool_choice={"type": "function", "function": {"name": "look"}},
        response_format={"type": "json_schema", "json_schema": {"name": "s", "schema": {"type": "object"}}},
    )
    request = to_request(read_body(raw))

    assert request.messages[0].role == "system"
    assert request.messages[1].content == (TextPart("What is it?"), ImagePart("https://x/y.png", detail="low"))
    assert request.messages[2].tool_calls == (ToolCall("c1", "look", "{}"),)
    assert request.messages[3].tool_call_id == "c1"
    assert request.tool_choice == "look"
    assert request.response_format is not None
    assert request.response_format.schema == {"type": "object"}


@pytest.mark.parametrize(
    ("raw", "param"),
    [
        (b"{", None),
        (b'{"messages": []}', "model"),
        (body(messages=[]), "messages"),
        (body(temperature="hot"), "temperature"),
        (body(messages=[{"role": "robot", "content": "x"}]), "messages[0].role"),
        (body(logit_bias={"50256": -100}), "logit_bias"),
        (body(n=0), "n"),
        (body(max_tokens=0), "max_tokens"),
        (body(response_format={"type": "json_schema"}), "response_format"),
    ],
)
def test_a_bad_body_names_the_field(raw: bytes, param: str | None) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        to_request(read_body(raw))

    assert caught.value.param == param


def test_a_reply_with_tool_calls_has_null_content() -> None:
    response = ChatResponse(
        text="",
        finish_reason="tool_calls",
        usage=Usage(11, 16, cached_tokens=3, reasoning_tokens=2),
        tool_calls=(ToolCall("c1", "look", '{"a": 1}'),),
    )
    reply = json.loads(completion(response, call_id="42", model="acme/m", created=7))

    assert reply["id"] == "chatcmpl-42"
    assert reply["choices"][0]["message"]["content"] is None
    assert reply["choices"][0]["message"]["tool_calls"][0]["function"] == {"name": "look", "arguments": '{"a": 1}'}
    assert reply["choices"][0]["finish_reason"] == "tool_calls"
    assert reply["usage"]["total_tokens"] == 27
    assert reply["usage"]["prompt_tokens_details"] == {"cached_tokens": 3}


def test_a_stream_opens_with_the_role_and_ends_with_usage_and_the_mark() -> None:
    encoder = StreamEncoder(model="acme/m", call_id="1", created=7, wants_usage=True)
    raw = encoder.chunk(StreamChunk(text="He")) + encoder.chunk(StreamChunk(text="llo"))
    raw += encoder.chunk(StreamChunk(finish_reason="stop", usage=Usage(3, 2)))
    raw += encoder.end()

    first, second, last, usage = events(raw)
    assert first["choices"][0]["delta"] == {"role": "assistant", "content": "He"}  # type: ignore[index]
    assert second["choices"][0]["delta"] == {"content": "llo"}  # type: ignore[index]
    assert last["choices"][0]["finish_reason"] == "stop"  # type: ignore[index]
    assert first["usage"] is None
    assert usage["choices"] == []
    assert usage["usage"]["total_tokens"] == 5  # type: ignore[index]
    assert raw.endswith(DONE)


def test_without_stream_options_no_event_carries_usage() -> None:
    encoder = StreamEncoder(model="acme/m", call_id="1", created=7, wants_usage=False)
    raw = encoder.chunk(StreamChunk(text="x", finish_reason="stop", usage=Usage(3, 2))) + encoder.end()

    assert all("usage" not in event for event in events(raw))


def test_tool_call_pieces_keep_their_index_and_name_the_function_once() -> None:
    encoder = StreamEncoder(model="acme/m", call_id="1", created=7, wants_usage=False)
    raw = encoder.chunk(StreamChunk(tool_calls=(ToolCallDelta(0, "c1", "look"),)))
    raw += encoder.chunk(StreamChunk(tool_calls=(ToolCallDelta(0, arguments='{"a":'),)))

    first, second = (event["choices"][0]["delta"]["tool_calls"][0] for event in events(raw))  # type: ignore[index]
    assert first == {"index": 0, "id": "c1", "type": "function", "function": {"name": "look", "arguments": ""}}
    assert second == {"index": 0, "function": {"arguments": '{"a":'}}
