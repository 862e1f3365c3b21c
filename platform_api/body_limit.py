"""A limit on request bodies, kept while they stream in: nothing larger is ever held."""

from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from platform_api.errors import Problem, TooLargeError, to_problem
from platform_api.problem_responses import send_problem

MAX_BODY_BYTES = 10 * 1024 * 1024


@dataclass(slots=True)
class _State:
    """How far one request is."""

    received: int = 0
    is_over: bool = False
    has_started: bool = False


class BodyLimit:
    """Pure ASGI: 413 when the body is, or says it is, over the limit."""

    def __init__(self, app: ASGIApp, *, max_bytes: int = MAX_BODY_BYTES) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        announced = Headers(scope=scope).get("content-length", "")
        if announced.isdigit() and int(announced) > self._max_bytes:
            await send_problem(self._too_large(), scope, receive, send)
            return
        state = _State()

        async def counted() -> Message:
            message = await receive()
            state.received += len(message.get("body", b""))
            if state.received > self._max_bytes:
                state.is_over = True
                raise TooLargeError(self._text())
            return message

        async def watched(message: Message) -> None:
            if state.is_over and not state.has_started:
                return  # whatever the application makes of the error: 413 is the answer
            state.has_started = True
            await send(message)

        try:
            await self._app(scope, counted, watched)
        except TooLargeError:
            if state.has_started:
                raise
        if state.is_over and not state.has_started:
            await send_problem(self._too_large(), scope, receive, send)

    def _text(self) -> str:
        return f"the body is over {self._max_bytes} bytes"

    def _too_large(self) -> Problem:
        return to_problem(TooLargeError(self._text()))
