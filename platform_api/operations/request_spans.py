"""One server span for each HTTP request; a caller's own trace goes on in it.

Source: OpenTelemetry semantic conventions, "HTTP server" (attributes http.request.method, http.route, ...).
"""

from collections.abc import Iterable
from datetime import UTC, datetime

from opentelemetry.semconv.attributes.error_attributes import ERROR_TYPE
from opentelemetry.semconv.attributes.http_attributes import (
    HTTP_REQUEST_METHOD,
    HTTP_RESPONSE_STATUS_CODE,
    HTTP_ROUTE,
)

from platform_api.operations.tracing import Span, Tracing
from platform_api.trace_context import TracedRequest, child_of, new_trace, parsed

RAW_TRACEPARENT = b"traceparent"
SERVER_ERROR = 500


class RequestSpans:
    """`request_context.RequestTracer` over a Tracing."""

    def __init__(self, tracing: Tracing) -> None:
        self._tracing = tracing

    def begin(self, headers: Iterable[tuple[bytes, bytes]]) -> TracedRequest:
        """The place of a request: in the trace that its `traceparent` names, or the root of a new one."""
        given = next((value for name, value in headers if name == RAW_TRACEPARENT), None)
        parent = None if given is None else parsed(given.decode("latin-1"))
        place = new_trace(self._tracing.sample_ratio) if parent is None else child_of(parent)
        return TracedRequest(place, None if parent is None else parent.span_id, datetime.now(UTC))

    def ended(self, request: TracedRequest, method: str, route: str, status: int, request_id: str) -> None:
        """The request is over."""
        has_failed = status >= SERVER_ERROR
        span = Span(
            name=f"{method} {route}",
            place=request.place,
            parent_id=request.parent_id,
            started_at=request.began_at,
            ended_at=datetime.now(UTC),
            attributes={
                HTTP_REQUEST_METHOD: method,
                HTTP_ROUTE: route,
                HTTP_RESPONSE_STATUS_CODE: status,
                ERROR_TYPE: str(status) if has_failed else None,
                "modelbridge.request.id": request_id,
            },
            kind="server",
            has_failed=has_failed,
        )
        self._tracing.record(span)
