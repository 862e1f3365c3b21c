"""/v1/responses, /v1/embeddings and chat completions, spoken to by the official OpenAI SDK, on every dialect."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from pydantic import BaseModel

from tests.support.api import bearer
from tests.support.gateway import DIALECTS, Gateway, running_gateway

Sdk = Any
"""An openai.AsyncOpenAI: its overloads take no parameters that a test makes up."""
FORCED = [one for one in DIALECTS if one != "ollama"]
"""Dialects in which a model can be made to call a tool."""
HI: list[Any] = [{"role": "user", "content": "hi"}]
SCHEMA: dict[str, Any] = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER: dict[str, Any] = {"type": "function", "name": "weather", "parameters": SCHEMA, "strict": False}


class City(BaseModel):
    city: str


@pytest.fixture
async def gateway(sqlite_url: str, tmp_path: Path) -> AsyncIterator[Gateway]:
    async with running_gateway(sqlite_url, tmp_path / "home") as running:
        yield running


@pytest.fixture
async def sdk(gateway: Gateway) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=f"{gateway.address}/v1", api_key=gateway.key, max_retries=0) as client:
        yield client


@pytest.mark.peer
@pytest.mark.parametrize("dialect", DIALECTS)
async def test_a_response_from_every_dialect_whole_and_streamed(sdk: Sdk, dialect: str) -> None:
    asked: dict[str, Any] = {"model": f"p_{dialect}/echo", "input": "hi", "instructions": "Be brief."}
    whole = await sdk.responses.create(**asked)
    async with sdk.responses.stream(**asked) as stream:
        events = [event async for event in stream]
        streamed = await stream.get_final_response()

    assert whole.output_text == streamed.output_text == "mock answer to: hi"
    assert (whole.status, streamed.status) == ("completed", "completed")
    assert whole.usage is not None
    assert whole.usage.total_tokens == streamed.usage.total_tokens > 0
    assert [event.sequence_number for event in events] == list(range(len(events)))
    kinds = [event.type for event in events]
    assert kinds[:4] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
    ]
    assert kinds[-4:] == [
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]


@pytest.mark.peer
@pytest.mark.parametrize("dialect", FORCED)
async def test_a_responses_tool_loop_in_every_dialect(sdk: Sdk, dialect: str) -> None:
    asked: dict[str, Any] = {"model": f"p_{dialect}/echo", "tools": [WEATHER]}
    said: list[Any] = [{"role": "user", "content": "Weather in Oslo?"}]
    whole = await sdk.responses.create(**asked, input=said, tool_choice="required")
    async with sdk.responses.stream(**asked, input=said, tool_choice="required") as stream:
        streamed = await stream.get_final_response()

    called, again = whole.output[-1], streamed.output[-1]
    assert (called.type, called.name) == (again.type, again.name) == ("function_call", "weather")
    assert json.loads(called.arguments) == json.loads(again.arguments)
    said += [item.model_dump(exclude_none=True) for item in whole.output]
    said.append({"type": "function_call_output", "call_id": called.call_id, "output": "rain, 4 C"})
    answer = await sdk.responses.create(**asked, input=said, tool_choice="none")

    assert answer.output_text


@pytest.mark.peer
@pytest.mark.parametrize("dialect", DIALECTS)
async def test_parsed_answers_in_every_dialect(sdk: Sdk, dialect: str) -> None:
    model = f"p_{dialect}/echo"
    response = await sdk.responses.parse(model=model, input="hi", text_format=City)
    completion = await sdk.chat.completions.parse(model=model, messages=HI, response_format=City)

    assert isinstance(response.output_parsed, City)
    assert isinstance(completion.choices[0].message.parsed, City)


@pytest.mark.peer
@pytest.mark.parametrize("dialect", FORCED)
async def test_chat_streams_text_and_tools_in_every_dialect(sdk: Sdk, dialect: str) -> None:
    model = f"p_{dialect}/echo"
    async with sdk.chat.completions.stream(model=model, messages=HI) as stream:
        said = await stream.get_final_completion()
    tool = {"type": "function", "function": {"name": "weather", "parameters": SCHEMA}}
    async with sdk.chat.completions.stream(model=model, messages=HI, tools=[tool], tool_choice="required") as stream:
        called = await stream.get_final_completion()

    assert said.choices[0].message.content == "mock answer to: hi"
    assert called.choices[0].finish_reason == "tool_calls"
    assert called.choices[0].message.tool_calls[0].function.name == "weather"


@pytest.mark.peer
async def test_a_response_that_ran_out_of_room_is_incomplete(sdk: Sdk) -> None:
    whole = await sdk.responses.create(model="p_openai/echo", input="hi", max_output_tokens=1)

    assert whole.status == "incomplete"
    assert whole.incomplete_details.reason == "max_output_tokens"


@pytest.mark.peer
async def test_a_response_that_breaks_ends_in_an_error(sdk: Sdk) -> None:
    stream = await sdk.responses.create(model="p_openai/cut", input="hi", stream=True)
    with pytest.raises(openai.APIError) as caught:
        [event async for event in stream]

    assert caught.value.code == "stream_interrupted"


@pytest.mark.peer
@pytest.mark.parametrize(
    ("asked", "param"),
    [
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"background": True}, "background"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
        ({"input": [{"type": "item_reference", "id": "x"}]}, "input[0].type"),
        ({"input": [{"role": "user", "content": [{"type": "input_file", "file_id": "f"}]}]}, "input[0].content[0]"),
        ({"input": ""}, "input"),
        ({"model": "nobody/m"}, "model"),
    ],
)
async def test_what_a_response_cannot_have_is_refused_by_name(sdk: Sdk, asked: dict[str, Any], param: str) -> None:
    with pytest.raises((openai.BadRequestError, openai.NotFoundError)) as caught:
        await sdk.responses.create(**{"model": "p_openai/echo", "input": "hi", **asked})

    assert caught.value.param == param


@pytest.mark.peer
async def test_embeddings_as_numbers_and_packed_are_the_same(sdk: Sdk, gateway: Gateway) -> None:
    packed = await sdk.embeddings.create(model="local/wordllama", input=["ice floats", "fire burns"])
    plain = await sdk.embeddings.create(model="local/wordllama", input=["ice floats"], encoding_format="float")

    assert [item.index for item in packed.data] == [0, 1]
    assert packed.data[0].embedding == pytest.approx(plain.data[0].embedding, abs=1e-6)
    assert len(plain.data[0].embedding) == 256
    assert packed.usage.total_tokens > 0
    async with httpx.AsyncClient(base_url=gateway.address, headers=bearer(gateway.key)) as client:
        reply = await client.post("/v1/embeddings", json={"model": "local/wordllama", "input": "x"})
    assert reply.headers["x-modelbridge-model"] == "local/wordllama"


@pytest.mark.peer
@pytest.mark.parametrize("given", [[], [[1, 2, 3]], ["a", ""], [7]])
async def test_what_cannot_be_embedded_is_refused(sdk: Sdk, given: Any) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        await sdk.embeddings.create(model="local/wordllama", input=given)

    assert caught.value.param == "input"


@pytest.mark.peer
@pytest.mark.parametrize("path", ["chat/completions", "responses", "embeddings", "messages"])
@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"\xff\xfe", b'"' * 9, b"[" * 100_000, b'{"model": 3}'])
async def test_nonsense_is_a_bad_request_in_the_dialects_shape(gateway: Gateway, path: str, raw: bytes) -> None:
    async with httpx.AsyncClient(base_url=gateway.address, headers=bearer(gateway.key)) as client:
        reply = await client.post(f"/v1/{path}", content=raw)

    assert reply.status_code == 400
    assert reply.json()["error"]["type"] == "invalid_request_error"


@pytest.mark.peer
@pytest.mark.parametrize("path", ["chat/completions", "responses", "embeddings"])
async def test_too_large_a_body_is_refused_whether_it_says_so_or_not(gateway: Gateway, path: str) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(11):
            yield b" " * (1024 * 1024)

    async with httpx.AsyncClient(base_url=gateway.address, headers=bearer(gateway.key)) as client:
        announced = await client.post(f"/v1/{path}", content=b" " * (10 * 1024 * 1024 + 1))
        hidden = await client.post(f"/v1/{path}", content=pieces())

    assert (announced.status_code, hidden.status_code) == (413, 413)
    assert hidden.json()["error"]["code"] == "too_large"
