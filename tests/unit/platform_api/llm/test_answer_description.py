"""What the writers of every dialect write is what /openapi.json says they do."""

import json
from typing import Any

import jsonschema
import pytest

from bridge.chat import ChatResponse, ReasoningPart, StreamChunk, ToolCall, ToolCallDelta, Usage
from platform_api.llm import anthropic_models, openai_models
from platform_api.llm.anthropic_messages import AnthropicMessages
from platform_api.llm.api_description import described_paths
from platform_api.llm.client_dialect import AnswerFacts, ChatDialect
from platform_api.llm.openai_chat import OpenAIChat
from platform_api.llm.openai_responses import OpenAIResponses
from tests.support.answers import result_of

FACTS = AnswerFacts("1", "acme/m", 7)
HI = [{"role": "user", "content": "hi"}]
DIALECTS: dict[str, tuple[ChatDialect, bytes]] = {
    "/v1/chat/completions": (
        OpenAIChat(),
        json.dumps({"model": "m", "messages": HI, "stream_options": {"include_usage": True}}).encode(),
    ),
    "/v1/responses": (OpenAIResponses(), json.dumps({"model": "m", "input": "hi"}).encode()),
    "/v1/messages": (AnthropicMessages(), json.dumps({"model": "m", "max_tokens": 9, "messages": HI}).encode()),
}
ANSWERS = (
    ChatResponse("It rains.", "stop", Usage(3, 2, cached_tokens=1, reasoning_tokens=1), reasoning="hm"),
    ChatResponse("", "tool_calls", Usage(3, 2), tool_calls=(ToolCall("c", "look", '{"a": 1}', "sig"),)),
    ChatResponse("cut", "length", None, reasoning_parts=(ReasoningPart("", "r", is_redacted=True),)),
    ChatResponse("", "content_filter", Usage(3, 0), refusal="No."),
)
CHUNKS = (
    StreamChunk(reasoning="hm"),
    StreamChunk(reasoning_parts=(ReasoningPart("hm", "s"),)),
    StreamChunk(text="It "),
    StreamChunk(refusal="No."),
    StreamChunk(tool_calls=(ToolCallDelta(0, "c", "look", '{"a"', "sig"),)),
    StreamChunk(tool_calls=(ToolCallDelta(0, arguments=": 1}"),)),
    StreamChunk(finish_reason="tool_calls", usage=Usage(3, 2)),
)


def faults(schema: dict[str, Any], value: Any) -> list[str]:
    """What a validator of somebody else's finds."""
    paths, components = described_paths()
    assert paths
    validator = jsonschema.Draft202012Validator({**schema, "components": components})
    return [error.message for error in validator.iter_errors(value)]  # pyright: ignore[reportUnknownMemberType]  # untyped there


def content_of(path: str, method: str = "post") -> dict[str, Any]:
    return dict(described_paths()[0][path][method]["responses"]["200"]["content"])


def event_values(raw: bytes) -> list[Any]:
    lines = [line.removeprefix("data: ") for line in raw.decode().splitlines() if line.startswith("data: ")]
    return [json.loads(line) for line in lines if line != "[DONE]"]


@pytest.mark.parametrize("path", DIALECTS)
@pytest.mark.parametrize("answer", ANSWERS)
def test_a_whole_answer_is_as_described(path: str, answer: ChatResponse) -> None:
    dialect, asked = DIALECTS[path]
    body = json.loads(dialect.read(asked).reply(answer, FACTS))

    assert faults(content_of(path)["application/json"]["schema"], body) == []


@pytest.mark.parametrize("path", DIALECTS)
def test_every_event_of_a_stream_is_as_described(path: str) -> None:
    dialect, asked = DIALECTS[path]
    encoder = dialect.read(asked).encoder(FACTS)
    raw = b"".join(encoder.chunk(chunk) for chunk in CHUNKS) + encoder.end(result_of(ANSWERS[1]))
    schema = content_of(path)["text/event-stream"]["schema"]["contentSchema"]
    events = event_values(raw)

    assert len(events) >= len(CHUNKS)
    assert [found for event in events for found in faults(schema, event)] == []


@pytest.mark.parametrize("words", [openai_models, anthropic_models])
def test_lists_of_models_are_as_described(words: Any) -> None:
    whole, one = json.loads(words.models_list({"acme/m": "acme"})), json.loads(words.model_object("acme/m", "acme"))

    assert faults(content_of("/v1/models", "get")["application/json"]["schema"], whole) == []
    assert faults(content_of("/v1/models/{model}", "get")["application/json"]["schema"], one) == []


@pytest.mark.parametrize("path", DIALECTS)
@pytest.mark.parametrize("field", ["id", "model", "usage"])
def test_an_answer_that_lacks_something_is_not_as_described(path: str, field: str) -> None:
    dialect, asked = DIALECTS[path]
    body = json.loads(dialect.read(asked).reply(ANSWERS[0], FACTS))
    del body[field]

    assert faults(content_of(path)["application/json"]["schema"], body)
