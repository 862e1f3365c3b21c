"""Requests in the Anthropic dialect; replies and streams are tested on recorded traffic."""

from typing import Any

import pytest
from anthropic.types.message_create_params import MessageCreateParamsNonStreaming, MessageCreateParamsStreaming
from pydantic import TypeAdapter

from bridge.catalog.deployments import Deployment
from bridge.catalog.entries import ModelEntry
from bridge.chat import (
    AudioPart,
    ChatRequest,
    DocumentPart,
    ImagePart,
    JsonFormat,
    Message,
    ReasoningPart,
    TextPart,
    Tool,
    ToolCall,
)
from bridge.errors import RejectedError
from bridge.json_types import JsonObject
from bridge.providers.anthropic_messages import AnthropicMessages

WEATHER = Tool("weather", "Of a city.", {"type": "object", "properties": {"city": {"type": "string"}}})
USER = Message.of("user", "Weather in Oslo and Rome?")


def target(model_id: str = "claude-sonnet-5-5", **facts: Any) -> Deployment:
    entry = ModelEntry(f"anthropic/{model_id}", "anthropic", model_id, **facts)
    return Deployment(entry.name, "anthropic", model_id, "anthropic", "https://api.test", entry, api_key="k")


def body(request: ChatRequest, to: Deployment | None = None, *, stream: bool = False) -> dict[str, Any]:
    """The built body, valid by the official SDK's own types."""
    wire = AnthropicMessages().build(request, to or target(), stream=stream)
    built: dict[str, Any] = dict(wire.body)
    TypeAdapter(MessageCreateParamsStreaming if stream else MessageCreateParamsNonStreaming).validate_python(built)
    return built


def test_the_request_goes_to_messages_with_key_and_version() -> None:
    wire = AnthropicMessages().build(ChatRequest("m", (USER,)), target(), stream=True)

    assert (wire.path, wire.body["stream"]) == ("/v1/messages", True)
    assert wire.headers == {"anthropic-version": "2023-06-01", "x-api-key": "k"}


def test_an_output_limit_is_always_sent() -> None:
    assert body(ChatRequest("m", (USER,)))["max_tokens"] == 4096
    assert body(ChatRequest("m", (USER,)), target(max_output_tokens=64_000))["max_tokens"] == 64_000
    assert body(ChatRequest("m", (USER,), max_output_tokens=7))["max_tokens"] == 7


def test_a_tool_loop_is_told_in_turns_that_alternate() -> None:
    calls = (ToolCall("t1", "weather", '{"city": "Oslo"}'), ToolCall("t2", "weather", ""))
    thoughts = (ReasoningPart("hmm", "sig"), ReasoningPart("", "opaque", is_redacted=True), ReasoningPart("unsigned"))
    messages = (
        Message.of("system", "Be brief."),
        Message.of("system", "Be kind."),
        USER,
        Message("assistant", (TextPart("I look."),), calls, reasoning=thoughts),
        Message("tool", (TextPart("rain"),), tool_call_id="t1"),
        Message("tool", (TextPart(""),), tool_call_id="t2"),
        Message.of("user", "And now?"),
    )

    built = body(ChatRequest("m", messages, tools=(WEATHER,)))

    assert built["system"] == "Be brief.\n\nBe kind."
    assert [turn["role"] for turn in built["messages"]] == ["user", "assistant", "user"]
    assert built["messages"][1]["content"] == [
        {"type": "thinking", "thinking": "hmm", "signature": "sig"},
        {"type": "redacted_thinking", "data": "opaque"},
        {"type": "text", "text": "I look."},
        {"type": "tool_use", "id": "t1", "name": "weather", "input": {"city": "Oslo"}},
        {"type": "tool_use", "id": "t2", "name": "weather", "input": {}},
    ]
    assert built["messages"][2]["content"] == [
        {"type": "tool_result", "tool_use_id": "t1", "content": "rain"},
        {"type": "tool_result", "tool_use_id": "t2"},
        {"type": "text", "text": "And now?"},
    ]
    assert built["tools"][0]["input_schema"] == WEATHER.parameters


def test_the_prompt_is_cached_up_to_where_the_caller_says() -> None:
    messages = (
        Message("system", (TextPart("Be brief."),), cache_ttl="1h"),
        Message("user", (TextPart("A long text."),), cache_ttl="5m"),
    )
    built = body(ChatRequest("m", messages, tools=(Tool("look", cache_ttl="5m"),)))

    short = {"type": "ephemeral", "ttl": "5m"}
    assert built["system"] == [
        {"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral", "ttl": "1h"}}
    ]
    marked = [{"type": "text", "text": "A long text.", "cache_control": short}]
    assert built["messages"] == [{"role": "user", "content": marked}]
    assert built["tools"][0]["cache_control"] == short


def test_images_and_documents_go_inline_or_by_address() -> None:
    parts = (
        ImagePart("data:image/png;base64,aGk="),
        ImagePart("https://x.test/a.jpg"),
        DocumentPart("data:application/pdf;base64,aGk=", "report.pdf"),
    )

    content = body(ChatRequest("m", (Message("user", parts),)))["messages"][0]["content"]

    assert content == [
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}},
        {"type": "image", "source": {"type": "url", "url": "https://x.test/a.jpg"}},
        {
            "type": "document",
            "source": {"type": "base64", "media_type": "application/pdf", "data": "aGk="},
            "title": "report.pdf",
        },
    ]


@pytest.mark.parametrize(
    ("choice", "parallel", "sent"),
    [
        (None, None, None),
        ("auto", None, {"type": "auto"}),
        ("none", False, {"type": "none"}),
        ("required", None, {"type": "any"}),
        ("weather", False, {"type": "tool", "name": "weather", "disable_parallel_tool_use": True}),
        (None, False, {"type": "auto", "disable_parallel_tool_use": True}),
    ],
)
def test_how_tools_may_be_chosen(choice: str | None, parallel: bool | None, sent: object) -> None:
    request = ChatRequest("m", (USER,), tools=(WEATHER,), tool_choice=choice, parallel_tool_calls=parallel)

    assert body(request).get("tool_choice") == sent


def test_a_schema_and_an_effort_share_the_output_configuration() -> None:
    schema: JsonObject = {"type": "object", "additionalProperties": False}
    request = ChatRequest("m", (USER,), response_format=JsonFormat(schema), reasoning_effort="high")

    built = body(request)

    assert built["output_config"] == {"effort": "high", "format": {"type": "json_schema", "schema": schema}}
    assert built["thinking"] == {"type": "adaptive", "display": "summarized"}


@pytest.mark.parametrize(
    ("model_id", "limit", "thinking"),
    [
        ("claude-sonnet-4-5-20250929", 20_000, {"type": "enabled", "budget_tokens": 8192}),
        ("claude-sonnet-4-0", 2_000, {"type": "enabled", "budget_tokens": 1999}),
        ("claude-sonnet-4-5", 1_000, None),
        ("claude-opus-4-6", 1_000, {"type": "adaptive", "display": "summarized"}),
    ],
)
def test_older_models_think_by_budget_within_the_limit(model_id: str, limit: int, thinking: object) -> None:
    request = ChatRequest("m", (USER,), max_output_tokens=limit, reasoning_effort="medium")

    assert body(request, target(model_id)).get("thinking") == thinking


def test_an_answer_that_is_begun_is_continued() -> None:
    built = body(ChatRequest("m", (USER, Message.of("assistant", "It rains in "))))

    assert built["messages"][-1] == {"role": "assistant", "content": "It rains in"}


def test_what_the_api_cannot_do_is_named() -> None:
    request = ChatRequest("m", (USER,), seed=1, n=2, logprobs=True, frequency_penalty=0.1, temperature=1.5)

    lacks = AnthropicMessages().lacks(request, target())

    assert set(lacks) == {"seed", "n", "logprobs", "frequency_penalty", "temperature"}
    assert AnthropicMessages().lacks(ChatRequest("m", (USER,), temperature=1.0, stop=("x",)), target()) == ()


def test_what_cannot_be_said_at_all_is_refused() -> None:
    broken = Message("assistant", tool_calls=(ToolCall("t", "weather", "{"),))
    for message in (broken, Message("user", (AudioPart("aGk=", "wav"),))):
        with pytest.raises(RejectedError):
            AnthropicMessages().build(ChatRequest("m", (USER, message)), target(), stream=False)
