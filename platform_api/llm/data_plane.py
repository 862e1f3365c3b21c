"""/v1: a pure ASGI app in front of FastAPI. One body parse, no middleware of a framework, no database while a key is
fresh, errors in the shape the SDKs read.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TypeVar, cast

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bridge.call_record import CallContext, CallRecord
from bridge.chat import ChatRequest, RoutingOverrides, StreamChunk
from bridge.errors import BridgeError, UnknownModelError
from bridge.gateway import Bridge
from bridge.money import usd_number
from bridge.relay import RelayedStream
from bridge.result import ChatResult
from platform_api.auth.authenticator import Authenticator
from platform_api.auth.principals import Caller
from platform_api.errors import ApiError, ForbiddenError, Problem, to_problem
from platform_api.llm import openai_surface as surface
from platform_api.problem_responses import unexpected
from platform_api.structured_logging import request_id

Headers = list[tuple[bytes, bytes]]
AnyT = TypeVar("AnyT")

CHAT = "/v1/chat/completions"
MODELS = "/v1/models"
PERMISSION = "llm:call"
MAX_NAME_CHARS = 200
"""Of what a caller names in a header."""
JSON = (b"content-type", b"application/json")
EVENTS: Headers = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
]

_CODES = {
    "unauthenticated": "invalid_api_key",
    "unknown_model": "model_not_found",
    "context_length": "context_length_exceeded",
    "provider_rate_limit": "rate_limit_exceeded",
}
_KINDS = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "insufficient_quota",
    403: "permission_error",
    404: "invalid_request_error",
    405: "invalid_request_error",
    413: "invalid_request_error",
    429: "rate_limit_error",
}


@dataclass(frozen=True, slots=True)
class PlaneParts:
    """What the data plane works with; there once the process has started."""

    bridge: Bridge
    authenticator: Authenticator


class ClientGoneError(Exception):
    """Nobody waits for the answer any more."""


class DataPlane:
    """Answers /v1 itself and hands everything else on."""

    def __init__(self, app: ASGIApp, *, parts: Callable[[], PlaneParts]) -> None:
        self._app = app
        self._parts = parts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith("/v1/"):
            await self._app(scope, receive, send)
            return
        request = _Request(scope, receive, send)
        try:
            await self._route(request)
        except ClientGoneError:
            return
        except surface.InvalidRequestError as error:
            problem = Problem(400, "invalid_request", str(error))
            await request.refuse(problem, param=error.param)
        except (ApiError, BridgeError) as error:
            await request.refuse(to_problem(error), call=_call_of(error))
        except Exception as error:  # noqa: BLE001  # the HTTP boundary: logged once, answered in the dialect's shape
            await request.refuse(unexpected(error))

    async def _route(self, request: "_Request") -> None:
        path, method = request.path, request.method
        if path == CHAT and method == "POST":
            request.scope["route_template"] = CHAT
            await self._chat(request)
        elif (path == MODELS or path.startswith(MODELS + "/")) and method == "GET":
            request.scope["route_template"] = MODELS
            await self._models(request)
        elif path in (CHAT, MODELS):
            await request.refuse(Problem(405, "method_not_allowed", f"{method} is not for {path}"))
        else:
            await request.refuse(Problem(404, "unknown_url", f"there is nothing at {path}"))

    async def _models(self, request: "_Request") -> None:
        parts = self._parts()
        caller = await _caller(request, parts.authenticator)
        bridge = parts.bridge
        names = [(alias.name, "modelbridge") for alias in bridge.aliases()]
        names += [(entry.name, entry.provider) for entry in bridge.models()]
        allowed = [pair for pair in names if caller.models is None or pair[0] in caller.models]
        wanted = request.path.removeprefix(MODELS).lstrip("/")
        if not wanted:
            await request.answer(surface.models_list(iter(allowed), created=0), [JSON])
            return
        owner = dict(allowed).get(wanted)
        if owner is None:
            raise UnknownModelError(wanted, suggestion=bridge.suggest(wanted))
        await request.answer(surface.model_object(wanted, owner, created=0), [JSON])

    async def _chat(self, request: "_Request") -> None:
        parts = self._parts()
        caller = await _caller(request, parts.authenticator)
        body = surface.read_body(await request.body())
        if caller.models is not None and body.model not in caller.models:
            raise ForbiddenError(f"this key may not use {body.model}", code="model_not_allowed")
        chat_request = surface.to_request(body)
        near, conversation = request.header(b"x-modelbridge-region"), request.header(b"x-modelbridge-conversation")
        if near is not None:
            chat_request = replace(chat_request, routing=RoutingOverrides(near=near[:MAX_NAME_CHARS]))
        context = CallContext(
            org_id=str(caller.org_id),
            key_id=None if caller.key_id is None else str(caller.key_id),
            user_id=None if caller.user_id is None else str(caller.user_id),
            task=request.header(b"x-modelbridge-task"),
            request_id=request_id(),
            conversation=None if conversation is None else conversation[:MAX_NAME_CHARS],
            allowed_models=None if caller.models is None else tuple(sorted(caller.models)),
        )
        if body.stream:
            stream = cast("RelayedStream", parts.bridge.stream(chat_request, context))
            await request.unless_gone(_relay(request, stream, wants_usage=body.wants_usage))
        else:
            await self._complete(request, parts.bridge, chat_request, context)

    async def _complete(
        self, request: "_Request", bridge: Bridge, chat_request: ChatRequest, context: CallContext
    ) -> None:
        result = await request.unless_gone(bridge.chat(chat_request, context))
        record = result.record
        reply = surface.completion(
            result.response,
            call_id=record.call_id,
            model=_model_of(result),
            created=int(record.started_at.timestamp()),
        )
        await request.answer(reply, [JSON, *_facts(record, request.elapsed_ms())])


class _Request:
    """One request of a client, and the way back to it."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope = scope
        self.path = cast("str", scope["path"])
        self.method = cast("str", scope["method"])
        self.send = send
        self._receive = receive
        self._started = time.perf_counter()
        self._is_answering = False

    def header(self, name: bytes) -> str | None:
        """A header's value."""
        for key, value in cast("Headers", self.scope["headers"]):
            if key == name:
                return value.decode("latin-1")
        return None

    def elapsed_ms(self) -> float:
        """Since the request came in."""
        return (time.perf_counter() - self._started) * 1000

    async def body(self) -> bytes:
        """The whole body. Raises ClientGoneError."""
        message = await self._receive()
        if message["type"] == "http.request" and not message.get("more_body", False):
            return cast("bytes", message.get("body", b""))
        chunks: list[bytes] = []
        while message["type"] == "http.request":
            chunks.append(message.get("body", b""))
            if not message.get("more_body", False):
                return b"".join(chunks)
            message = await self._receive()
        raise ClientGoneError

    async def unless_gone(self, work: Awaitable[AnyT]) -> AnyT:
        """The work's result; when the client leaves, the work is cancelled and ClientGoneError raised."""
        working = asyncio.ensure_future(work)
        watching = asyncio.ensure_future(self._wait_until_gone())
        try:
            await asyncio.wait({working, watching}, return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                return working.result()
            raise ClientGoneError
        finally:
            watching.cancel()
            if not working.done():
                working.cancel()
                with suppress(asyncio.CancelledError, Exception):
                    await working

    async def start(self, status: int, headers: Headers) -> None:
        """Begin the answer."""
        self._is_answering = True
        await self.send({"type": "http.response.start", "status": status, "headers": headers})

    async def more(self, piece: bytes) -> None:
        """A piece of a streamed answer."""
        await self.send({"type": "http.response.body", "body": piece, "more_body": True})

    async def answer(self, body: bytes, headers: Headers, *, status: int = 200) -> None:
        """The whole answer."""
        await self.start(status, [*headers, (b"content-length", str(len(body)).encode())])
        await self.send({"type": "http.response.body", "body": body})

    async def refuse(self, problem: Problem, *, param: str | None = None, call: CallRecord | None = None) -> None:
        """Say no in the dialect's shape: as a reply, or as an event when a stream has begun."""
        kind = kind_of(problem)
        code = _CODES.get(problem.code, problem.code)
        if self._is_answering:
            await self.send(
                {"type": "http.response.body", "body": surface.error_event(problem.detail, kind=kind, code=code)}
            )
            return
        headers: Headers = [JSON]
        headers += [(name.encode(), value.encode("latin-1", "replace")) for name, value in problem.headers.items()]
        if call is not None:
            headers += _facts(call, self.elapsed_ms())
        if problem.code == "unknown_model":
            param = "model"
        body = surface.error_body(problem.detail, kind=kind, code=code, param=param)
        await self.answer(body, headers, status=status_of(problem))

    async def _wait_until_gone(self) -> None:
        message: Message = {"type": ""}
        while message["type"] != "http.disconnect":
            message = await self._receive()


async def _caller(request: _Request, authenticator: Authenticator) -> Caller:
    caller = await authenticator.authenticate(request.header(b"authorization"), request.header(b"x-api-key"))
    if not caller.may(PERMISSION):
        raise ForbiddenError(f"this needs the permission {PERMISSION}")
    return caller


async def _relay(request: _Request, stream: RelayedStream, *, wants_usage: bool) -> None:
    """Events as they come. Nothing is sent before the first chunk: until then an error is a plain reply."""
    encoder: surface.StreamEncoder | None = None
    try:
        async for chunk in stream:
            if encoder is None:
                encoder = await _open(request, stream, chunk, wants_usage=wants_usage)
            piece = encoder.chunk(chunk)
            if piece:
                await request.more(piece)
        result = stream.result
        if encoder is None:
            encoder = await _open(request, stream, StreamChunk(), wants_usage=wants_usage)
        last = encoder.end(result.response.usage, cost_usd=usd_number(result.record.cost_nano_usd))
        await request.send({"type": "http.response.body", "body": last})
    finally:
        await stream.aclose()


async def _open(
    request: _Request, stream: RelayedStream, first: StreamChunk, *, wants_usage: bool
) -> surface.StreamEncoder:
    progress = stream.progress
    overhead_ms = max(0.0, request.elapsed_ms() - progress.waited_ms)
    model = progress.model or first.model
    await request.start(
        200,
        [
            *EVENTS,
            (b"x-modelbridge-call-id", progress.call_id.encode()),
            (b"x-modelbridge-model", model.encode("latin-1", "replace")),
            (b"x-modelbridge-provider", (progress.provider or "").encode("latin-1", "replace")),
            (b"x-modelbridge-attempts", str(progress.n_attempts).encode()),
            (b"x-modelbridge-cache", progress.cache.encode()),
            (b"x-modelbridge-overhead-ms", f"{overhead_ms:.2f}".encode()),
        ],
    )
    created = int(progress.started_at.timestamp())
    return surface.StreamEncoder(model=model, call_id=progress.call_id, created=created, wants_usage=wants_usage)


def status_of(problem: Problem) -> int:
    """The dialect knows no 422: what cannot be served is a bad request."""
    return 400 if problem.status == 422 else problem.status


def kind_of(problem: Problem) -> str:
    """The error's `type`."""
    return _KINDS.get(status_of(problem), "server_error")


def _facts(record: CallRecord, elapsed_ms: float) -> Headers:
    last = record.attempts[-1] if record.attempts else None
    overhead_ms = max(0.0, elapsed_ms - sum(attempt.duration_ms for attempt in record.attempts))
    cost = usd_number(record.cost_nano_usd)
    facts: Headers = [
        (b"x-modelbridge-call-id", record.call_id.encode()),
        (b"x-modelbridge-attempts", str(len(record.attempts)).encode()),
        (b"x-modelbridge-cache", record.cache.encode()),
        (b"x-modelbridge-overhead-ms", f"{overhead_ms:.2f}".encode()),
    ]
    if last is not None:
        facts.append((b"x-modelbridge-model", last.model.encode("latin-1", "replace")))
        facts.append((b"x-modelbridge-provider", last.provider.encode("latin-1", "replace")))
    if cost is not None:
        facts.append((b"x-modelbridge-cost-usd", f"{cost:.9f}".encode()))
    return facts


def _model_of(result: ChatResult) -> str:
    attempts = result.record.attempts
    return attempts[-1].model if attempts else result.response.model


def _call_of(error: Exception) -> CallRecord | None:
    call = getattr(error, "call", None)
    return call if isinstance(call, CallRecord) else None
