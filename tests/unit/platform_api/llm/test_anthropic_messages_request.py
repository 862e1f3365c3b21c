import json

import pytest

from bridge.chat import DocumentPart, ImagePart, Message, ReasoningPart, TextPart, ToolCall
from platform_api.llm.anthropic_messages_request import read_body, to_request
from platform_api.llm.client_dialect import InvalidRequestError

DOCUMENT = {"type": "document", "source": {"type": "text", "data": "x"}}


def body(**fields: object) -> bytes:
    asked = {"model": "balanced", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}], **fields}
    return json.dumps({name: value for name, value in asked.items() if value is not None}).encode()


def test_system_turns_and_tool_results_become_messages() -> None:
    cached = {"type": "ephemeral"}
    raw = body(
        system=[{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral", "ttl": "1h"}}],
        messages=[
            {
                "role": "user",
                "content": [
                    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
                    {"type": "document", "source": {"type": "url", "url": "https://x/y.pdf"}, "title": "Y"},
                    {"type": "text", "text": "Look.", "cache_control": cached},
                ],
            },
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "hm", "signature": "s1"},
                    {"type": "redacted_thinking", "data": "r1"},
                    {"type": "text", "text": "I look."},
                    {"type": "tool_use", "id": "t1", "name": "look", "input": {"a": 1}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "And?"},
                    {"type": "tool_result", "tool_use_id": "t1", "content": "blind", "is_error": True},
                ],
            },
        ],
    )
    request = to_request(read_body(raw))

    assert request.messages == (
        Message("system", (TextPart("Be brief."),), cache_ttl="1h"),
        Message(
            "user",
            (ImagePart("data:image/png;base64,AAAA"), DocumentPart("https://x/y.pdf", "Y"), TextPart("Look.")),
            cache_ttl="5m",
        ),
        Message(
            "assistant",
            (TextPart("I look."),),
            tool_calls=(ToolCall("t1", "look", '{"a": 1}'),),
            reasoning=(ReasoningPart("hm", "s1"), ReasoningPart("", "r1", is_redacted=True)),
        ),
        Message("tool", (TextPart("The tool failed: "), TextPart("blind")), tool_call_id="t1"),
        Message("user", (TextPart("And?"),)),
    )


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ({"type": "any", "disable_parallel_tool_use": True}, ("required", False)),
        ({"type": "tool", "name": "look"}, ("look", None)),
        ({"type": "none"}, ("none", None)),
    ],
)
def test_a_tool_choice_is_read(choice: dict[str, object], expected: tuple[str, bool | None]) -> None:
    tool = {"name": "look", "input_schema": {"type": "object"}, "cache_control": {"type": "ephemeral"}}
    request = to_request(read_body(body(tools=[tool], tool_choice=choice)))

    assert (request.tool_choice, request.parallel_tool_calls) == expected
    assert (request.tools[0].name, request.tools[0].cache_ttl) == ("look", "5m")


@pytest.mark.parametrize(
    ("fields", "effort"),
    [
        ({}, None),
        ({"thinking": {"type": "disabled"}}, "none"),
        ({"thinking": {"type": "enabled", "budget_tokens": 2000}}, "low"),
        ({"thinking": {"type": "enabled", "budget_tokens": 10_000}}, "high"),
        ({"thinking": {"type": "enabled", "budget_tokens": 90_000}}, "max"),
        ({"thinking": {"type": "adaptive"}}, "high"),
        ({"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}}, "low"),
    ],
)
def test_thinking_is_an_effort(fields: dict[str, object], effort: str | None) -> None:
    assert to_request(read_body(body(**fields))).reasoning_effort == effort


@pytest.mark.parametrize(
    ("raw", "param"),
    [
        (b"{", None),
        (b"[" * 100_000, None),
        (body(max_tokens=None), "max_tokens"),
        (body(max_tokens=0), "max_tokens"),
        (body(messages=[]), "messages"),
        (body(messages=[{"role": "robot", "content": "x"}]), "messages[0].role"),
        (body(messages=[{"role": "user", "content": [{"type": "smell"}]}]), "messages[0].content[0].type"),
        (body(tools=[{"type": "bash_20250124", "name": "bash"}]), "tools[0].type"),
        (body(tools=[{"name": "look"}]), "tools[0].input_schema"),
        (body(tool_choice={"type": "tool"}), "tool_choice.name"),
        (body(tool_choice={"type": "tool", "name": "look"}), "tool_choice.name"),
        (body(thinking={"type": "enabled"}), "thinking.budget_tokens"),
        (body(mcp_servers=[{"type": "url", "url": "https://x", "name": "x"}]), "mcp_servers"),
        (
            body(messages=[{"role": "user", "content": [{**DOCUMENT, "citations": {"enabled": True}}]}]),
            "messages[0].content[0].citations",
        ),
        (
            body(messages=[{"role": "user", "content": [{**DOCUMENT, "context": "old"}]}]),
            "messages[0].content[0].context",
        ),
    ],
)
def test_a_bad_body_names_the_field(raw: bytes, param: str | None) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        to_request(read_body(raw))

    assert caught.value.param == param
