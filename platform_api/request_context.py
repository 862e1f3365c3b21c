"""The outermost middleware: a request id, one log line and one count per request, and an answer when all else fails."""

import logging
import re
import time
from collections.abc import Iterable
from typing import Protocol

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bridge.identifiers import NewId
from platform_api.problem_responses import send_problem, unexpected
from platform_api.structured_logging import access_log, redacted, replace_context
from platform_api.trace_context import TracedRequest, set_current

logger = logging.getLogger("platform_api.access")

RAW_HEADER = b"x-request-id"
TRACE_HEADER = b"x-modelbridge-trace-id"
_ACCEPTED_ID = re.compile(r"[0-9A-Za-z_\-.]{1,64}")
_QUIET = frozenset({"/healthz", "/readyz", "/metrics"})
NO_ROUTE = "(no route)"


class RequestCounter(Protocol):
    """Counts requests: `operations.metrics.Metrics`."""

    def request_ended(self, method: str, route: str, status: int, duration_s: float) -> None: ...


class RequestTracer(Protocol):
    """Tells of requests as spans: `operations.request_spans.RequestSpans`."""

    def begin(self, headers: Iterable[tuple[bytes, bytes]]) -> TracedRequest: ...

    def ended(self, request: TracedRequest, method: str, route: str, status: int, request_id: str) -> None: ...


class RequestContext:
    """Pure ASGI. A client's own request id is kept when it is short and plain; everybody else gets a new one."""

    def __init__(
        self, app: ASGIApp, *, counter: RequestCounter, new_id: NewId, tracer: RequestTracer | None = None
    ) -> None:
        self._app = app
        self._counter = counter
        self._new_id = new_id
        self._tracer = tracer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _given_id(scope) or self._new_id()
        told = [(RAW_HEADER, request_id.encode())]
        names = {"request_id": request_id}
        traced = None if self._tracer is None else self._traced(self._tracer, scope, names, told)
        replace_context(names)
        started, status = time.perf_counter(), 0

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), *told]
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except Exception as error:  # noqa: BLE001  # the HTTP boundary: logged once, answered with a problem
            problem = unexpected(error)
            if status == 0:
                await send_problem(problem, scope, receive, watched)
        finally:
            self._ended(scope, status or 499, time.perf_counter() - started)
            if self._tracer is not None and traced is not None:
                self._tracer.ended(traced, _method(scope), _route(scope), status or 499, request_id)

    @staticmethod
    def _traced(
        tracer: RequestTracer, scope: Scope, names: dict[str, str], told: list[tuple[bytes, bytes]]
    ) -> TracedRequest | None:
        """The request's place in a trace, for what is called on its behalf, the log, and the client."""
        if scope["path"] in _QUIET:
            return None
        traced = tracer.begin(scope["headers"])
        set_current(traced.place.traceparent)
        names["trace_id"] = traced.place.trace_id
        told.append((TRACE_HEADER, traced.place.trace_id.encode()))
        return traced

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
