"""A provider without a network: deterministic, scripted, speaking any dialect, failing as told.

Time is the clock that is handed in: under a frozen clock a hang or a stall takes no real time.
"""

import asyncio
import json
import os
import random
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from bridge.clock import Clock, SystemClock
from bridge.errors import AttemptTimeoutError, NotReachedError, UnavailableError
from bridge.providers.mock_answer import Answer, answer_for, asked_of
from bridge.providers.mock_dialects import mock_dialect
from bridge.providers.mock_script import UNBILLED_FAULTS, Asked, MockFault, MockOptions, MockScript
from bridge.transport import Endpoint, Timeouts, WireReply, WireRequest, WireStream

JSON_HEADERS = {"content-type": "application/json"}
HEAD_FAULTS = frozenset({"rate_limit", "status", "auth", "content_filter", "context_length"})


@dataclass(frozen=True, slots=True)
class CountedCall:
    """One request the mock received. `is_billed`: a real provider would have charged for it."""

    model: str
    text: str
    is_stream: bool
    fault: str | None
    is_billed: bool
    pid: int


def counted_calls(path: Path) -> tuple[CountedCall, ...]:
    """All requests counted in the file at `path`, by all processes; none when it does not exist."""
    if not path.exists():
        return ()
    lines = path.read_text(encoding="utf-8").splitlines()
    return tuple(CountedCall(**json.loads(line)) for line in lines)


class MockTransport:
    """Answers in this process. `calls` counts this object's requests, `options.counter_path` those of all."""

    def __init__(
        self, options: Mapping[str, object] | None = None, *, clock: Clock | None = None, dialect: str = "openai"
    ) -> None:
        """Raises ConfigurationError for options that are invalid, and for a dialect that nobody speaks."""
        self._wire = mock_dialect(dialect)
        self._options = MockOptions.parse(options or {})
        self._script = MockScript(self._options)
        self._clock = clock or SystemClock()
        self.calls: list[CountedCall] = []

    async def send(self, request: WireRequest, target: Endpoint, *, limits: Timeouts) -> WireReply:
        body = self._wire.chat_body(request)
        asked = asked_of(body)
        fault = self._next_fault(asked)
        await self._reach(fault, target, limits.total_s)
        if fault is not None and fault.kind in HEAD_FAULTS:
            return self._wire.refusal(fault)
        answer = answer_for(body, asked, self._script.reply(asked), self._options)
        if fault is not None and fault.kind in ("cut", "stall"):
            if fault.kind == "stall":
                await self._wait(fault.seconds, limits.total_s, target)
            raise UnavailableError(f"{target.name}: the reply was cut", deployment=target.name)
        return WireReply(200, JSON_HEADERS, self._wire.whole(answer, fault))

    @asynccontextmanager
    async def open_stream(
        self, request: WireRequest, target: Endpoint, *, limits: Timeouts
    ) -> AsyncGenerator[WireStream, None]:
        body = self._wire.chat_body(request)
        asked = asked_of(body)
        fault = self._next_fault(asked)
        first_byte_s = limits.total_s if limits.first_byte_s is None else limits.first_byte_s
        await self._reach(fault, target, first_byte_s)
        if fault is not None and fault.kind in HEAD_FAULTS:
            yield _MockStream(self._wire.refusal(fault), None)
            return
        answer = answer_for(body, asked, self._script.reply(asked), self._options)
        head = WireReply(200, {"content-type": self._wire.stream_type}, b"")
        yield _MockStream(head, self._spoken(answer, fault, target, limits))

    async def aclose(self) -> None:
        """Nothing to close."""

    def _next_fault(self, asked: Asked) -> MockFault | None:
        fault = self._script.fault(asked)
        kind = None if fault is None else fault.kind
        call = CountedCall(
            model=asked.model,
            text=asked.newest_text[:80],
            is_stream=asked.is_stream,
            fault=kind,
            is_billed=kind not in UNBILLED_FAULTS,
            pid=os.getpid(),
        )
        self.calls.append(call)
        if self._options.counter_path is not None:
            _append_line(Path(self._options.counter_path), call)
        return fault

    async def _reach(self, fault: MockFault | None, target: Endpoint, limit_s: float) -> None:
        """Everything up to the response head."""
        kind = None if fault is None else fault.kind
        if kind == "refused":
            raise NotReachedError(f"{target.name}: connection refused", deployment=target.name)
        if kind == "reset":
            raise UnavailableError(f"{target.name}: the connection was lost", deployment=target.name)
        if kind in ("hang", "timeout"):
            await self._wait(float("inf"), limit_s, target)
        latency = self._options.latency
        rng = random.Random(f"{self._options.seed}:{len(self.calls)}")  # noqa: S311  # no secret
        await self._wait(rng.uniform(latency.min_ms, max(latency.min_ms, latency.max_ms)) / 1000, limit_s, target)
        if fault is not None and kind == "slow_first_token":
            await self._wait(fault.seconds, limit_s, target)

    async def _wait(self, seconds: float, limit_s: float, target: Endpoint) -> None:
        if seconds >= limit_s:
            await self._clock.sleep(limit_s)
            raise AttemptTimeoutError(f"{target.name}: no answer in time", deployment=target.name)
        if seconds > 0:
            await self._clock.sleep(seconds)

    async def _spoken(
        self, answer: Answer, fault: MockFault | None, target: Endpoint, limits: Timeouts
    ) -> AsyncGenerator[bytes, None]:
        """The events of a stream in time, with the fault in its place."""
        pause_s = self._options.ms_per_token / 1000
        idle_s = limits.total_s if limits.idle_s is None else limits.idle_s
        for position, event in enumerate(self._wire.events(answer, fault)):
            if fault is not None and position == fault.after_chunks + self._wire.preamble:
                if fault.kind == "cut":
                    raise UnavailableError(f"{target.name}: the reply was cut", deployment=target.name)
                if fault.kind == "stall":
                    await self._wait(fault.seconds, idle_s, target)
                    return
                if fault.kind in ("broken_chunk", "malformed"):
                    yield self._wire.broken_event
            yield event
            if pause_s > 0:
                await self._clock.sleep(pause_s)
            else:
                await asyncio.sleep(0)


class _MockStream:
    """A reply whose body is spoken piece by piece, or is there already."""

    def __init__(self, reply: WireReply, pieces: AsyncGenerator[bytes, None] | None) -> None:
        self._reply = reply
        self._pieces = pieces

    @property
    def status(self) -> int:
        return self._reply.status

    @property
    def headers(self) -> Mapping[str, str]:
        return self._reply.headers

    async def __aiter__(self) -> AsyncIterator[bytes]:
        if self._pieces is None:
            yield self._reply.body
            return
        async for piece in self._pieces:
            yield piece

    async def read(self) -> bytes:
        return b"".join([piece async for piece in self])


def _append_line(path: Path, call: CountedCall) -> None:
    """One write of one line: processes that append at the same time do not mix."""
    fields = {name: getattr(call, name) for name in CountedCall.__slots__}
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab", buffering=0) as file:
        file.write(json.dumps(fields).encode() + b"\n")
