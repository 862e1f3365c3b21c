"""Whatever two providers stream, and however it ends: what the caller sees is the truth, and it ends in time."""

import asyncio
import itertools
import json
import random
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from bridge.call_record import CallRecord
from bridge.chat import StreamChunk
from bridge.config import BridgeConfig
from bridge.errors import BridgeError, UnavailableError
from bridge.gateway import Bridge
from bridge.simulation.virtual_time import VirtualClock, VirtualTimeLoop
from bridge.transport import Endpoint, Timeouts, WireReply, WireRequest
from tests.support.bridge_calls import CONTEXT, KeptCalls, asking

WORDS = tuple(f"word{n} " for n in range(8))
OTHERS = (*WORDS[:3], *(f"other{n} " for n in range(5)))
"""Agrees with `WORDS` for a while."""
CONFIG = BridgeConfig.parse(
    {
        "providers": {name: {"dialect": "openai", "base_url": "http://127.0.0.1:1/v1"} for name in ("one", "two")},
        "aliases": {"both": {"candidates": ["one/m", "two/m"]}},
        "models": {f"{name}/m": {"capabilities": ["chat", "stream"]} for name in ("one", "two")},
    }
)
LONGEST_S = 300.0


class Fed:
    """One attempt's reply, which says what it is fed with."""

    def __init__(self, status: int, words: tuple[str, ...]) -> None:
        self.status = status
        self.words = words
        self.said = 0
        self.has_finished = False
        self.headers: Mapping[str, str] = {"content-type": "text/event-stream"}
        self.pieces: asyncio.Queue[bytes | Exception | None] = asyncio.Queue()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while (piece := await self.pieces.get()) is not None:
            if isinstance(piece, Exception):
                raise piece
            yield piece

    async def read(self) -> bytes:
        return b'{"error": {"message": "no"}}'


class FedTransport:
    """Opens replies, and keeps them to be fed."""

    def __init__(self) -> None:
        self.opened: list[Fed] = []
        self.next_status = 200
        self.next_words = WORDS

    async def send(self, request: WireRequest, target: Endpoint, *, limits: Timeouts) -> WireReply:
        raise NotImplementedError

    @asynccontextmanager
    async def open_stream(
        self, request: WireRequest, target: Endpoint, *, limits: Timeouts
    ) -> AsyncGenerator[Fed, None]:
        fed = Fed(self.next_status, self.next_words)
        self.opened.append(fed)
        self.next_status = 200
        yield fed

    async def aclose(self) -> None: ...


class Streams(RuleBasedStateMachine):
    """One call of two candidates. Every rule feeds the attempt that is under way."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = VirtualTimeLoop()
        self.transport, self.sink = FedTransport(), KeptCalls()
        numbers = itertools.count()
        self.bridge = Bridge(
            CONFIG,
            transports={"one": self.transport, "two": self.transport},
            sinks=[self.sink],
            clock=VirtualClock(self.loop, datetime(2026, 11, 24, tzinfo=UTC)),
            new_id=lambda: f"id-{next(numbers)}",
            rng=random.Random(1),
        )
        self.chunks: list[StreamChunk] = []
        self.error: BridgeError | None = None
        self.task: asyncio.Task[None] | None = None

    @initialize(later=st.sampled_from([WORDS, OTHERS]))
    def begin(self, later: tuple[str, ...]) -> None:
        """The first attempt says `WORDS`."""
        self.task = self.loop.create_task(self.read())
        self.run(0)
        self.transport.next_words = later

    async def read(self) -> None:
        try:
            async for chunk in self.bridge.stream(asking("both"), CONTEXT):
                self.chunks.append(chunk)  # what came before the end is looked at
        except BridgeError as error:
            self.error = error

    def run(self, seconds: float) -> None:
        self.loop.run_until_complete(asyncio.sleep(seconds))
        for _ in range(30):
            self.loop.run_until_complete(asyncio.sleep(0))

    def feed(self, *pieces: bytes | Exception | None) -> None:
        for piece in pieces:
            self.transport.opened[-1].pieces.put_nowait(piece)
        self.run(0)

    @property
    def now(self) -> Fed:
        return self.transport.opened[-1]

    @rule(n=st.integers(1, 4), cut_at=st.integers(1, 60))
    def say(self, n: int, cut_at: int) -> None:
        spoken = self.now.words[self.now.said : self.now.said + n]
        self.now.said += len(spoken)
        whole = b"".join(event_of({"content": word}) for word in spoken)
        self.feed(whole[:cut_at], whole[cut_at:])

    @rule(ends=st.sampled_from([b"\n\n", b"\r\n\r\n"]))
    def make_noise(self, ends: bytes) -> None:
        self.feed(b": PROCESSING" + ends, b"data: ping" + ends)

    @precondition(lambda self: self.now.said >= len(self.now.words))
    @rule(is_marked=st.booleans())
    def finish(self, is_marked: bool) -> None:
        self.now.has_finished = True
        self.feed(event_of({}, "stop"), b"data: [DONE]\n\n" if is_marked else b": bye\n\n")

    @rule(how=st.sampled_from(["cut", "end", "error", "broken event", "stall"]))
    def go_wrong(self, how: str) -> None:
        if how == "cut":
            self.feed(UnavailableError("the reply was cut", deployment="x"))
        elif how == "end":
            self.feed(None)
        elif how == "error":
            self.feed(b'data: {"error": {"message": "overloaded", "code": 503}}\n\n')
        elif how == "stall":
            self.run(21.0)
        else:
            self.now.said += 1  # the word is lost
            self.feed(b'data: {"choices": [{"delta": {"cont\n\n')

    @rule()
    def say_the_rest(self) -> None:
        self.say(len(WORDS), 30)
        self.finish(is_marked=True)

    @rule(seconds=st.sampled_from([0.1, 3.0, 9.0]))
    def stall(self, seconds: float) -> None:
        self.run(seconds)

    @rule(status=st.sampled_from([429, 500, 503, 401]))
    def refuse_the_next(self, status: int) -> None:
        self.transport.next_status = status

    @rule(is_sure=st.sampled_from([False, False, False, True]))
    def leave(self, is_sure: bool) -> None:
        if self.task is not None and is_sure:
            self.task.cancel()
        self.run(0)

    @invariant()
    def shows_the_beginning_of_an_answer(self) -> None:
        shown = "".join(chunk.text for chunk in self.chunks)
        assert any("".join(words).startswith(shown) for words in (WORDS, OTHERS))

    @invariant()
    def ends_once(self) -> None:
        assert sum(chunk.finish_reason is not None for chunk in self.chunks) <= 1
        assert len(self.sink.calls) <= 1

    def teardown(self) -> None:
        if self.task is None:
            self.loop.close()
            return
        self.run(LONGEST_S)
        assert self.task.done()
        self.loop.run_until_complete(asyncio.wait({self.task}))
        (call,) = self.sink.calls
        self.check_records(call)
        self.check_end(call)
        self.loop.run_until_complete(self.bridge.aclose())
        self.loop.close()

    def check_records(self, call: CallRecord) -> None:
        """One record for each attempt, and nothing is left under way."""
        assert len(call.attempts) == len(self.transport.opened)
        assert len({attempt.attempt_id for attempt in call.attempts}) == len(call.attempts)
        health = self.loop.run_until_complete(self.bridge.health())
        assert all(state.in_flight == 0 for one in health for state in one.deployments.values())

    def check_end(self, call: CallRecord) -> None:
        """Success is a whole answer with its finish reason, and nothing else is."""
        shown = "".join(chunk.text for chunk in self.chunks)
        finished = [chunk for chunk in self.chunks if chunk.finish_reason is not None]
        if call.status == "succeeded":
            assert len(finished) == 1
            assert self.now.has_finished
            assert shown in ("".join(WORDS), "".join(OTHERS))
            assert self.error is None
        elif call.status == "failed":
            assert self.error is not None
            assert finished == []
            assert self.error.call is call


def event_of(delta: dict[str, str], finish_reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    return b"data: " + json.dumps({"choices": [choice]}).encode() + b"\n\n"


TestStreams = Streams.TestCase
TestStreams.settings = settings(max_examples=150, stateful_step_count=12, deadline=None)
