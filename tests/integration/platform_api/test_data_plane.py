"""/v1 behind a real server, spoken to by the official OpenAI SDK."""

import asyncio
import json
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
from tests.support.upstream import Upstream, running_upstream

MOCK: dict[str, Any] = {
    "faults": [
        {"kind": "status", "status": 500, "match": {"model": "broken"}, "times": None},
        {"kind": "cut", "after_chunks": 2, "match": {"model": "cut"}, "times": None},
        {"kind": "context_length", "match": {"model": "long"}, "times": None},
        {"kind": "rate_limit", "retry_after_s": 99, "match": {"model": "limited"}, "times": None},
    ],
    "replies": [
        {"match": {"model": "json"}, "json": {"n": 4}},
        {"match": {"model": "twice"}, "text": "four, I think", "times": 1},
        {"match": {"model": "twice"}, "json": {"n": 5}},
    ],
}
HI: list[Any] = [{"role": "user", "content": "hi"}]


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    async with running_upstream() as running:
        yield running


@pytest.fixture
async def platform(sqlite_url: str, tmp_path: Path, upstream: Upstream) -> AsyncIterator[Platform]:
    async with running_platform(sqlite_url, tmp_path / "home", MOCK, upstream=upstream.url) as running:
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
async def test_the_sdk_gets_an_answer_and_the_facts_about_it(sdk: openai.AsyncOpenAI) -> None:
    raw = await sdk.chat.completions.with_raw_response.create(model="cheap", messages=HI)
    answer = raw.parse()

    assert answer.choices[0].message.content == "mock answer to: hi"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    facts = {name: raw.headers[f"x-modelbridge-{name}"] for name in ("model", "provider", "attempts", "cache")}
    assert facts == {"model": "mock/echo", "provider": "mock", "attempts": "1", "cache": "off"}
    assert float(raw.headers["x-modelbridge-cost-usd"]) == 0
    assert float(raw.headers["x-modelbridge-overhead-ms"]) < 500
    assert answer.id.endswith(raw.headers["x-modelbridge-call-id"])


@pytest.mark.peer
async def test_the_sdk_streams_text_and_usage(sdk: openai.AsyncOpenAI) -> None:
    stream = await sdk.chat.completions.create(
        model="mock/echo", messages=HI, stream=True, stream_options={"include_usage": True}
    )
    chunks = [chunk async for chunk in stream]
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)

    assert text == "mock answer to: hi"
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens > 0


@pytest.mark.peer
async def test_the_model_in_the_box_answers_as_balanced_through_the_sdk(sqlite_url: str, tmp_path: Path) -> None:
    async with (
        running_platform(sqlite_url, tmp_path / "home", only_local=True) as platform,
        served(platform.app) as address,
        openai.AsyncOpenAI(base_url=f"{address}/v1", api_key=platform.key, max_retries=0) as sdk,
        anthropic.AsyncAnthropic(base_url=address, api_key=platform.key, max_retries=0) as of_anthropic,
    ):
        other: Any = of_anthropic
        stream = await sdk.chat.completions.create(
            model="balanced",
            messages=[{"role": "user", "content": "What is the capital of France?"}],
            max_tokens=24,
            temperature=0,
            stream=True,
        )
        chunks = [chunk async for chunk in stream]
        question = "What is the capital of France?"
        response = await sdk.responses.create(model="balanced", input=question, max_output_tokens=24, temperature=0)
        async with other.messages.stream(
            model="balanced",
            max_tokens=24,
            messages=[{"role": "user", "content": question}],
            extra_body={"temperature": 0},
        ) as events:
            message = await events.get_final_text()

    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert "Paris" in text
    assert response.output_text == message == text
    assert len(chunks) > 3
    assert chunks[0].model == "local/smollm2"


@pytest.mark.peer
@pytest.mark.parametrize(
    ("model", "error", "code"),
    [
        ("mock/broken", openai.InternalServerError, "provider_unavailable"),
        ("mock/long", openai.BadRequestError, "context_length_exceeded"),
        ("mock/limited", openai.RateLimitError, "rate_limit_exceeded"),
        ("no/such-model", openai.NotFoundError, "model_not_found"),
    ],
)
async def test_errors_are_the_sdks_own(
    sdk: openai.AsyncOpenAI, model: str, error: type[openai.APIStatusError], code: str
) -> None:
    with pytest.raises(error) as caught:
        await sdk.chat.completions.create(model=model, messages=HI, timeout=70)

    assert caught.value.code == code


@pytest.mark.peer
async def test_a_stream_that_breaks_ends_in_an_error_and_not_as_if_finished(sdk: openai.AsyncOpenAI) -> None:
    stream = await sdk.chat.completions.create(model="mock/cut", messages=HI, stream=True)
    seen: list[str] = []

    async def read() -> None:
        async for chunk in stream:
            seen.append(chunk.choices[0].delta.content or "")

    with pytest.raises(openai.APIError) as caught:
        await read()

    assert seen
    assert caught.value.code == "stream_interrupted"


@pytest.mark.peer
async def test_a_wrong_key_is_refused_in_the_dialects_shape(address: str) -> None:
    async with openai.AsyncOpenAI(base_url=f"{address}/v1", api_key="mb_live_wrong", max_retries=0) as client:
        with pytest.raises(openai.AuthenticationError) as caught:
            await client.models.list()

    assert caught.value.code == "invalid_api_key"


@pytest.mark.peer
async def test_the_sdk_lists_and_retrieves_models(sdk: openai.AsyncOpenAI) -> None:
    names = [model.id async for model in await sdk.models.list()]

    assert {"balanced", "fastest", "cheap", "acme/paid", "local/smollm2"} <= set(names)
    assert (await sdk.models.retrieve("acme/paid")).owned_by == "acme"


@pytest.mark.peer
@pytest.mark.parametrize("is_stream", [False, True])
async def test_a_client_that_leaves_cancels_the_upstream_call(
    platform: Platform, address: str, upstream: Upstream, is_stream: bool
) -> None:
    upstream.delay_s = 30
    body = {"model": "acme/paid", "messages": HI, "stream": is_stream}
    async with httpx.AsyncClient(headers=bearer(platform.key)) as client:
        asking = asyncio.create_task(client.post(f"{address}/v1/chat/completions", json=body, timeout=60))
        async with asyncio.timeout(5):
            while not upstream.bodies:
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.2)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        await asyncio.wait_for(upstream.left.wait(), timeout=5)
    await asyncio.sleep(0.2)
    usage = (await platform.client.get("/api/billing/usage")).json()

    assert usage["requests"] == 1
    assert usage["cost_usd"] > 0


async def test_nothing_of_the_caller_crosses_to_the_provider(platform: Platform, upstream: Upstream) -> None:
    headers = {"cookie": "session=secret", "x-modelbridge-task": "greeting", "x-api-key": platform.key}
    body = {"model": "acme/paid", "messages": HI, "user": "ann@example.com", "metadata": {"team": "red"}}
    answer = await platform.client.post("/v1/chat/completions", json=body, headers=headers)
    call = (await platform.client.get(f"/api/calls/{answer.headers['x-modelbridge-call-id']}")).json()
    sent = json.dumps([upstream.bodies, upstream.headers])

    assert answer.status_code == 200
    assert platform.key not in sent
    assert "session=secret" not in sent
    assert upstream.headers[0]["Authorization"] == "Bearer upstream-key-1"
    assert call["decision"]["task"] == "greeting"


async def test_a_key_may_be_kept_to_some_models(platform: Platform) -> None:
    from tests.support.platform import new_owner

    tokens, _ = await new_owner(platform.client, "bob@example.com", "Bob")
    made = await platform.client.post(
        "/api/auth/api-keys", json={"name": "k", "models": ["cheap"]}, headers=bearer(tokens)
    )
    headers = bearer(str(made.json()["key"]))
    allowed = await platform.client.post(
        "/v1/chat/completions", json={"model": "cheap", "messages": HI}, headers=headers
    )
    refused = await platform.client.post(
        "/v1/chat/completions", json={"model": "mock/echo", "messages": HI}, headers=headers
    )
    listed = (await platform.client.get("/v1/models", headers=headers)).json()["data"]

    assert allowed.status_code == 200
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "model_not_allowed")
    assert [model["id"] for model in listed] == ["cheap"]


@pytest.mark.parametrize(
    ("request_line", "content", "status", "param"),
    [
        ("POST /v1/chat/completions", b"{", 400, None),
        ("POST /v1/chat/completions", b'{"messages": [{"role": "user", "content": "x"}]}', 400, "model"),
        ("POST /v1/chat/completions", b'{"model": "cheap", "messages": []}', 400, "messages"),
        ("GET /v1/chat/completions", b"", 405, None),
        ("POST /v1/unknown", b"{}", 404, None),
        ("GET /v1/models/none", b"", 404, "model"),
    ],
)
async def test_what_cannot_be_served_is_said_in_the_dialects_shape(
    platform: Platform, request_line: str, content: bytes, status: int, param: str | None
) -> None:
    method, path = request_line.split()
    refused = await platform.client.request(method, path, content=content)

    assert refused.status_code == status
    assert refused.json()["error"]["param"] == param
    assert set(refused.json()["error"]) == {"message", "type", "param", "code"}


async def test_the_native_api_answers_text_json_models_and_health(platform: Platform) -> None:
    schema = {"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}}
    text = await platform.client.post(
        "/api/v1/generate", json={"model": "cheap", "prompt": "hi", "system": "Be brief."}
    )
    made = await platform.client.post(
        "/api/v1/generate-structured", json={"model": "mock/json", "prompt": "hi", "schema": schema}
    )
    again = await platform.client.post(
        "/api/v1/generate-structured", json={"model": "mock/twice", "prompt": "hi", "schema": schema}
    )
    models = (await platform.client.get("/api/v1/models")).json()
    health = (await platform.client.get("/api/v1/health")).json()
    both = await platform.client.post("/api/v1/generate", json={"prompt": "x", "messages": HI})

    assert (text.json()["text"], text.json()["model"]) == ("mock answer to: hi", "mock/echo")
    assert made.status_code == 200, made.text
    assert (made.json()["json"], made.json()["re_asks"]) == ({"n": 4}, 0)
    assert (again.json()["json"], again.json()["re_asks"], again.json()["attempts"]) == ({"n": 5}, 1, 2)
    assert {each["name"]: each["circuit"] for each in models["models"]}["acme/paid"] is None
    assert {alias["name"] for alias in models["aliases"]} >= {"balanced", "cheap"}
    assert {each["provider"]: each["is_on"] for each in health} == {"mock": True, "acme": True, "local": True}
    assert both.status_code == 422
