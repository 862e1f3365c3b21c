"""The real model in the box: chat, stream, JSON by schema, cancellation, too long a prompt."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

import jsonschema
import pytest
import pytest_asyncio

from bridge.attempt import AttemptLimits, AttemptRunner
from bridge.chat import JsonFormat
from bridge.clock import SystemClock
from bridge.errors import ContextLengthError, RejectedError
from bridge.providers.local_llama import LocalOptions, LocalTransport, start_server
from bridge.streaming import fold
from tests.support.wire import asking, deployment, runner_over

pytestmark = [pytest.mark.peer, pytest.mark.asyncio(loop_scope="module")]

TARGET = deployment("local", base_url="local://llama", api_key=None, context_window=2_048)
LIMITS = AttemptLimits(total_s=60, ttft_s=60, idle_s=30)
QUESTION = asking("What is the capital of France?", max_output_tokens=24, temperature=0.0, seed=1)


@dataclass
class Model:
    transport: LocalTransport
    runner: AttemptRunner


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def model() -> AsyncIterator[Model]:
    transport = LocalTransport({"n_ctx": 2_048, "slots": 2})
    yield Model(transport, runner_over(transport, SystemClock(), "local"))
    await transport.aclose()


async def test_it_answers_a_question(model: Model) -> None:
    attempted = await model.runner.complete(QUESTION, TARGET, LIMITS)

    assert "Paris" in attempted.response.text
    assert attempted.response.model == "m"
    assert attempted.response.usage is not None
    assert not attempted.response.usage.is_estimated
    assert attempted.response.usage.output_tokens > 3


async def test_it_streams_the_same_answer(model: Model) -> None:
    whole = await model.runner.complete(QUESTION, TARGET, LIMITS)
    stream = model.runner.stream(QUESTION, TARGET, LIMITS)
    chunks = [chunk async for chunk in stream]

    assert len([chunk for chunk in chunks if chunk.text]) > 3
    assert fold(chunks).text == whole.response.text
    assert stream.record is not None
    assert stream.record.ttft_ms is not None
    assert stream.record.ttft_ms < stream.record.duration_ms


async def test_its_json_keeps_to_the_schema(model: Model) -> None:
    schema = {
        "type": "object",
        "properties": {"label": {"enum": ["billing", "technical", "other"]}, "urgent": {"type": "boolean"}},
        "required": ["label", "urgent"],
        "additionalProperties": False,
    }
    request = replace(
        asking("Classify this ticket: my invoice is wrong.", max_output_tokens=60), response_format=JsonFormat(schema)
    )
    attempted = await model.runner.complete(request, TARGET, LIMITS)

    jsonschema.validate(json.loads(attempted.response.text), schema)


async def test_calls_at_the_same_time_wait_for_each_other(model: Model) -> None:
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(model.runner.complete(replace(QUESTION, max_output_tokens=4), TARGET, LIMITS))
            for _ in range(4)
        ]

    assert all(task.result().response.text for task in tasks)


@pytest.mark.parametrize("is_stream", [False, True])
async def test_a_caller_who_leaves_frees_the_model(model: Model, is_stream: bool) -> None:
    long = asking("Tell me a very long story.", max_output_tokens=1_500)

    async def call() -> None:
        if is_stream:
            async for _ in model.runner.stream(long, TARGET, LIMITS):
                pass
        else:
            await model.runner.complete(long, TARGET, LIMITS)

    tasks = [asyncio.create_task(call()) for _ in range(2)]
    await asyncio.sleep(0.5)
    for task in tasks:
        task.cancel()
    assert await asyncio.gather(*tasks, return_exceptions=True) != [None, None]

    started = time.monotonic()
    await model.runner.complete(replace(QUESTION, max_output_tokens=2), TARGET, LIMITS)
    assert time.monotonic() - started < 8


async def test_too_long_a_prompt_is_a_context_length_error(model: Model) -> None:
    long = asking("word " * 4_000)
    with pytest.raises(ContextLengthError):
        await model.runner.complete(long, TARGET, LIMITS)
    with pytest.raises(ContextLengthError):
        await anext(model.runner.stream(long, TARGET, LIMITS))


async def test_a_schema_it_cannot_follow_is_rejected(model: Model) -> None:
    with pytest.raises(RejectedError):
        await model.runner.complete(replace(QUESTION, response_format=JsonFormat({"type": "nonsense"})), TARGET, LIMITS)


async def test_its_own_port_lets_nobody_in() -> None:
    server = start_server(LocalOptions(n_ctx=512))
    host, port = str(getattr(server, "listening_address")).removeprefix("http://").split(":")  # noqa: B009  # not in the protocol
    body = b'{"messages": [{"role": "user", "content": "hi"}]}'
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {len(body)}\r\n\r\n"
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(head.encode() + body)
    status = await reader.readline()
    writer.close()

    assert b" 401 " in status
