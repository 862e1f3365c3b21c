"""The outermost middleware: a request id, one log line and one count per request, and an answer when all else fails."""

import logging
import re
import time
from typing import Protocol

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bridge.identifiers import NewId
from platform_api.problem_responses import send_problem, unexpected
from platform_api.structured_logging import access_log, redacted, replace_context

logger = logging.getLogger("platform_api.access")

RAW_HEADER = b"x-request-id"
_ACCEPTED_ID = re.compile(r"[0-9A-Za-z_\-.]{1,64}")
_QUIET = frozenset({"/healthz", "/readyz", "/metrics"})
NO_ROUTE = "(no route)"


class RequestCounter(Protocol):
    """Counts requests: `operations.metrics.Metrics`."""

    def request_ended(self, method: str, route: str, status: int, duration_s: float) -> None: ...


class RequestContext:
    """Pure ASGI. A client's own request id is kept when it is short and plain; everybody else gets a new one."""

    def __init__(self, app: ASGIApp, *, counter: RequestCounter, new_id: NewId) -> None:
        self._app = app
        self._counter = counter
        self._new_id = new_id

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _given_id(scope) or self._new_id()
        id_header = (RAW_HEADER, request_id.encode())
        replace_context({"request_id": request_id})
        started, status = time.perf_counter(), 0

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), id_header]
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except Exception as error:  # noqa: BLE001  # the HTTP boundary: logged once, answered with a problem
            problem = unexpected(error)
            if status == 0:
                await send_problem(problem, scope, receive, watched)
        finally:
            self._ended(scope, status or 499, time.perf_counter() - started)

    def _ended(self, scope: Scope, status: int, duration_s: float) -> None:
        route = _route(scope)
        self._counter.request_ended(_method(scope), route, status, duration_s)
        fields = {
            "method": scope["method"],
            "route": route,
            "status": status,
            "duration_ms": round(duration_s * 1e3, 1),
        }
        log = access_log()
        if scope["path"] in _QUIET:
            logger.debug("request", extra=fields)
        elif log is not None:
            log.write("request", fields)
        else:
            logger.info("request", extra=fields)


def _given_id(scope: Scope) -> str | None:
    """The client's own id, unless it is long, odd, or looks like a secret."""
    for name, value in scope["headers"]:
        if name == RAW_HEADER:
            given = value.decode("latin-1")
            return given if _ACCEPTED_ID.fullmatch(given) and redacted(given) == given else None
    return None


def _route(scope: Scope) -> str:
    """The route's template: a bounded set, and no id or secret in it. A data plane may set `route_template`."""
    route = scope.get("route")
    return str(scope.get("route_template") or getattr(route, "path", None) or NO_ROUTE)


def _method(scope: Scope) -> str:
    known = {"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"}
    return scope["method"] if scope["method"] in known else "OTHER"
