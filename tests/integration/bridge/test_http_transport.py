"""The HTTP transport against a real server on loopback: latency of the first byte, cancellation, faults, bounds."""

import asyncio
import gzip
import json
import struct
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from aiohttp import web

from bridge.attempt import AttemptLimits, AttemptRunner, record_of
from bridge.catalog.deployments import Deployment
from bridge.catalog.prices import Prices
from bridge.clock import SystemClock
from bridge.errors import (
    AttemptTimeoutError,
    CredentialError,
    MalformedReplyError,
    NotReachedError,
    NotServedError,
    ProviderError,
    RateLimitedError,
    UnavailableError,
)
from bridge.streaming import fold
from bridge.transport import HttpTransport
from tests.support.wire import asking, deployment

pytestmark = pytest.mark.peer

LIMITS = AttemptLimits(total_s=5, ttft_s=2, idle_s=1, connect_s=1)
ANSWER = {"choices": [{"message": {"content": "hi"}, "finish_reason": "stop"}]}
HELLO = b'data: {"choices": [{"delta": {"content": "Hello"}}]}\n\n'
STOP = b'data: {"choices": [{"delta": {}, "finish_reason": "stop"}]}\n\ndata: [DONE]\n\n'
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Place:
    """A server, what it received, and a runner that asks it."""

    target: Deployment
    runner: AttemptRunner
    requests: list[web.Request] = field(default_factory=list[web.Request])
    left: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a client left before its answer was there."""


@asynccontextmanager
async def serving(handler: Handler, *, max_reply_bytes: int = 1_000_000) -> AsyncGenerator[Place]:
    transport = HttpTransport(max_reply_bytes=max_reply_bytes)
    runner = AttemptRunner({"http": transport}, Prices(), SystemClock(), lambda: "a")

    async def kept(request: web.Request) -> web.StreamResponse:
        place.requests.append(request)
        await request.read()
        try:
            return await handler(request)
        except (asyncio.CancelledError, ConnectionResetError):
            place.left.set()
            raise

    app = web.Application()
    app.router.add_post("/v1/chat/completions", kept)
    server = web.AppRunner(app, handler_cancellation=True, access_log=None)
    await server.setup()
    site = web.TCPSite(server, "127.0.0.1", 0)
    await site.start()
    port: int = server.addresses[0][1]
    place = Place(deployment(base_url=f"http://127.0.0.1:{port}/v1"), runner)
    try:
        yield place
    finally:
        await transport.aclose()
        await server.cleanup()


async def begun(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"content-type": "text/event-stream"})
    await response.prepare(request)
    return response


async def test_the_first_byte_is_relayed_when_it_comes() -> None:
    async def slowly(request: web.Request) -> web.StreamResponse:
        response = await begun(request)
        await response.write(HELLO)
        await asyncio.sleep(0.5)
        await response.write(STOP)
        return response

    async with serving(slowly) as place:
        stream = place.runner.stream(asking(), place.target, LIMITS)
        started = time.monotonic()
        first = await anext(stream)
        first_s = time.monotonic() - started
        rest = [chunk async for chunk in stream]

    assert first.text == "Hello"
    assert first_s < 0.4
    assert fold(rest).finish_reason == "stop"


@pytest.mark.parametrize("is_stream", [False, True])
async def test_a_call_cancelled_before_the_response_head_is_dropped_at_once(is_stream: bool) -> None:
    async def never(_: web.Request) -> web.StreamResponse:
        await asyncio.sleep(30)
        return web.Response()

    async with serving(never) as place:
        asked = asking()
        call = place.runner.stream(asked, place.target, LIMITS) if is_stream else None
        waiting = anext(call) if call else place.runner.complete(asked, place.target, LIMITS)
        task: asyncio.Task[object] = asyncio.ensure_future(waiting)  # pyright: ignore[reportArgumentType]  # either will do
        while not place.requests:
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

        async with asyncio.timeout(1):
            await place.left.wait()


async def test_a_caller_who_leaves_in_mid_stream_closes_the_connection() -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        response = await begun(request)
        while True:
            await response.write(HELLO)
            await asyncio.sleep(0.01)

    async with serving(endless) as place:
        stream = place.runner.stream(asking(), place.target, LIMITS)
        await anext(stream)
        await stream.aclose()

        async with asyncio.timeout(1):
            await place.left.wait()

    assert stream.record is not None
    assert stream.record.outcome == "cancelled"


async def test_connections_are_used_again_for_whole_replies_and_streams() -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        if not (await request.json()).get("stream"):
            return web.json_response(ANSWER)
        response = await begun(request)
        await response.write(HELLO + STOP)
        return response

    async with serving(answer) as place:
        for _ in range(3):
            await place.runner.complete(asking(), place.target, LIMITS)
            assert [chunk async for chunk in place.runner.stream(asking(), place.target, LIMITS)]
        ports = {request.transport.get_extra_info("peername")[1] for request in place.requests if request.transport}

    assert len(place.requests) == 6
    assert len(ports) <= 2


async def test_what_is_sent_is_the_dialect_and_nothing_of_ours() -> None:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.json_response(ANSWER, headers={"set-cookie": "spy=1"})

    async with serving(answer) as place:
        await place.runner.complete(asking("hi"), place.target, LIMITS)
        await place.runner.complete(asking("hi"), place.target, LIMITS)
        sent = place.requests[1]

        assert json.loads(await sent.read()) == {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
    assert sent.headers["authorization"] == "Bearer secret-key-1234"
    assert "cookie" not in sent.headers
    assert not [name for name in sent.headers if name.lower().startswith("x-modelbridge")]


@pytest.mark.parametrize(
    ("status", "headers", "kind"),
    [
        (429, {"retry-after": "2"}, RateLimitedError),
        (401, {}, CredentialError),
        (500, {}, UnavailableError),
        (302, {"location": "http://127.0.0.1:1/steal"}, NotServedError),
    ],
)
async def test_statuses_become_errors_and_redirects_are_not_followed(
    status: int, headers: dict[str, str], kind: type[ProviderError]
) -> None:
    async def refuse(request: web.Request) -> web.StreamResponse:
        said = f"no, {request.headers['authorization']} will not do"
        return web.json_response({"error": {"message": said}}, status=status, headers=headers)

    async with serving(refuse) as place:
        with pytest.raises(kind) as whole:
            await place.runner.complete(asking(), place.target, LIMITS)
        with pytest.raises(kind) as streamed:
            await anext(place.runner.stream(asking(), place.target, LIMITS))

    for caught in (whole, streamed):
        assert "secret-key-1234" not in str(caught.value)
        record = record_of(caught.value)
        assert record is not None
        assert record.cost_nano_usd == 0


async def test_a_silent_server_costs_the_time_that_was_allowed() -> None:
    async def never(_: web.Request) -> web.StreamResponse:
        await asyncio.sleep(30)
        return web.Response()

    limits = AttemptLimits(total_s=0.3, ttft_s=0.2, idle_s=0.2)
    async with serving(never) as place:
        started = time.monotonic()
        with pytest.raises(AttemptTimeoutError):
            await place.runner.complete(asking(), place.target, limits)
        with pytest.raises(AttemptTimeoutError):
            await anext(place.runner.stream(asking(), place.target, limits))

    assert 0.5 <= time.monotonic() - started < 2


async def test_a_connection_reset_is_unavailable() -> None:
    async def reset(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.get_extra_info("socket").setsockopt(1, 13, struct.pack("ii", 1, 0))  # SO_LINGER: RST
        request.transport.close()
        await asyncio.sleep(1)
        return web.Response()

    async with serving(reset) as place:
        with pytest.raises(UnavailableError):
            await place.runner.complete(asking(), place.target, LIMITS)


async def test_a_stream_that_is_cut_is_never_a_finished_answer() -> None:
    async def cut(request: web.Request) -> web.StreamResponse:
        response = await begun(request)
        await response.write(HELLO)
        assert request.transport is not None
        request.transport.close()
        return response

    async with serving(cut) as place:
        stream = place.runner.stream(asking(), place.target, LIMITS)
        assert (await anext(stream)).text == "Hello"
        with pytest.raises(ProviderError):
            await anext(stream)


async def test_a_compressed_bomb_is_refused_in_bounded_memory() -> None:
    bomb = gzip.compress(b" " * 50_000_000)

    async def explode(_: web.Request) -> web.StreamResponse:
        return web.Response(body=bomb, headers={"content-encoding": "gzip", "content-type": "application/json"})

    async with serving(explode) as place:
        with pytest.raises(MalformedReplyError, match="more than 1000000 bytes"):
            await place.runner.complete(asking(), place.target, LIMITS)


async def test_a_refused_connection_is_known_to_be_unbilled() -> None:
    async with serving(begun) as place:
        pass
    transport = HttpTransport()
    runner = AttemptRunner({"http": transport}, Prices(), SystemClock(), lambda: "a")
    with pytest.raises(NotReachedError) as caught:
        await runner.complete(asking(), place.target, LIMITS)
    await transport.aclose()

    record = record_of(caught.value)
    assert record is not None
    assert record.cost_nano_usd == 0


async def test_an_unknown_host_and_a_server_without_tls_are_not_reached() -> None:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.json_response(ANSWER)

    async with serving(answer) as place:
        for base_url in ("http://no-such-host.invalid/v1", place.target.base_url.replace("http:", "https:")):
            with pytest.raises(NotReachedError):
                await place.runner.complete(asking(), deployment(base_url=base_url), LIMITS)


async def test_a_reply_that_is_not_http_is_malformed() -> None:
    async def nonsense(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(b"SSH-2.0-OpenSSH\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(nonsense, "127.0.0.1", 0)
    port: int = server.sockets[0].getsockname()[1]
    transport = HttpTransport()
    runner = AttemptRunner({"http": transport}, Prices(), SystemClock(), lambda: "a")
    with pytest.raises(MalformedReplyError):
        await runner.complete(asking(), deployment(base_url=f"http://127.0.0.1:{port}"), LIMITS)
    await transport.aclose()
    server.close()
    await server.wait_closed()
