"""One streamed attempt: events in time, chunks out, and a record at the end whatever the end."""

import asyncio
import logging
import traceback
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from typing import TypeVar

from bridge.attempt_meter import AttemptMeter, Produced
from bridge.call_record import AttemptRecord
from bridge.catalog.deployments import Deployment
from bridge.chat import ChatRequest, ChatResponse, StreamChunk
from bridge.errors import AttemptTimeoutError, BridgeError, ContentFilterError, MalformedReplyError, ProviderError
from bridge.providers.adapter import ChatAdapter
from bridge.providers.rejections import decoded_reply, to_error
from bridge.streaming import ChunkFold, EventDecoder, EventTooLargeError, ServerSentEvent, chunks_of
from bridge.transport import Timeouts, Transport

logger = logging.getLogger(__name__)
AnyT = TypeVar("AnyT")

FINISH_GRACE_S = 2.0
"""After the finish reason only the usage is missing: it is not waited for any longer than this."""


@dataclass(frozen=True, slots=True)
class AttemptLimits:
    """How long one attempt may take, in seconds."""

    total_s: float = 60.0
    ttft_s: float = 10.0
    """Streams: first content must have come by then."""
    idle_s: float = 20.0
    """Streams: longest time between two events."""
    connect_s: float = 5.0

    def timeouts(self) -> Timeouts:
        """What the transport enforces of it."""
        return Timeouts(connect_s=self.connect_s, first_byte_s=self.ttft_s, idle_s=self.idle_s, total_s=self.total_s)


@dataclass(frozen=True, slots=True)
class Exchange:
    """Who is asked what, how."""

    adapter: ChatAdapter
    transport: Transport
    request: ChatRequest
    target: Deployment
    limits: AttemptLimits


def unforeseen(problem: Exception, target: Deployment) -> ProviderError:
    """A fault of our own reading code, as the failure of this attempt only. Logged, since it is a bug."""
    frames = traceback.extract_tb(problem.__traceback__)
    where = f"{frames[-1].filename}:{frames[-1].lineno}" if frames else ""
    logger.error(
        "attempt.unforeseen", extra={"deployment": target.name, "fault": type(problem).__name__, "where": where}
    )
    return MalformedReplyError(f"{target.name}: its reply could not be handled", deployment=target.name)


class AttemptStream:
    """The chunks of one attempt. The first item brings the first content; the last one the usage.

    Iteration raises the ProviderError that ended the stream too early; success needs a finish reason. `record` is
    set once it is over, also after `aclose()` or cancellation.
    """

    def __init__(self, exchange: Exchange, begin: Callable[[], AttemptMeter]) -> None:
        self._exchange = exchange
        self._begin = begin
        self._meter: AttemptMeter | None = None
        self._total = ChunkFold()
        self._ready: deque[StreamChunk] = deque()
        self._open = AsyncExitStack()
        self._pieces: AsyncIterator[bytes] | None = None
        self._decoder = EventDecoder()
        self._reader = exchange.adapter.reader(exchange.target)
        self._last_event_s = 0.0
        self._is_over = False

    @property
    def record(self) -> AttemptRecord | None:
        """What the attempt used and cost; None while it runs, and when nothing was sent."""
        return None if self._meter is None else self._meter.record

    @property
    def has_ready(self) -> bool:
        """Is the next chunk there already?"""
        return bool(self._ready)

    def response(self) -> ChatResponse:
        """The answer as far as it has come."""
        return self._total.response()

    def __aiter__(self) -> "AttemptStream":
        return self

    async def __anext__(self) -> StreamChunk:
        if not self._ready and not self._is_over:
            await self._fill()
        if not self._ready:
            raise StopAsyncIteration
        return self._ready.popleft()

    async def _fill(self) -> None:
        """Wait until there is something to show, or the stream is over."""
        try:
            while not self._ready and not self._is_over:
                await self._advance()
        except asyncio.CancelledError:
            await self.aclose()
            raise
        except ProviderError as error:
            await self._fail(error)
            raise
        except BridgeError as error:
            await self._close()
            if self._meter is not None:
                self._meter.unsent(error)
            raise
        except Exception as problem:
            error = unforeseen(problem, self._exchange.target)
            await self._fail(error)
            raise error from problem

    async def _fail(self, error: ProviderError) -> None:
        await self._close()
        self._measured().failed(error, self._produced())

    async def aclose(self) -> None:
        """Stop, and drop what is still coming. Idempotent; an attempt that was under way counts as cancelled."""
        await self._close()
        if self._meter is not None and self._meter.record is None:
            self._meter.cancelled(self._produced())

    async def _close(self) -> None:
        self._is_over = True
        self._ready.clear()
        await self._open.aclose()

    async def _advance(self) -> None:
        """Open the stream, or read one more piece of it. What goes wrong after the finish reason no longer matters."""
        try:
            is_complete = await self._read_piece() if self._pieces is not None else await self._start()
        except ProviderError:
            if self._total.finish_reason is None:
                raise
            is_complete = True
        if is_complete:
            end = self._end()
            self._is_over = True
            self._ready.append(end)
            await self._open.aclose()

    async def _start(self) -> bool:
        """Send the request. True when the whole answer came at once, as JSON."""
        exchange = self._exchange
        self._meter = self._begin()
        wire = exchange.adapter.build(exchange.request, exchange.target, stream=True)
        self._announce(self._meter)
        opening = exchange.transport.open_stream(wire, exchange.target, limits=exchange.limits.timeouts())
        body = await self._in_time(self._open.enter_async_context(opening))
        if not 200 <= body.status < 300:
            raise to_error(body.status, body.headers, await self._in_time(body.read()), exchange.target)
        if body.headers.get("content-type", "").startswith("application/json"):
            payload = decoded_reply(await self._in_time(body.read()), exchange.target)
            self._take(chunks_of(exchange.adapter.parse(payload, exchange.target)))
            return True
        self._pieces = aiter(body)
        return False

    def _announce(self, meter: AttemptMeter) -> None:
        """Nothing is on record of an attempt that may not be sent."""
        try:
            meter.dispatched()
        except BridgeError:
            self._meter = None
            raise

    async def _read_piece(self) -> bool:
        """Read what the network has, and take in its events. True at the end of the stream."""
        assert self._pieces is not None
        piece = await self._in_time(anext(self._pieces, None))
        try:
            events = self._decoder.finish() if piece is None else self._decoder.feed(piece)
        except EventTooLargeError as error:
            raise self._malformed(str(error)) from error
        for event in events:
            self._take(self._read(event))
        if events:
            self._last_event_s = self._measured().elapsed_s
        return piece is None or self._reader.is_done

    def _read(self, event: ServerSentEvent) -> tuple[StreamChunk, ...]:
        """What the event adds. One that cannot be read is passed over when it surely carried nothing of the answer:
        noise between the events. A broken piece of JSON may have carried a word, so it breaks the stream.
        """
        try:
            return self._reader.read(event)
        except MalformedReplyError:
            if event.data.lstrip().startswith(("{", "[", '"')):
                raise
            return ()

    def _take(self, chunks: tuple[StreamChunk, ...]) -> None:
        """Fold chunks in; queue what a caller should see: content, and the end once."""
        for chunk in chunks:
            has_ended = self._total.finish_reason is not None
            self._total.add(chunk)
            if not chunk.has_content and (chunk.finish_reason is None or has_ended):
                continue
            if chunk.has_content:
                self._measured().first_content()
            self._ready.append(_shown(chunk, has_ended=has_ended))

    def _end(self) -> StreamChunk:
        """The last chunk, with the settled usage.

        Raises:
            ProviderError: The stream ended before the answer did, or a filter left nothing of it.
        """
        name = self._exchange.target.name
        if self._total.finish_reason is None:
            raise self._malformed("the stream ended before the answer did")
        if self._total.finish_reason == "content_filter" and not self._total.has_content:
            raise ContentFilterError(f"{name}: its content filter stopped the answer", deployment=name)
        response = self._total.response()
        response = replace(response, usage=self._measured().settled_usage(self._produced()))
        self._total.add(StreamChunk(usage=response.usage))
        self._measured().succeeded(response)
        return StreamChunk(usage=response.usage, model=response.model, provider_cost_usd=response.provider_cost_usd)

    async def _in_time(self, waiting: Awaitable[AnyT]) -> AnyT:
        try:
            async with asyncio.timeout(max(0.0, self._patience_s())):
                return await waiting
        except TimeoutError as error:
            name = self._exchange.target.name
            raise AttemptTimeoutError(f"{name}: {self._what_was_late()}", deployment=name) from error

    def _patience_s(self) -> float:
        """How long the next read may take."""
        limits, elapsed_s = self._exchange.limits, self._measured().elapsed_s
        if self._total.finish_reason is not None:
            until_s = self._last_event_s + FINISH_GRACE_S
        elif self._total.has_content:
            until_s = self._last_event_s + limits.idle_s
        else:
            until_s = limits.ttft_s
        return min(until_s, limits.total_s) - elapsed_s

    def _what_was_late(self) -> str:
        """What to say when a read took longer than that."""
        limits = self._exchange.limits
        if self._measured().elapsed_s >= limits.total_s:
            return f"not finished within {limits.total_s:g} s"
        if self._total.finish_reason is not None:
            return "no end after the finish reason"
        if self._total.has_content:
            return f"silent for {limits.idle_s:g} s"
        return f"no content within {limits.ttft_s:g} s"

    def _produced(self) -> Produced:
        return Produced(self._total.usage, self._total.content_bytes)

    def _measured(self) -> AttemptMeter:
        assert self._meter is not None
        return self._meter

    def _malformed(self, what: str) -> MalformedReplyError:
        name = self._exchange.target.name
        return MalformedReplyError(f"{name}: {what}", deployment=name)


def _shown(chunk: StreamChunk, *, has_ended: bool) -> StreamChunk:
    """The chunk as a caller sees it: usage comes once, at the end, and so does the finish reason."""
    if chunk.usage is None and chunk.provider_cost_usd is None and (chunk.finish_reason is None or not has_ended):
        return chunk
    return replace(chunk, usage=None, provider_cost_usd=None, finish_reason=None if has_ended else chunk.finish_reason)
