import json

from bridge.chat import ChatResponse, ReasoningPart, StreamChunk, ToolCall, ToolCallDelta, Usage
from platform_api.llm.client_dialect import AnswerFacts
from platform_api.llm.openai_chat_reply import DONE, ChunkEncoder, completion
from tests.support.answers import result_of

FACTS = AnswerFacts("1", "acme/m", 7)


def events(raw: bytes) -> list[dict[str, object]]:
    lines = [line.removeprefix("data: ") for line in raw.decode().split("\n\n") if line]
    return [json.loads(line) for line in lines if line != "[DONE]"]


def test_a_reply_with_tool_calls_has_null_content() -> None:
    response = ChatResponse(
        text="",
        finish_reason="tool_calls",
        usage=Usage(11, 16, cached_tokens=3, reasoning_tokens=2),
        tool_calls=(ToolCall("c1", "look", '{"a": 1}'),),
    )
    reply = json.loads(completion(response, AnswerFacts("42", "acme/m", 7)))

    assert reply["id"] == "chatcmpl-42"
    assert reply["choices"][0]["message"]["content"] is None
    assert reply["choices"][0]["message"]["tool_calls"][0]["function"] == {"name": "look", "arguments": '{"a": 1}'}
    assert reply["choices"][0]["finish_reason"] == "tool_calls"
    assert reply["usage"]["total_tokens"] == 27
    assert reply["usage"]["prompt_tokens_details"] == {"cached_tokens": 3}


def test_a_stream_opens_with_the_role_and_ends_with_usage_and_the_mark() -> None:
    encoder = ChunkEncoder(FACTS, wants_usage=True)
    raw = encoder.chunk(StreamChunk(text="He")) + encoder.chunk(StreamChunk(text="llo"))
    raw += encoder.chunk(StreamChunk(finish_reason="stop", usage=Usage(3, 2)))
    raw += encoder.end(result_of(ChatResponse("", "stop", Usage(3, 2))))

    first, second, last, usage = events(raw)
    assert first["choices"][0]["delta"] == {"role": "assistant", "content": "He"}  # type: ignore[index]
    assert second["choices"][0]["delta"] == {"content": "llo"}  # type: ignore[index]
    assert last["choices"][0]["finish_reason"] == "stop"  # type: ignore[index]
    assert first["usage"] is None
    assert usage["choices"] == []
    assert usage["usage"]["total_tokens"] == 5  # type: ignore[index]
    assert raw.endswith(DONE)


def test_without_stream_options_no_event_carries_usage() -> None:
    encoder = ChunkEncoder(FACTS, wants_usage=False)
    raw = encoder.chunk(StreamChunk(text="x", finish_reason="stop", usage=Usage(3, 2))) + encoder.end(
        result_of(ChatResponse("", "stop", Usage(3, 2)))
    )

    assert all("usage" not in event for event in events(raw))


def test_tool_call_pieces_keep_their_index_and_name_the_function_once() -> None:
    encoder = ChunkEncoder(FACTS, wants_usage=False)
    raw = encoder.chunk(StreamChunk(tool_calls=(ToolCallDelta(0, "c1", "look"),)))
    raw += encoder.chunk(StreamChunk(tool_calls=(ToolCallDelta(0, arguments='{"a":'),)))

    first, second = (event["choices"][0]["delta"]["tool_calls"][0] for event in events(raw))  # type: ignore[index]
    assert first == {"index": 0, "id": "c1", "type": "function", "function": {"name": "look", "arguments": ""}}
    assert second == {"index": 0, "function": {"arguments": '{"a":'}}


def test_what_a_provider_signed_is_told_and_logprobs_come_with_their_piece() -> None:
    response = ChatResponse(
        "",
        "tool_calls",
        None,
        tool_calls=(ToolCall("c1", "look", "{}", "g1"),),
        reasoning="hm",
        reasoning_parts=(ReasoningPart("hm", "s1"), ReasoningPart("", "r1", is_redacted=True)),
    )
    message = json.loads(completion(response, FACTS))["choices"][0]["message"]
    encoder = ChunkEncoder(FACTS, wants_usage=False)
    piece = events(encoder.chunk(StreamChunk(text="x", logprobs={"content": [{"token": "x", "logprob": -0.1}]})))
    thought = events(encoder.chunk(StreamChunk(reasoning_parts=(ReasoningPart("hm", "s1"),))))

    signed = {"type": "reasoning.text", "text": "hm", "signature": "s1"}
    assert message["reasoning_details"] == [signed, {"type": "reasoning.encrypted", "data": "r1"}]
    assert message["tool_calls"][0]["extra_content"] == {"google": {"thought_signature": "g1"}}
    assert piece[0]["choices"][0]["logprobs"]["content"][0]["token"] == "x"  # type: ignore[index]
    assert thought[0]["choices"][0]["delta"]["reasoning_details"] == [signed]  # type: ignore[index]
