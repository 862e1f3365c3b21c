"""/v1/messages behind a real server, spoken to by the official Anthropic SDK, on providers of every dialect."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anthropic
import httpx
import pytest

from tests.support.api import bearer
from tests.support.gateway import DIALECTS, Gateway, running_gateway

Sdk = Any
"""An anthropic.AsyncAnthropic: its overloads take no parameters that a test makes up."""
HI: list[Any] = [{"role": "user", "content": "hi"}]
WEATHER: dict[str, Any] = {
    "name": "weather",
    "description": "The weather of a city.",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
LENIENT = {"x-modelbridge-drop-unsupported": "true"}


@pytest.fixture
async def gateway(sqlite_url: str, tmp_path: Path) -> AsyncIterator[Gateway]:
    async with running_gateway(sqlite_url, tmp_path / "home") as running:
        yield running


@pytest.fixture
async def sdk(gateway: Gateway) -> AsyncIterator[anthropic.AsyncAnthropic]:
    async with anthropic.AsyncAnthropic(base_url=gateway.address, api_key=gateway.key, max_retries=0) as client:
        yield client


@pytest.mark.peer
@pytest.mark.parametrize("dialect", DIALECTS)
async def test_a_message_from_every_dialect_whole_and_streamed(sdk: Sdk, dialect: str) -> None:
    asked: dict[str, Any] = {"model": f"p_{dialect}/echo", "max_tokens": 100, "messages": HI, "system": "Be brief."}
    whole = await sdk.messages.create(**asked)
    async with sdk.messages.stream(**asked) as stream:
        pieces = [text async for text in stream.text_stream]
        streamed = await stream.get_final_message()

    assert whole.content[0].type == "text"
    assert whole.content[0].text == "".join(pieces) == "mock answer to: hi"
    assert [block.model_dump() for block in streamed.content] == [block.model_dump() for block in whole.content]
    assert (whole.stop_reason, streamed.stop_reason) == ("end_turn", "end_turn")
    assert whole.usage.input_tokens > 0
    assert (streamed.usage.input_tokens, streamed.usage.output_tokens) == (
        whole.usage.input_tokens,
        whole.usage.output_tokens,
    )
    assert len(pieces) > 1


@pytest.mark.peer
@pytest.mark.parametrize("dialect", [one for one in DIALECTS if one != "ollama"])
async def test_a_tool_is_called_and_its_result_read_in_every_dialect(sdk: Sdk, dialect: str) -> None:
    asked: dict[str, Any] = {
        "model": f"p_{dialect}/echo",
        "max_tokens": 100,
        "tools": [WEATHER],
        "tool_choice": {"type": "any"},
    }
    messages: list[Any] = [{"role": "user", "content": "Weather in Oslo?"}]
    whole = await sdk.messages.create(**asked, messages=messages)
    async with sdk.messages.stream(**asked, messages=messages) as stream:
        streamed = await stream.get_final_message()

    assert whole.stop_reason == streamed.stop_reason == "tool_use"
    called, again = whole.content[-1], streamed.content[-1]
    assert called.type == again.type == "tool_use"
    assert called.name == "weather"
    assert isinstance(called.input, dict)
    assert called.input == again.input
    messages.append({"role": "assistant", "content": [block.model_dump() for block in whole.content]})
    result = {"type": "tool_result", "tool_use_id": called.id, "content": [{"type": "text", "text": "rain, 4 C"}]}
    messages.append({"role": "user", "content": [result, {"type": "text", "text": "And so?"}]})
    answer = await sdk.messages.create(**{**asked, "tool_choice": {"type": "none"}}, messages=messages)

    assert answer.stop_reason == "end_turn"
    assert answer.content[0].type == "text"


@pytest.mark.peer
@pytest.mark.parametrize("dialect", DIALECTS)
async def test_an_answer_keeps_to_a_schema(sdk: Sdk, dialect: str) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    answer = await sdk.messages.create(
        model=f"p_{dialect}/echo",
        max_tokens=100,
        messages=HI,
        output_config={"format": {"type": "json_schema", "schema": schema}},
    )

    assert answer.content[0].type == "text"
    assert isinstance(json.loads(answer.content[0].text)["n"], int)


@pytest.mark.peer
async def test_the_answer_tells_who_gave_it(sdk: Sdk) -> None:
    raw = await sdk.messages.with_raw_response.create(model="p_gemini/echo", max_tokens=9, messages=HI)
    answer = await raw.parse()

    assert raw.headers["x-modelbridge-model"] == answer.model == "p_gemini/echo"
    assert float(raw.headers["x-modelbridge-cost-usd"]) > 0
    assert raw.headers["request-id"] == raw.headers["x-request-id"]
    assert answer.id == f"msg_{raw.headers['x-modelbridge-call-id']}"


@pytest.mark.peer
@pytest.mark.parametrize(
    ("asked", "kind", "said"),
    [
        ({"model": "nobody/m"}, anthropic.NotFoundError, "nobody/m"),
        ({"max_tokens": 0}, anthropic.BadRequestError, "max_tokens"),
        ({"messages": []}, anthropic.BadRequestError, "messages"),
        ({"messages": [{"role": "user", "content": [{"type": "smell"}]}]}, anthropic.BadRequestError, "content"),
        ({"extra_body": {"temperature": "hot"}}, anthropic.BadRequestError, "temperature"),
        (
            {"tools": [{"type": "web_search_20250305", "name": "web_search"}]},
            anthropic.BadRequestError,
            "tools[0].type",
        ),
        ({"model": "p_openai/broken"}, anthropic.InternalServerError, "p_openai/broken"),
        ({"model": "p_openai/long"}, anthropic.BadRequestError, "context"),
        (
            {"model": "p_ollama/echo", "tools": [WEATHER], "tool_choice": {"type": "any"}},
            anthropic.BadRequestError,
            "tool_choice",
        ),
        ({"extra_body": {"top_k": 5}}, anthropic.BadRequestError, "top_k"),
    ],
)
async def test_errors_are_the_sdks_own_and_name_what_is_wrong(
    sdk: Sdk, asked: dict[str, Any], kind: type[anthropic.APIStatusError], said: str
) -> None:
    with pytest.raises(kind) as caught:
        await sdk.messages.create(**{"model": "p_openai/echo", "max_tokens": 9, "messages": HI, **asked})

    body: Any = caught.value.body
    assert body["type"] == "error"
    assert said in body["error"]["message"]
    assert caught.value.request_id


@pytest.mark.peer
async def test_a_caller_may_let_fields_go(sdk: Sdk) -> None:
    answer = await sdk.messages.create(
        model="p_openai/echo",
        max_tokens=9,
        messages=HI,
        extra_body={"top_k": 5},
        extra_headers=LENIENT,
    )

    assert answer.stop_reason in {"end_turn", "max_tokens"}


@pytest.mark.peer
async def test_a_stream_that_breaks_ends_in_an_error(sdk: Sdk) -> None:
    async with sdk.messages.stream(model="p_openai/cut", max_tokens=99, messages=HI) as stream:
        with pytest.raises(anthropic.APIStatusError) as caught:
            await stream.get_final_message()

    body: Any = caught.value.body
    assert body["error"]["type"] == "api_error"


@pytest.mark.peer
async def test_without_a_key_nothing_is_said(gateway: Gateway) -> None:
    async with anthropic.AsyncAnthropic(base_url=gateway.address, api_key="mb_live_wrong", max_retries=0) as client:
        with pytest.raises(anthropic.AuthenticationError):
            await client.messages.create(model="p_openai/echo", max_tokens=9, messages=HI)


@pytest.mark.peer
async def test_tokens_are_counted_and_models_listed(sdk: Sdk) -> None:
    short = await sdk.messages.count_tokens(model="p_openai/echo", messages=HI)
    long = await sdk.messages.count_tokens(
        model="p_openai/echo", messages=[{"role": "user", "content": "word " * 400}], tools=[WEATHER]
    )
    listed = [model.id async for model in sdk.models.list()]
    one = await sdk.models.retrieve("p_cohere/echo")

    assert 0 < short.input_tokens < 20
    assert 400 < long.input_tokens < 800
    assert {"balanced", "p_openai/echo"} <= set(listed)
    assert (one.id, one.type, one.display_name) == ("p_cohere/echo", "model", "p_cohere/echo")
    with pytest.raises(anthropic.NotFoundError):
        await sdk.models.retrieve("p_cohere/none")


@pytest.mark.peer
async def test_too_large_a_body_is_told_in_the_dialects_words(gateway: Gateway) -> None:
    async with httpx.AsyncClient(base_url=gateway.address, headers=bearer(gateway.key)) as client:
        reply = await client.post("/v1/messages", content=b" " * (10 * 1024 * 1024 + 1))

    assert reply.status_code == 413
    assert reply.json()["error"]["type"] == "request_too_large"
