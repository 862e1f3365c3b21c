"""The mock speaks every dialect, and the bridge reads the same answer and the same failures out of each."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from bridge.call_record import CallContext
from bridge.chat import ChatRequest, ChatResponse, JsonFormat, Message, Tool
from bridge.config import BridgeConfig
from bridge.errors import (
    AttemptTimeoutError,
    BridgeError,
    ContentFilterError,
    ContextLengthError,
    CredentialError,
    MalformedReplyError,
    NotReachedError,
    RateLimitedError,
    StreamInterruptedError,
    UnavailableError,
)
from bridge.gateway import Bridge
from bridge.providers.mock_dialects import MOCK_DIALECTS

DIALECTS = sorted(MOCK_DIALECTS)
CONTEXT = CallContext(org_id="org")
WEATHER = Tool("weather", "Of a city.", {"type": "object", "properties": {"city": {"type": "string"}}})
SCRIPT: dict[str, Any] = {
    "text": "It rains in Oslo today.",
    "reasoning": "Oslo is often wet.",
    "usage": {"input_tokens": 120, "output_tokens": 40, "cached_tokens": 20, "reasoning_tokens": 10},
}
CAN = ["chat", "stream", "tools", "json_schema", "json_object", "reasoning"]


def bridge(dialect: str, **options: object) -> Bridge:
    return Bridge(
        BridgeConfig.parse(
            {
                "providers": {"acme": {"dialect": dialect, "base_url": "mock://acme", "options": options}},
                "models": {"acme/m": {"capabilities": CAN, "context_window": 100_000}},
                "retry": {"max_per_target": 1, "deadline_s": 0.3},
                "streams": {"ttft_s": 0.1, "idle_s": 0.1},
            }
        )
    )


def request(**fields: Any) -> ChatRequest:
    return ChatRequest("acme/m", (Message.of("system", "Be brief."), Message.of("user", "Weather?")), **fields)


async def asked(dialect: str, *, stream: bool, options: Mapping[str, object], **fields: Any) -> ChatResponse:
    """The answer, whole or folded from its stream."""
    caller = bridge(dialect, **options)
    try:
        if not stream:
            return (await caller.chat(request(**fields), CONTEXT)).response
        answer = caller.stream(request(**fields), CONTEXT)
        async for _ in answer:
            pass
        return answer.result.response
    finally:
        await caller.aclose()


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("dialect", DIALECTS)
async def test_text_reasoning_and_usage_come_out_equal(dialect: str, stream: bool) -> None:
    answer = await asked(dialect, stream=stream, options={"replies": [SCRIPT]})

    assert (answer.text, answer.reasoning, answer.finish_reason) == (SCRIPT["text"], SCRIPT["reasoning"], "stop")
    assert answer.usage is not None
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (120, 40)
    if dialect != "ollama":  # it counts neither cached tokens nor reasoning
        assert (answer.usage.cached_tokens, answer.usage.reasoning_tokens) == (20, 10)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("dialect", DIALECTS)
async def test_parallel_tool_calls_come_out_equal(dialect: str, stream: bool) -> None:
    calls = [{"name": "weather", "arguments": {"city": city}} for city in ("Oslo", "Rome")]

    answer = await asked(dialect, stream=stream, options={"replies": [{"tool_calls": calls}]}, tools=(WEATHER,))

    assert [(call.name, call.arguments.replace(" ", "")) for call in answer.tool_calls] == [
        ("weather", '{"city":"Oslo"}'),
        ("weather", '{"city":"Rome"}'),
    ]
    assert answer.finish_reason == "tool_calls"
    assert len({call.id for call in answer.tool_calls}) == 2


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_a_schema_is_asked_for_in_the_dialects_own_way(dialect: str) -> None:
    schema = {
        "type": "object",
        "properties": {"n": {"type": "integer"}},
        "required": ["n"],
        "additionalProperties": False,
    }
    caller = bridge(dialect)

    result = await caller.chat(request(response_format=JsonFormat(schema)), CONTEXT)

    assert isinstance(result.parsed, dict)
    assert isinstance(result.parsed["n"], int)
    await caller.aclose()


@pytest.mark.parametrize("dialect", ["openai", "anthropic", "gemini", "cohere"])
@pytest.mark.parametrize("choice", ["required", "weather"])
async def test_a_forced_tool_is_called(dialect: str, choice: str) -> None:
    answer = await asked(dialect, stream=False, options={}, tools=(WEATHER,), tool_choice=choice)

    assert [call.name for call in answer.tool_calls] == ["weather"]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("dialect", DIALECTS)
async def test_an_output_limit_cuts_the_answer(dialect: str, stream: bool) -> None:
    answer = await asked(dialect, stream=stream, options={"default_text": "word " * 50}, max_output_tokens=5)

    assert answer.finish_reason == "length"
    assert len(answer.text) == 20


FAULTS: dict[str, tuple[type[BridgeError], ...]] = {
    "rate_limit": (RateLimitedError,),
    "status": (UnavailableError,),
    "auth": (CredentialError,),
    "content_filter": (ContentFilterError,),
    "context_length": (ContextLengthError,),
    "refused": (NotReachedError,),
    "reset": (UnavailableError,),
    "hang": (AttemptTimeoutError,),
    "slow_first_token": (AttemptTimeoutError,),
    "malformed": (MalformedReplyError, StreamInterruptedError),
}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("kind", sorted(FAULTS))
@pytest.mark.parametrize("dialect", DIALECTS)
async def test_a_fault_is_the_same_error_in_every_dialect(dialect: str, kind: str, stream: bool) -> None:
    faults = [{"kind": kind, "times": None, "seconds": 5}]

    async with asyncio.timeout(5):
        with pytest.raises(FAULTS[kind]):
            await asked(dialect, stream=stream, options={"faults": faults})


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_a_stream_without_a_finish_reason_is_no_success(dialect: str) -> None:
    with pytest.raises(StreamInterruptedError):
        await asked(dialect, stream=True, options={"faults": [{"kind": "no_finish"}]})


@pytest.mark.parametrize("kind", ["cut", "stall"])
@pytest.mark.parametrize("dialect", DIALECTS)
async def test_a_stream_that_dies_in_the_middle_never_looks_finished(dialect: str, kind: str) -> None:
    faults = [{"kind": kind, "times": None, "after_chunks": 3, "seconds": 5}]
    caller = bridge(dialect, faults=faults, default_text="one two three four five six")
    seen: list[str] = []

    async def listen() -> None:
        async for chunk in caller.stream(request(), CONTEXT):
            seen.append(chunk.text)

    async with asyncio.timeout(5):
        with pytest.raises(StreamInterruptedError):
            await listen()

    assert "".join(seen) == "one two three "
    await caller.aclose()


@pytest.mark.parametrize("kind", ["no_done", "no_usage", "absurd_usage"])
@pytest.mark.parametrize("dialect", DIALECTS)
async def test_a_missing_end_mark_or_usage_does_no_harm(dialect: str, kind: str) -> None:
    answer = await asked(dialect, stream=True, options={"faults": [{"kind": kind, "times": None}]})

    assert answer.finish_reason == "stop"
    assert answer.usage is not None
    assert answer.usage.is_estimated == (kind != "no_done")
