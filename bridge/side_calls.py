"""Calls that are no chat: embeddings and rerank. Routed, failed over, budgeted and recorded like any other call."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar

from bridge.call_log import CallLog
from bridge.call_preparation import Ready
from bridge.call_record import CallContext, CallKind, CallRecord, CallStatus
from bridge.chat import ChatRequest, Message, Usage
from bridge.dispatcher import Dispatcher
from bridge.embedding import EmbeddingRequest, EmbeddingResponse
from bridge.errors import BridgeError, UnsupportedFeatureError
from bridge.providers.adapter import embedding_adapter
from bridge.rerank import RerankRequest, RerankResponse

ResponseT = TypeVar("ResponseT")
Close = Callable[[CallLog, Ready | None, CallStatus, BaseException | None], Awaitable[CallRecord]]


class NewLog(Protocol):
    """Begins the log of a call."""

    def __call__(self, request: ChatRequest, context: CallContext, *, is_stream: bool, kind: CallKind) -> CallLog: ...


@dataclass(frozen=True, slots=True)
class EmbeddingResult:
    """Vectors and the record of how they were obtained."""

    response: EmbeddingResponse
    record: CallRecord


@dataclass(frozen=True, slots=True)
class RerankResult:
    """A ranking and the record of how it was obtained."""

    response: RerankResponse
    record: CallRecord


class SideCalls:
    """Makes them. One for a bridge."""

    def __init__(self, dispatcher: Dispatcher, new_log: NewLog, close: Close) -> None:
        self._dispatcher = dispatcher
        self._new_log = new_log
        self._close = close

    async def embed(self, request: EmbeddingRequest, context: CallContext) -> EmbeddingResult:
        """One vector a text. More texts than a provider takes at once go in several requests to the same model.

        Raises:
            UnsupportedFeatureError: There is no text.
            BridgeError: With `.call` set.
        """
        if not request.texts:
            raise UnsupportedFeatureError("there is nothing to embed: give at least one text")

        async def made(ready: Ready, log: CallLog) -> EmbeddingResponse:
            return await self._embedded(ready, log, request)

        response, record = await self._recorded("embeddings", request.model, request.texts, context, made)
        return EmbeddingResult(response, record)

    async def rerank(self, request: RerankRequest, context: CallContext) -> RerankResult:
        """The documents by their relevance.

        Raises:
            UnsupportedFeatureError: There is no document.
            BridgeError: With `.call` set.
        """
        if not request.documents:
            raise UnsupportedFeatureError("there is nothing to rank: give at least one document")

        async def made(ready: Ready, log: CallLog) -> RerankResponse:
            return await self._dispatcher.rerank(ready, log, request)

        texts = (request.query, *request.documents)
        response, record = await self._recorded("rerank", request.model, texts, context, made)
        return RerankResult(response, record)

    async def _embedded(self, ready: Ready, log: CallLog, request: EmbeddingRequest) -> EmbeddingResponse:
        """Batch by batch. Vectors of two models cannot be compared: after the first batch only its model is asked."""
        texts, parts = request.texts, list[EmbeddingResponse]()
        while texts:
            size = min(embedding_adapter(one.dialect).max_texts(one) for one in ready.targets)
            batch = replace(request, texts=texts[:size])
            target, part = await self._dispatcher.embed(ready, log, batch)
            parts.append(part)
            texts = texts[size:]
            same = tuple(one for one in ready.targets if one.model == target.model)
            ready = replace(ready, targets=tuple(sorted(same, key=lambda one: one.name != target.name)))
        return EmbeddingResponse(
            vectors=tuple(vector for part in parts for vector in part.vectors),
            usage=_summed([part.usage for part in parts]),
            model=parts[0].model,
        )

    async def _recorded(
        self,
        kind: CallKind,
        model: str,
        texts: tuple[str, ...],
        context: CallContext,
        made: Callable[[Ready, CallLog], Awaitable[ResponseT]],
    ) -> tuple[ResponseT, CallRecord]:
        """The response and the call's record, told to every sink once whatever its end."""
        stand_in = ChatRequest(model, tuple(Message.of("user", text) for text in texts))
        log = self._new_log(stand_in, context, is_stream=False, kind=kind)
        ready: Ready | None = None
        try:
            ready = await self._dispatcher.prepare(log)
            response = await made(ready, log)
        except BridgeError as error:
            error.call = await self._close(log, ready, "failed", error)
            raise
        except Exception as error:
            await self._close(log, ready, "failed", error)
            raise
        except BaseException as error:
            await self._close(log, ready, "cancelled", error)
            raise
        return response, await self._close(log, ready, "succeeded", None)


def _summed(usages: list[Usage | None]) -> Usage | None:
    known = [usage for usage in usages if usage is not None]
    if not known:
        return None
    return Usage(sum(usage.input_tokens for usage in known), 0, is_estimated=any(usage.is_estimated for usage in known))
