"""The transport over a stand-in for the library's server; the real model answers in tests/integration."""

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bridge.attempt import AttemptLimits
from bridge.clock import SystemClock
from bridge.errors import ConfigurationError, ContextLengthError, RateLimitedError, RejectedError, UnavailableError
from bridge.json_types import JsonObject
from bridge.providers.local_llama import LlamaServer, LocalOptions, LocalTransport, packaged_weights, start_server
from tests.support.wire import asking, deployment, runner_over

TARGET = deployment("local", base_url="local://llama")
END: dict[str, Any] = {
    "choices": [{"delta": {}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 1},
}


def says(text: str) -> dict[str, Any]:
    return {"id": "c", "model": "/secret/path.gguf", "choices": [{"delta": {"content": text}, "finish_reason": None}]}


class FakeServer:
    """Hands over `chunks`, after the first one only when the gate is open; remembers what it was asked."""

    def __init__(self, chunks: list[dict[str, Any]], error: Exception | None = None) -> None:
        self.chunks = chunks
        self.error = error
        self.gate = threading.Event()
        self.gate.set()
        self.asked: list[JsonObject] = []
        self.stopped_after: int | None = None

    def handle_chat_completions(self, request: JsonObject, callback: Callable[[dict[str, Any]], bool], /) -> None:
        self.asked.append(request)
        if self.error is not None:
            raise self.error
        for position, chunk in enumerate(self.chunks):
            if position:
                self.gate.wait(5)
            if callback(chunk):
                self.stopped_after = position
                return

    def starter(self) -> Callable[[LocalOptions], LlamaServer]:
        return lambda options: self


async def test_an_answer_names_the_model_and_not_the_file() -> None:
    server = FakeServer([says("Hel"), says("lo"), END])
    transport = LocalTransport(start=server.starter())
    runner = runner_over(transport, SystemClock(), "local")
    whole = await runner.complete(asking(), TARGET, AttemptLimits())
    streamed = [chunk async for chunk in runner.stream(asking(), TARGET, AttemptLimits())]
    await transport.aclose()

    assert whole.response.text == "".join(chunk.text for chunk in streamed) == "Hello"
    assert whole.response.model == "m"
    assert all(chunk.model in ("", "m") for chunk in streamed)


async def test_a_request_without_limit_and_system_message_gets_both() -> None:
    server = FakeServer([END])
    transport = LocalTransport({"max_tokens": 9}, start=server.starter())
    await runner_over(transport, SystemClock(), "local").complete(asking("hi"), TARGET, AttemptLimits())
    await transport.aclose()

    assert server.asked[0]["max_tokens"] == 9
    assert server.asked[0]["messages"] == [
        {"role": "system", "content": "You are a helpful assistant."},
        {"role": "user", "content": "hi"},
    ]


async def test_a_caller_who_leaves_stops_the_generation() -> None:
    server = FakeServer([says("a"), says("b"), END])
    server.gate.clear()
    transport = LocalTransport(start=server.starter())
    stream = runner_over(transport, SystemClock(), "local").stream(asking(), TARGET, AttemptLimits())
    first = await anext(stream)
    await stream.aclose()
    server.gate.set()
    await transport.aclose()

    assert first.text == "a"
    assert server.stopped_after in (0, 1)
    assert stream.record is not None
    assert stream.record.outcome == "cancelled"


async def test_a_returned_error_is_an_error() -> None:
    failure = {"error": {"code": 400, "type": "exceed_context_size_error", "message": "too long"}}
    transport = LocalTransport(start=FakeServer([failure]).starter())
    runner = runner_over(transport, SystemClock(), "local")

    with pytest.raises(ContextLengthError):
        await runner.complete(asking(), TARGET, AttemptLimits())
    with pytest.raises(ContextLengthError):
        await anext(runner.stream(asking(), TARGET, AttemptLimits()))
    await transport.aclose()


@pytest.mark.parametrize(
    ("error", "kind"), [(ValueError("bad schema"), RejectedError), (RuntimeError("broken"), UnavailableError)]
)
async def test_what_the_library_raises_is_told_apart(error: Exception, kind: type[Exception]) -> None:
    transport = LocalTransport(start=FakeServer([], error).starter())
    with pytest.raises(kind):
        await runner_over(transport, SystemClock(), "local").complete(asking(), TARGET, AttemptLimits())
    await transport.aclose()


async def test_a_call_that_finds_the_queue_full_is_told_to_come_back() -> None:
    server = FakeServer([says("a"), END])
    server.gate.clear()
    transport = LocalTransport({"slots": 1, "max_waiting": 0}, start=server.starter())
    runner = runner_over(transport, SystemClock(), "local")
    first = asyncio.create_task(runner.complete(asking(), TARGET, AttemptLimits()))
    await asyncio.sleep(0)
    with pytest.raises(RateLimitedError):
        await runner.complete(asking(), TARGET, AttemptLimits())
    server.gate.set()

    assert (await first).response.text == "a"
    await transport.aclose()


async def test_the_model_starts_once_however_many_calls_come() -> None:
    server, starts = FakeServer([says("a"), END]), list[LocalOptions]()

    def start(options: LocalOptions) -> LlamaServer:
        starts.append(options)
        return server

    transport = LocalTransport(start=start)
    runner = runner_over(transport, SystemClock(), "local")
    assert not starts
    async with asyncio.TaskGroup() as group:
        for _ in range(4):
            group.create_task(runner.complete(asking(), TARGET, AttemptLimits()))
    await transport.aclose()

    assert len(starts) == 1


async def test_a_model_that_cannot_be_loaded_says_what_to_change() -> None:
    transport = LocalTransport({"model_path": "/nowhere/model.gguf"})
    with pytest.raises(ConfigurationError, match="model_path: no file"):
        await runner_over(transport, SystemClock(), "local").complete(asking(), TARGET, AttemptLimits())
    await transport.aclose()


def test_unknown_options_are_refused_with_their_place() -> None:
    with pytest.raises(ConfigurationError, match=r"providers\.local\.options: thread"):
        LocalTransport({"thread": 1})


def test_the_packaged_weights_are_found_without_importing_their_module() -> None:
    assert packaged_weights().suffix == ".gguf"


def test_a_file_that_is_no_model_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "no.gguf"
    path.write_bytes(b"not a model")

    with pytest.raises(ConfigurationError, match=r"no\.gguf cannot be loaded"):
        start_server(LocalOptions(model_path=str(path)))
