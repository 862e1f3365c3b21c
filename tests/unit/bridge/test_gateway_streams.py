"""Streams and cancelled calls through the whole bridge: cut, late, left, recorded."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest

from bridge.errors import (
    StreamInterruptedError,
)
from bridge.transport import Endpoint, Timeouts, WireReply, WireRequest, WireStream
from tests.support.bridge_calls import CONTEXT, TWO, asking, bench, failing, read, the_call, tried


async def test_a_stream_that_is_cut_before_its_first_token_fails_over() -> None:
    one = bench(faults=[failing("cut", after_chunks=0, times=None)], sections=TWO)
    stream = one.bridge.stream(asking("two"), CONTEXT)

    assert await read(stream) == "mock answer to: hello"
    assert [outcome for _, outcome in tried(stream.result.record)][-1] == "succeeded"
    assert stream.result.record.attempts[-1].deployment == "mock/second"


async def test_a_stream_that_is_cut_after_its_first_token_is_never_passed_off_as_finished() -> None:
    one = bench(faults=[failing("cut", after_chunks=2, times=None)], sections={**TWO, "streams": {"rescue": "off"}})
    stream = one.bridge.stream(asking("two"), CONTEXT)

    with pytest.raises(StreamInterruptedError) as caught:
        await read(stream)

    assert caught.value.call is the_call(one)
    assert the_call(one).status == "failed"
    assert tried(the_call(one)) == [("mock/first", "failed")]
    assert the_call(one).attempts[0].is_estimated
    with pytest.raises(RuntimeError):
        _ = stream.result


async def test_a_first_token_that_does_not_come_in_time_fails_over() -> None:
    one = bench(faults=[failing("slow_first_token", seconds=20, times=None)], sections=TWO)
    stream = one.bridge.stream(asking("two"), CONTEXT)

    assert await read(stream) == "mock answer to: hello"
    assert one.clock.monotonic() <= 15
    assert tried(stream.result.record) == [("mock/first", "failed"), ("mock/second", "succeeded")]


async def test_a_stream_that_its_reader_leaves_is_recorded_as_cancelled() -> None:
    one = bench()
    stream = one.bridge.stream(asking("mock/a", "one two three four"), CONTEXT)
    async for _ in stream:
        break
    await stream.aclose()

    assert the_call(one).status == "cancelled"
    assert tried(the_call(one)) == [("mock/a", "cancelled")]
    assert the_call(one).attempts[0].usage is not None


class SilentTransport:
    """Takes every request and never answers."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()

    async def send(self, request: WireRequest, target: Endpoint, *, limits: Timeouts) -> WireReply:
        del request, target, limits
        self.reached.set()
        await asyncio.Event().wait()
        raise AssertionError

    @asynccontextmanager
    async def open_stream(
        self, request: WireRequest, target: Endpoint, *, limits: Timeouts
    ) -> AsyncGenerator[WireStream, None]:
        await self.send(request, target, limits=limits)
        raise AssertionError
        yield

    async def aclose(self) -> None:
        """Nothing is open."""


@pytest.mark.parametrize("is_stream", [False, True])
async def test_a_cancelled_call_is_recorded_with_the_attempt_that_was_under_way(is_stream: bool) -> None:
    silent = SilentTransport()
    one = bench(transports={"mock": silent})
    waiting = (
        read(one.bridge.stream(asking("mock/a"), CONTEXT)) if is_stream else one.bridge.chat(asking("mock/a"), CONTEXT)
    )
    task = asyncio.ensure_future(waiting)
    await silent.reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert the_call(one).status == "cancelled"
    assert tried(the_call(one)) == [("mock/a", "cancelled")]
    (provider,) = await one.bridge.health()
    assert provider.deployments["mock/a"].in_flight == 0
