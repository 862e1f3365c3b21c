"""One request of a client of /v1 and the way back to it: body, headers, answer, and whether anybody still waits."""

import asyncio
import time
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar, cast

from starlette.types import Message, Receive, Scope, Send

from platform_api.body_limit import MAX_BODY_BYTES
from platform_api.errors import Problem, TooLargeError
from platform_api.limits.windows import Room
from platform_api.llm.client_dialect import ErrorDialect

Headers = list[tuple[bytes, bytes]]
AnyT = TypeVar("AnyT")
AnyBytesT = TypeVar("AnyBytesT", bytes, bytearray)
TOO_LARGE = f"the body is over {MAX_BODY_BYTES} bytes"

JSON = (b"content-type", b"application/json")
EVENTS: Headers = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
]


class ClientGoneError(Exception):
    """Nobody waits for the answer any more."""


class ClientRequest:
    """One request of a client, and the way back to it."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope = scope
        self.path = cast("str", scope["path"])
        self.method = cast("str", scope["method"])
        self.send = send
        self._receive = receive
        self._headers = dict(cast("Headers", scope["headers"]))
        self._started = time.perf_counter()
        self.dialect: ErrorDialect | None = None
        self._limit_headers: Headers = []
        self._is_answering = False
        self._is_gone = False

    def header(self, name: bytes) -> str | None:
        """A header's value; of one that was sent twice, the last."""
        value = self._headers.get(name)
        return None if value is None else value.decode("latin-1")

    def tell_limits(self, rooms: Sequence[Room]) -> None:
        """Every answer from now on says what is left of the caller's limits."""
        if self.dialect is not None and rooms:
            self._limit_headers = self.dialect.limit_headers(rooms)

    def elapsed_ms(self) -> float:
        """Since the request came in."""
        return (time.perf_counter() - self._started) * 1000

    async def body(self) -> bytes:
        """The whole body.

        Raises:
            ClientGoneError: Nobody is there any more.
            TooLargeError: It is, or says it is, over the limit; no more than that is ever held.
        """
        announced = self.header(b"content-length")
        if announced is not None and announced.isdigit() and int(announced) > MAX_BODY_BYTES:
            raise TooLargeError(TOO_LARGE)
        message = await self._receive()
        if message["type"] == "http.request" and not message.get("more_body", False):
            return _within_limit(cast("bytes", message.get("body", b"")))
        gathered = bytearray()
        while message["type"] == "http.request":
            gathered += message.get("body", b"")
            _within_limit(gathered)
            if not message.get("more_body", False):
                return bytes(gathered)
            message = await self._receive()
        raise ClientGoneError

    async def unless_gone(self, work: Coroutine[Any, Any, AnyT]) -> AnyT:
        """The work's result; when the client leaves, the work is cancelled and ClientGoneError raised."""
        working = cast("asyncio.Task[Any]", asyncio.current_task())
        watching = asyncio.create_task(self._cancel_when_gone(working))
        try:
            return await work
        except asyncio.CancelledError:
            if not self._is_gone:
                raise
            working.uncancel()
            raise ClientGoneError from None
        finally:
            watching.cancel()

    async def start(self, status: int, headers: Headers) -> None:
        """Begin the answer."""
        self._is_answering = True
        every = [*headers, *self._limit_headers] if self._limit_headers else headers
        await self.send({"type": "http.response.start", "status": status, "headers": every})

    async def more(self, piece: bytes) -> None:
        """A piece of a streamed answer; nothing is sent when it is empty."""
        if piece:
            await self.send({"type": "http.response.body", "body": piece, "more_body": True})

    async def answer(self, body: bytes, headers: Headers, *, status: int = 200) -> None:
        """The whole answer."""
        await self.start(status, [*headers, (b"content-length", str(len(body)).encode())])
        await self.send({"type": "http.response.body", "body": body})

    async def refuse(
        self, dialect: ErrorDialect, problem: Problem, *, param: str | None = None, facts: Headers | None = None
    ) -> None:
        """Say no in the dialect's shape: as a reply, or as an event when a stream has begun."""
        if self._is_answering:
            await self.send({"type": "http.response.body", "body": dialect.error_event(problem)})
            return
        headers: Headers = [JSON, *dialect.headers()]
        headers += [(name.encode(), value.encode("latin-1", "replace")) for name, value in problem.headers.items()]
        headers += facts or []
        status, body = dialect.error(problem, param)
        await self.answer(body, headers, status=status)

    async def _cancel_when_gone(self, working: "asyncio.Task[Any]") -> None:
        message: Message = {"type": ""}
        while message["type"] != "http.disconnect":
            message = await self._receive()
        self._is_gone = True
        working.cancel()


def _within_limit(body: AnyBytesT) -> AnyBytesT:
    if len(body) > MAX_BODY_BYTES:
        raise TooLargeError(TOO_LARGE)
    return body
