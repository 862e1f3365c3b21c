"""The providers of a simulation: a transport that behaves as the world is at the moment it is called.

It answers in the mock's words, in the OpenAI dialect, after the time its model takes; and it fails as the scenario
says. What it answers tells what was asked and whether the answer is good, so that the caller can be judged by what
it really received.
"""

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from bridge.clock import Clock
from bridge.errors import NotReachedError, UnavailableError
from bridge.providers.mock_answer import Answer
from bridge.providers.mock_script import FaultKind, MockFault, MockUsage
from bridge.providers.mock_wire import events_of, refusal_of, whole_body_of
from bridge.simulation.conditions import Condition, Conditions
from bridge.simulation.limits import ProviderLimits
from bridge.simulation.traffic import Arrival, drawn
from bridge.transport import Endpoint, Timeouts, WireReply, WireRequest, WireStream

CALL: ContextVar[Arrival | None] = ContextVar("CALL", default=None)
"""The call that an attempt is made for; None for attempts of the bridge's own, such as health probes."""
JSON_HEADERS: Mapping[str, str] = {"content-type": "application/json"}
STREAM_HEADERS: Mapping[str, str] = {"content-type": "text/event-stream"}
REFUSAL_MS = 30.0
"""How long a provider takes to say no."""
DOUBT = ", but I am not sure"
KEEPALIVE_S = 5.0
"""A stream is never silent for longer than this while its answer is made."""
STILL_WRITING = b'data: {"choices": [{"index": 0, "delta": {}}]}\n\n'
FOREVER_S = 1e7
PROBE = Arrival(-1, 0.0, "", -1, "", 10, 1, is_stream=False, luck=0.0, doubt=0.0, is_scored=False)


@dataclass(frozen=True, slots=True)
class SimulatedAnswer:
    """What an answer's text tells."""

    task: str
    topic: int
    is_good: bool
    is_doubtful: bool = False
    """Does it say itself that it is not sure?"""

    @property
    def text(self) -> str:
        """The answer as it is sent."""
        verdict = "good" if self.is_good else "poor"
        return f"{self.task}/{self.topic} {verdict}{DOUBT if self.is_doubtful else ''}"

    @classmethod
    def read(cls, text: str) -> "SimulatedAnswer | None":
        """What the text of an answer tells; None when it is no simulated one."""
        plain = text.removesuffix(DOUBT)
        about, _, verdict = plain.rpartition(" ")
        task, _, topic = about.rpartition("/")
        if verdict not in ("good", "poor") or not topic.lstrip("-").isdecimal():
            return None
        return cls(task, int(topic), verdict == "good", plain != text)


class SimulatedProviders:
    """Every provider of a scenario. Implements Transport."""

    def __init__(self, conditions: Conditions, clock: Clock, rng: random.Random) -> None:
        self._conditions = conditions
        self._clock = clock
        self._rng = rng
        self._limits = ProviderLimits()

    async def send(self, request: WireRequest, target: Endpoint, *, limits: Timeouts) -> WireReply:
        call = CALL.get() or PROBE
        condition, refusal = await self._reach(call, target, request)
        if refusal is not None:
            return refusal
        with self._limits.in_flight(target.name):
            first_s, rest_s = self._durations(call, target.name, condition)
            await asyncio.sleep(first_s + rest_s)
        return WireReply(200, JSON_HEADERS, whole_body_of(self._answer(call, target.name, request), None))

    @asynccontextmanager
    async def open_stream(
        self, request: WireRequest, target: Endpoint, *, limits: Timeouts
    ) -> AsyncGenerator[WireStream, None]:
        call = CALL.get() or PROBE
        condition, refusal = await self._reach(call, target, request)
        if refusal is not None:
            yield SimulatedStream(refusal, None)
            return
        is_cut = condition.cut_share > 0 and self._rng.random() < condition.cut_share
        with self._limits.in_flight(target.name):
            first_s, rest_s = self._durations(call, target.name, condition)
            events = list(events_of(self._answer(call, target.name, request), None))
            pieces = spoken(events, first_s, rest_s, cut=target if is_cut else None)
            yield SimulatedStream(WireReply(200, STREAM_HEADERS, b""), pieces)

    async def aclose(self) -> None:
        """Nothing to close."""

    async def _reach(self, call: Arrival, target: Endpoint, request: WireRequest) -> tuple[Condition, WireReply | None]:
        """Everything up to the moment at which the provider begins to answer, or its refusal."""
        now_s = self._clock.monotonic()
        condition = self._conditions.at(target.name, now_s)
        if condition.is_refused:
            raise NotReachedError(f"{target.name}: connection refused", deployment=target.name)
        if condition.is_silent:
            await asyncio.sleep(FOREVER_S)
        status = condition.status or self._failure_of(target.name, condition)
        if status is not None:
            return condition, await _refused("status", status=status)
        served = self._conditions.served(target.name).limits
        tokens = call.prompt_tokens + _asked_tokens(request, call)
        wait_s = self._limits.wait_s(target.name, served, condition.requests_per_minute, tokens, now_s)
        if wait_s > 0:
            return condition, await _refused("rate_limit", retry_after_s=float(max(1, -(-wait_s // 1))))
        return condition, None

    def _failure_of(self, deployment: str, condition: Condition) -> int | None:
        """The status of a call that happens to fail; None: it does not."""
        drawn_share = self._rng.random()
        if drawn_share < condition.brown_out_share:
            return condition.brown_out_status
        return 500 if drawn_share < self._conditions.served(deployment).error_rate else None

    def _durations(self, call: Arrival, deployment: str, condition: Condition) -> tuple[float, float]:
        """Seconds to the first token, and from there to the last."""
        served = self._conditions.served(deployment)
        first_s = drawn(served.ttft_ms, self._rng) / 1000
        rest_s = call.output_tokens / drawn(served.tokens_per_s, self._rng)
        return first_s * condition.slowness, rest_s * condition.slowness

    def _answer(self, call: Arrival, deployment: str, request: WireRequest) -> Answer:
        is_good = call.luck < self._conditions.quality(deployment, call.task)
        is_doubtful = not is_good and call.doubt < self._conditions.served(deployment).doubt_share
        limit = _asked_tokens(request, call)
        whole = SimulatedAnswer(call.task, call.topic, is_good, is_doubtful).text
        return Answer(
            model=str(request.body.get("model", "")),
            text=whole.removeprefix(_begun(request)) or " ",
            usage=MockUsage(input_tokens=call.prompt_tokens, output_tokens=min(call.output_tokens, limit)),
            finish_reason="stop" if call.output_tokens <= limit else "length",
            id=f"answer-{call.number}",
        )


class SimulatedStream:
    """A reply that is spoken piece by piece, or a refusal that is there at once."""

    def __init__(self, reply: WireReply, pieces: AsyncIterator[bytes] | None) -> None:
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


async def spoken(
    events: list[bytes], first_s: float, rest_s: float, *, cut: Endpoint | None = None
) -> AsyncGenerator[bytes, None]:
    """The first event after `first_s`, the others by and by within `rest_s`, or half of that and then a lost line."""
    await asyncio.sleep(first_s)
    yield events[0]
    silences = max(1, -(-rest_s // KEEPALIVE_S))
    for number in range(int(silences)):
        await asyncio.sleep(rest_s / silences * (0.5 if cut is not None else 1.0))
        if cut is not None:
            raise UnavailableError(f"{cut.name}: the reply was cut", deployment=cut.name)
        if number + 1 < silences:
            yield STILL_WRITING
    yield b"".join(events[1:])


async def _refused(kind: FaultKind, *, status: int = 429, retry_after_s: float | None = None) -> WireReply:
    await asyncio.sleep(REFUSAL_MS / 1000)
    return refusal_of(MockFault(kind=kind, status=status, retry_after_s=retry_after_s))


def _asked_tokens(request: WireRequest, call: Arrival) -> int:
    """The most output that the request allows; what the answer needs when it sets no limit."""
    limit = request.body.get("max_tokens") or request.body.get("max_completion_tokens")
    return limit if isinstance(limit, int) else call.output_tokens


def _begun(request: WireRequest) -> str:
    """What of the answer the request holds already, as its last message."""
    messages = request.body.get("messages")
    last = messages[-1] if isinstance(messages, Sequence) and messages else None
    if not isinstance(last, Mapping) or last.get("role") != "assistant":
        return ""
    content = last.get("content")
    return content if isinstance(content, str) else ""
