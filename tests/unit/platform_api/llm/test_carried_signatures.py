"""Marks on tool calls come back through the dialects that have no place for them."""

import json
from collections.abc import Iterable
from typing import Any

import pytest

from bridge.chat import ChatResponse, Message, ReasoningPart, StreamChunk, ToolCall, ToolCallDelta, Usage
from platform_api.llm.anthropic_messages import AnthropicMessages
from platform_api.llm.client_dialect import AnswerFacts, ChatDialect
from platform_api.llm.openai_responses import OpenAIResponses

FACTS = AnswerFacts("c", "google/m", 0)
CALLS = (ToolCall("call:1", "look", '{"a": 1}', "c2ln+/=="), ToolCall("call:2", "look", "{}"))
ANSWER = ChatResponse("", "tool_calls", Usage(1, 1), tool_calls=CALLS, reasoning="hm")


def asked(dialect: ChatDialect, said: list[Any]) -> bytes:
    hi = {"role": "user", "content": "hi"}
    if isinstance(dialect, AnthropicMessages):
        return json.dumps({"model": "m", "max_tokens": 9, "messages": [hi, *said]}).encode()
    return json.dumps({"model": "m", "input": [hi, *said]}).encode()


def sent_back(dialect: ChatDialect, content: list[Any]) -> Message:
    """The assistant's turn, when a client sends back what it got."""
    said = [{"role": "assistant", "content": content}] if isinstance(dialect, AnthropicMessages) else content
    return dialect.read(asked(dialect, said)).request.messages[1]


def parts_of(dialect: ChatDialect, body: Any) -> list[Any]:
    return list(body["content"] if isinstance(dialect, AnthropicMessages) else body["output"])


def events_of(pieces: Iterable[bytes]) -> list[Any]:
    lines = b"".join(pieces).decode().splitlines()
    return [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")]


@pytest.mark.parametrize("dialect", [AnthropicMessages(), OpenAIResponses()])
def test_a_mark_on_a_call_comes_back_with_the_turn(dialect: ChatDialect) -> None:
    body = json.loads(dialect.read(asked(dialect, [])).reply(ANSWER, FACTS))
    turn = sent_back(dialect, parts_of(dialect, body))

    assert [(call.id, call.signature) for call in turn.tool_calls] == [("call:1", "c2ln+/=="), ("call:2", "")]
    assert [part.text for part in turn.reasoning] == ["hm"]


def test_a_streamed_mark_is_a_thought_before_its_call_in_messages() -> None:
    dialect = AnthropicMessages()
    encoder = dialect.read(asked(dialect, [])).encoder(FACTS)
    first = encoder.chunk(StreamChunk(tool_calls=(ToolCallDelta(0, "c1", "look", "{}", "s1"),)))
    late = encoder.chunk(StreamChunk(tool_calls=(ToolCallDelta(0, signature="s2"),)))
    events = events_of([first, late])
    blocks = [event["content_block"]["type"] for event in events if event["type"] == "content_block_start"]
    signatures = [event["delta"].get("signature") for event in events if event["type"] == "content_block_delta"]

    assert blocks == ["thinking", "tool_use", "thinking"]
    assert [one for one in signatures if one] == ["modelbridge-call:c1:s1", "modelbridge-call:c1:s2"]


def test_a_streamed_mark_is_an_item_before_its_call_in_responses() -> None:
    dialect = OpenAIResponses()
    encoder = dialect.read(asked(dialect, [])).encoder(FACTS)
    events = events_of([encoder.chunk(StreamChunk(tool_calls=(ToolCallDelta(0, "c1", "look", "{}", "s1"),)))])
    added = [event["item"] for event in events if event["type"] == "response.output_item.added"]

    assert [item["type"] for item in added] == ["reasoning", "function_call"]
    assert added[0]["encrypted_content"] == "modelbridge-call:c1:s1"


def test_a_mark_whose_call_is_gone_is_left_out() -> None:
    block = {"type": "thinking", "thinking": "", "signature": "modelbridge-call:c9:s"}
    turn = sent_back(AnthropicMessages(), [block, {"type": "text", "text": "x"}])

    assert turn.reasoning == ()
    assert turn.tool_calls == ()


@pytest.mark.parametrize("dialect", [AnthropicMessages(), OpenAIResponses()])
def test_a_thought_is_told_where_only_what_was_said_is_signed(dialect: ChatDialect) -> None:
    answer = ChatResponse("It rains.", "stop", None, reasoning="hm", reasoning_parts=(ReasoningPart("", "google:s"),))
    body = json.loads(dialect.read(asked(dialect, [])).reply(answer, FACTS))

    assert "hm" in json.dumps(body)
    assert [part.text for part in sent_back(dialect, parts_of(dialect, body)).reasoning] == ["hm", ""]


def test_signed_thoughts_stay_beside_the_marks() -> None:
    dialect = AnthropicMessages()
    answer = ChatResponse("", "tool_calls", None, CALLS, reasoning_parts=(ReasoningPart("hm", "google:t"),))
    turn = sent_back(dialect, parts_of(dialect, json.loads(dialect.read(asked(dialect, [])).reply(answer, FACTS))))

    assert turn.reasoning == (ReasoningPart("hm", "google:t"),)
    assert turn.tool_calls[0].signature == "c2ln+/=="
