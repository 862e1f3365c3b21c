"""One call to one deployment: dialect + transport + usage + cost -> a response or a ProviderError, and a record."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

from bridge.attempt_meter import NOTHING, AttemptMeter, AttemptWatch, Produced
from bridge.attempt_stream import AttemptLimits, AttemptStream, Exchange, unforeseen
from bridge.call_record import AttemptRecord
from bridge.catalog.deployments import Deployment
from bridge.catalog.prices import Prices
from bridge.chat import ChatRequest, ChatResponse, Message
from bridge.clock import Clock
from bridge.embedding import EmbeddingRequest, EmbeddingResponse
from bridge.errors import (
    AttemptTimeoutError,
    BridgeError,
    ConfigurationError,
    ContentFilterError,
    MalformedReplyError,
    ProviderError,
)
from bridge.identifiers import NewId
from bridge.json_types import JsonObject
from bridge.providers.adapter import chat_adapter, embedding_adapter, rerank_adapter
from bridge.providers.rejections import decoded_reply, to_error
from bridge.rerank import RerankRequest, RerankResponse
from bridge.tokens import TokenEstimator, text_bytes
from bridge.transport import Transport, WireRequest

__all__ = [
    "HTTP",
    "AttemptLimits",
    "AttemptRunner",
    "AttemptStream",
    "AttemptWatch",
    "Attempted",
    "Embedded",
    "record_of",
]

AnswerT = TypeVar("AnswerT")
HTTP = "http"
"""The transport of every provider that has none of its own."""


@dataclass(frozen=True, slots=True)
class Attempted:
    """An answer and its record."""

    response: ChatResponse
    record: AttemptRecord


@dataclass(frozen=True, slots=True)
class Embedded:
    """Vectors and their record."""

    response: EmbeddingResponse
    record: AttemptRecord


@dataclass(frozen=True, slots=True)
class Reranked:
    """A ranking and its record."""

    response: RerankResponse
    record: AttemptRecord


def record_of(error: ProviderError) -> AttemptRecord | None:
    """The record of the attempt that failed with `error`; None when none was made."""
    return error.record if isinstance(error.record, AttemptRecord) else None


class AttemptRunner:
    """Makes attempts. `transports` are by provider name; the one named `http` serves all others."""

    def __init__(
        self,
        transports: Mapping[str, Transport],
        prices: Prices,
        clock: Clock,
        new_id: NewId,
        *,
        estimator: TokenEstimator | None = None,
    ) -> None:
        self._transports = transports
        self._prices = prices
        self._clock = clock
        self._new_id = new_id
        self._estimator = estimator or TokenEstimator()

    async def complete(
        self, request: ChatRequest, target: Deployment, limits: AttemptLimits, *, watch: AttemptWatch | None = None
    ) -> Attempted:
        """The whole answer of `target`. `watch` hears of the attempt whatever its end, cancellation included.

        Raises:
            ProviderError: The attempt failed; `record_of(error)` tells what it cost.
            ConfigurationError: The deployment's dialect or address cannot be used.
            JournalUnavailableError: It cannot be written down, and was not sent.
        """
        exchange = self._exchange(request, target, limits)
        meter = self._meter(request, target, watch)
        wire = exchange.adapter.build(request, target, stream=False)
        meter.dispatched()
        response = await _metered(
            _asked(exchange.transport, wire, target, limits, lambda payload: exchange.adapter.parse(payload, target)),
            target,
            meter,
        )
        produced = Produced(response.usage, _content_bytes(response))
        if response.finish_reason == "content_filter" and produced.content_bytes == 0:
            error = ContentFilterError(f"{target.name}: its content filter stopped the answer", deployment=target.name)
            meter.failed(error, produced)
            raise error
        usage = meter.settled_usage(produced)
        settled = response if usage is response.usage else replace(response, usage=usage)
        return Attempted(settled, meter.succeeded(settled))

    def stream(
        self, request: ChatRequest, target: Deployment, limits: AttemptLimits, *, watch: AttemptWatch | None = None
    ) -> AttemptStream:
        """The answer piece by piece. Nothing is sent before the first item is asked for.

        Raises:
            ConfigurationError: The deployment's dialect cannot be used.
        """
        return AttemptStream(self._exchange(request, target, limits), begin=lambda: self._meter(request, target, watch))

    async def embed(
        self, request: EmbeddingRequest, target: Deployment, limits: AttemptLimits, *, watch: AttemptWatch | None = None
    ) -> Embedded:
        """The vectors of `request.texts`, in their order.

        Raises:
            ProviderError: The attempt failed; `record_of(error)` tells what it cost.
            ConfigurationError: The deployment's dialect has no embeddings, or its address cannot be used.
        """
        adapter, transport = embedding_adapter(target.dialect), self._transport(target)
        read = ChatRequest(request.model, tuple(Message.of("user", text) for text in request.texts))
        meter = self._meter(read, target, watch)
        wire = adapter.build(request, target)
        meter.dispatched()
        response = await _metered(
            _asked(transport, wire, target, limits, lambda payload: adapter.parse(payload, target)), target, meter
        )
        if len(response.vectors) != len(request.texts):
            said = f"{target.name}: {len(response.vectors)} vectors for {len(request.texts)} texts"
            error = MalformedReplyError(said, deployment=target.name)
            meter.failed(error, Produced(response.usage))
            raise error
        usage = meter.settled_usage(Produced(response.usage))
        record = meter.succeeded(ChatResponse(text="", finish_reason=None, usage=usage))
        return Embedded(replace(response, usage=usage), record)

    async def rerank(
        self, request: RerankRequest, target: Deployment, limits: AttemptLimits, *, watch: AttemptWatch | None = None
    ) -> Reranked:
        """The documents of the request, most relevant first.

        Raises:
            ProviderError: The attempt failed; `record_of(error)` tells what it cost.
            ConfigurationError: The deployment's dialect has no rerank, or its address cannot be used.
        """
        adapter, transport = rerank_adapter(target.dialect), self._transport(target)
        texts = (request.query, *request.documents)
        meter = self._meter(
            ChatRequest(request.model, tuple(Message.of("user", text) for text in texts)), target, watch
        )
        wire = adapter.build(request, target)
        meter.dispatched()
        response = await _metered(
            _asked(transport, wire, target, limits, lambda payload: adapter.parse(payload, target)), target, meter
        )
        if any(not 0 <= one.index < len(request.documents) for one in response.results):
            said = f"{target.name}: it ranks documents that were not given"
            error = MalformedReplyError(said, deployment=target.name)
            meter.failed(error, Produced(response.usage))
            raise error
        usage = meter.settled_usage(Produced(response.usage))
        return Reranked(response, meter.succeeded(ChatResponse(text="", finish_reason=None, usage=usage)))

    def _exchange(self, request: ChatRequest, target: Deployment, limits: AttemptLimits) -> Exchange:
        return Exchange(chat_adapter(target.dialect), self._transport(target), request, target, limits)

    def _transport(self, target: Deployment) -> Transport:
        transport = self._transports.get(target.provider) or self._transports.get(HTTP)
        if transport is None:
            raise ConfigurationError(f"no transport for provider {target.provider!r}")
        return transport

    def _meter(self, request: ChatRequest, target: Deployment, watch: AttemptWatch | None) -> AttemptMeter:
        return AttemptMeter(
            self._new_id(),
            request,
            target,
            prices=self._prices,
            clock=self._clock,
            estimator=self._estimator,
            watch=watch,
        )


async def _asked(
    transport: Transport,
    wire: WireRequest,
    target: Deployment,
    limits: AttemptLimits,
    parse: Callable[[JsonObject], AnswerT],
) -> AnswerT:
    """Send `wire`, and read the whole reply with `parse`."""
    try:
        async with asyncio.timeout(limits.total_s):
            reply = await transport.send(wire, target, limits=limits.timeouts())
    except TimeoutError as error:
        raise AttemptTimeoutError(
            f"{target.name}: no answer in {limits.total_s:g} s", deployment=target.name
        ) from error
    if not 200 <= reply.status < 300:
        raise to_error(reply.status, reply.headers, reply.body, target)
    return parse(decoded_reply(reply.body, target))


async def _metered(answer: Awaitable[AnswerT], target: Deployment, meter: AttemptMeter) -> AnswerT:
    """The answer; when there is none, the attempt is closed with the reason."""
    try:
        return await answer
    except ProviderError as error:
        meter.failed(error, NOTHING)
        raise
    except asyncio.CancelledError:
        meter.cancelled(NOTHING)
        raise
    except BridgeError as error:
        meter.unsent(error)
        raise
    except Exception as problem:
        error = unforeseen(problem, target)
        meter.failed(error, NOTHING)
        raise error from problem


def _content_bytes(response: ChatResponse) -> int:
    """UTF-8 bytes of everything generated, reasoning and tool calls included; as ChunkFold counts them."""
    return sum(
        text_bytes(piece)
        for answer in (response, *response.other_choices)
        for piece in (
            answer.text,
            answer.reasoning,
            answer.refusal,
            *(call.name + call.arguments for call in answer.tool_calls),
        )
    )
