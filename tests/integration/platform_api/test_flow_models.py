"""`model: flow/NAME`: published flows answer the official SDKs."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anthropic
import httpx
import openai
import pytest

from tests.support.api import bearer
from tests.support.platform import Platform, running_platform
from tests.support.served import served

Sdk = Any
"""An openai.AsyncOpenAI: its overloads take no parameters that a test makes up."""
HI: list[Any] = [{"role": "user", "content": "hi"}]
HANGS: dict[str, Any] = {"faults": [{"kind": "hang", "match": {"model": "slow"}, "times": None}]}
ECHO = """
flow: echo
spec: 1
inputs:
  message: {type: string}
  tone: {type: string, default: calm}
nodes:
  draft:
    type: llm
    with:
      model: mock/echo
      prompt: "{{ tone }}: {{ message }}"
      vars: {tone: "${{ inputs.tone }}", message: "${{ inputs.message }}"}
      max_tokens: 50
outputs:
  text: ${{ nodes.draft.output.text }}
"""
PAIR = """
flow: pair
spec: 1
inputs:
  question: {type: string}
  history: {type: array, items: {type: object}, default: []}
nodes:
  seen: {type: transform, with: {map: {n: size(inputs.history), asked: inputs.question}}}
outputs:
  n: ${{ nodes.seen.output.n }}
  asked: ${{ nodes.seen.output.asked }}
"""
BROKEN = """
flow: broken
spec: 1
inputs:
  message: {type: string}
nodes:
  stop: {type: fail, with: {message: it cannot be}}
"""


@pytest.fixture
async def platform(sqlite_url: str, tmp_path: Path) -> AsyncIterator[Platform]:
    async with running_platform(sqlite_url, tmp_path / "home", HANGS) as running:
        yield running


@pytest.fixture
async def address(platform: Platform) -> AsyncIterator[str]:
    async with served(platform.app) as address:
        yield address


@pytest.fixture
async def sdk(platform: Platform, address: str) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=f"{address}/v1", api_key=platform.key, max_retries=0) as client:
        yield client


@pytest.mark.peer
async def test_a_flow_answers_a_chat_and_its_run_is_recorded(platform: Platform, sdk: Sdk) -> None:
    await platform.publish(ECHO)
    raw = await sdk.chat.completions.with_raw_response.create(
        model="flow/echo", messages=HI, extra_headers={"x-modelbridge-inputs": '{"tone": "loud"}'}
    )
    answer = raw.parse()
    run = (await platform.client.get(f"/api/runs/{raw.headers['x-modelbridge-run-id']}")).json()

    assert answer.choices[0].message.content == "mock answer to: loud: hi"
    assert (answer.model, raw.headers["x-modelbridge-provider"]) == ("flow/echo", "flow")
    assert answer.usage.total_tokens > 0
    assert (run["status"], run["inputs"]) == ("succeeded", {"message": "hi", "tone": "loud"})
    assert float(raw.headers["x-modelbridge-cost-usd"]) == 0
    assert "flow/echo" in [model.id async for model in sdk.models.list()]


@pytest.mark.peer
async def test_steps_are_told_in_comments_before_the_streamed_answer(
    platform: Platform, address: str, sdk: Sdk
) -> None:
    await platform.publish(ECHO)
    stream = await sdk.chat.completions.create(model="flow/echo", messages=HI, stream=True)
    text = "".join([chunk.choices[0].delta.content or "" async for chunk in stream])
    async with httpx.AsyncClient(base_url=address, headers=bearer(platform.key), timeout=30) as client:
        reply = await client.post("/v1/chat/completions", json={"model": "flow/echo", "messages": HI, "stream": True})

    assert text == "mock answer to: calm: hi"
    comments = [line for line in reply.text.split("\n\n") if line.startswith(": step")]
    assert comments[-1] == ": step draft succeeded"
    assert reply.text.endswith("data: [DONE]\n\n")


@pytest.mark.peer
async def test_a_flow_answers_in_the_other_dialects_too(platform: Platform, address: str, sdk: Sdk) -> None:
    await platform.publish(ECHO)
    async with anthropic.AsyncAnthropic(base_url=address, api_key=platform.key) as client:
        message = await client.messages.create(model="flow/echo", max_tokens=99, messages=HI)
        async with client.messages.stream(model="flow/echo", max_tokens=99, messages=HI) as stream:
            streamed = await stream.get_final_text()
    response = await sdk.responses.create(model="flow/echo", input="hi")
    async with sdk.responses.stream(model="flow/echo", input="hi") as events:
        again = (await events.get_final_response()).output_text

    assert message.content[0].type == "text"
    assert message.content[0].text == streamed == response.output_text == again == "mock answer to: calm: hi"


@pytest.mark.peer
@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("/v1/responses", {"input": "hi"}),
        ("/v1/messages", {"max_tokens": 9, "messages": HI}),
    ],
)
async def test_steps_are_told_and_failures_end_the_stream_in_every_dialect(
    platform: Platform, address: str, path: str, asked: dict[str, Any]
) -> None:
    await platform.publish(ECHO)
    await platform.publish(BROKEN)
    async with httpx.AsyncClient(base_url=address, headers=bearer(platform.key), timeout=30) as client:
        good = await client.post(path, json={**asked, "model": "flow/echo", "stream": True})
        bad = await client.post(path, json={**asked, "model": "flow/broken", "stream": True})

    assert ": step draft succeeded\n\nevent: " in good.text
    assert "event: error" not in good.text
    last = bad.text.strip().split("\n\n")[-1]
    assert last.startswith("event: error\ndata: ")
    assert "it cannot be" in last


@pytest.mark.peer
async def test_earlier_turns_and_several_outputs(platform: Platform, sdk: Sdk) -> None:
    await platform.publish(PAIR)
    turns: list[Any] = [*HI, {"role": "assistant", "content": "hello"}, {"role": "user", "content": "and?"}]
    answer = await sdk.chat.completions.create(model="flow/pair", messages=turns)

    assert answer.choices[0].message.content == '{"n": 2, "asked": "and?"}'


@pytest.mark.peer
async def test_what_is_wrong_is_said_in_the_dialects_shape(platform: Platform, sdk: Sdk) -> None:
    await platform.publish(BROKEN)
    await platform.publish(ECHO)
    with pytest.raises(openai.NotFoundError):
        await sdk.chat.completions.create(model="flow/none", messages=HI)
    with pytest.raises(openai.InternalServerError, match="it cannot be"):
        await sdk.chat.completions.create(model="flow/broken", messages=HI)
    with pytest.raises(openai.BadRequestError, match="tone"):
        await sdk.chat.completions.create(
            model="flow/echo", messages=HI, extra_headers={"x-modelbridge-inputs": '{"tone": 7}'}
        )
    with pytest.raises(openai.BadRequestError, match="JSON object"):
        await sdk.chat.completions.create(model="flow/echo", messages=HI, extra_headers={"x-modelbridge-inputs": "[]"})
    broken = await sdk.chat.completions.create(model="flow/broken", messages=HI, stream=True)
    with pytest.raises(openai.APIError, match="it cannot be"):
        [chunk async for chunk in broken]


@pytest.mark.peer
@pytest.mark.parametrize("is_stream", [False, True])
async def test_a_client_that_leaves_cancels_the_run(platform: Platform, address: str, *, is_stream: bool) -> None:
    await platform.publish(ECHO.replace("mock/echo", "mock/slow"))
    async with httpx.AsyncClient(base_url=address, headers=bearer(platform.key)) as client:
        with pytest.raises(httpx.ReadTimeout):
            await client.post(
                "/v1/chat/completions", json={"model": "flow/echo", "messages": HI, "stream": is_stream}, timeout=1.0
            )
    runs: list[Any] = []
    for _ in range(100):
        runs = (await platform.client.get("/api/runs")).json()["items"]
        if runs[0]["status"] == "cancelled":
            break
        await asyncio.sleep(0.1)

    assert [run["status"] for run in runs] == ["cancelled"]
