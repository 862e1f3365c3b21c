"""Chat calls of any dialect: authenticate, read, ask the bridge, answer whole or as it comes."""

from dataclasses import replace
from functools import partial
from typing import cast

from bridge.call_record import CallContext
from bridge.chat import ChatRequest, RoutingOverrides, StreamChunk
from bridge.gateway import Bridge
from bridge.relay import RelayedStream
from bridge.result import ChatResult
from bridge.shaping import DROPPABLE
from platform_api.limits.service import Admitted, expected_tokens
from platform_api.llm.call_headers import facts_of, facts_of_stream
from platform_api.llm.client_dialect import AnswerFacts, ChatDialect, ClientCall, StreamEncoder
from platform_api.llm.client_request import EVENTS, JSON, ClientRequest
from platform_api.llm.flow_endpoint import FlowCall
from platform_api.llm.flow_model import PREFIX
from platform_api.llm.plane_parts import MAX_NAME_CHARS, PlaneParts, caller_of, check_model, context_of

YES = frozenset({"true", "1", "yes"})


class ChatEndpoint:
    """Answers POSTs of one dialect."""

    def __init__(self, dialect: ChatDialect) -> None:
        self._dialect = dialect

    async def __call__(self, request: ClientRequest, parts: PlaneParts) -> None:
        caller = await caller_of(request, parts.authenticator)
        call = self._dialect.read(await request.body())
        check_model(caller, call.request.model)
        async with parts.admission(request, caller, partial(expected_tokens, call.request)) as admitted:
            if call.request.model.startswith(PREFIX):
                await FlowCall(self._dialect, request, parts.flows, call, caller).answer(admitted)
            else:
                await self._answer(request, parts.bridge, call, context_of(request, caller), admitted)

    async def _answer(
        self, request: ClientRequest, bridge: Bridge, call: ClientCall, context: CallContext, admitted: Admitted
    ) -> None:
        asked = _routed(call.request, request)
        if call.is_stream:
            stream = cast("RelayedStream", bridge.stream(asked, context))
            try:
                await request.unless_gone(self._relay(request, stream, call))
            finally:
                admitted.count(stream.record)
            return
        result = await request.unless_gone(bridge.chat(asked, context))
        record = result.record
        admitted.count(record)
        facts = AnswerFacts(record.call_id, _model_of(result), int(record.started_at.timestamp()))
        headers = [JSON, *self._dialect.headers(), *facts_of(record, request.elapsed_ms())]
        await request.answer(call.reply(result.response, facts), headers)

    async def _relay(self, request: ClientRequest, stream: RelayedStream, call: ClientCall) -> None:
        """Events as they come, those that came together in one piece. Nothing is sent before the first chunk: until
        then an error is a plain reply.
        """
        encoder: StreamEncoder | None = None
        pieces: list[bytes] = []
        try:
            async for chunk in stream:
                if encoder is None:
                    encoder = await self._open(request, stream, chunk, call)
                pieces.append(encoder.chunk(chunk))
                if not stream.has_ready:
                    await request.more(b"".join(pieces))
                    pieces = []
            if encoder is None:
                encoder = await self._open(request, stream, StreamChunk(), call)
            pieces.append(encoder.end(stream.result))
            await request.send({"type": "http.response.body", "body": b"".join(pieces)})
        finally:
            await stream.aclose()

    async def _open(
        self, request: ClientRequest, stream: RelayedStream, first: StreamChunk, call: ClientCall
    ) -> StreamEncoder:
        progress = stream.progress
        model = progress.model or first.model
        facts = facts_of_stream(progress, model, request.elapsed_ms())
        await request.start(200, [*EVENTS, *self._dialect.headers(), *facts])
        return call.encoder(AnswerFacts(progress.call_id, model, int(progress.started_at.timestamp())))


def _routed(asked: ChatRequest, request: ClientRequest) -> ChatRequest:
    """The request with what its headers ask of the router."""
    near = request.header(b"x-modelbridge-region")
    drops = request.header(b"x-modelbridge-drop-unsupported")
    if near is None and drops is None:
        return asked
    may_drop = DROPPABLE if drops is not None and drops.strip().lower() in YES else frozenset[str]()
    region = None if near is None else near[:MAX_NAME_CHARS]
    return replace(asked, routing=RoutingOverrides(near=region, may_drop=may_drop))


def _model_of(result: ChatResult) -> str:
    attempts = result.record.attempts
    return attempts[-1].model if attempts else result.response.model
