"""One request of a client of /v1 and the way back to it: body, headers, answer, and whether anybody still waits."""

import asyncio
import time
from collections.abc import Awaitable
from contextlib import suppress
from typing import TypeVar, cast

from starlette.types import Message, Receive, Scope, Send

from platform_api.errors import Problem
from platform_api.llm.client_dialect import ErrorDialect

Headers = list[tuple[bytes, bytes]]
AnyT = TypeVar("AnyT")

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

    async def refuse(
        self, dialect: ErrorDialect, problem: Problem, *, param: str | None = None, facts: Headers | None = None
    ) -> None:
        """Say no in the dialect's shape: as a reply, or as an event when a stream has begun."""
        if self._is_answering:
            await self.send({"type": "http.response.body", "body": dialect.error_event(problem)})
            return
        headers: Headers = [JSON]
        headers += [(name.encode(), value.encode("latin-1", "replace")) for name, value in problem.headers.items()]
        headers += facts or []
        status, body = dialect.error(problem, param)
        await self.answer(body, headers, status=status)

    async def _wait_until_gone(self) -> None:
        message: Message = {"type": ""}
        while message["type"] != "http.disconnect":
            message = await self._receive()
