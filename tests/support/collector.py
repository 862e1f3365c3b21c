"""A collector on loopback: takes OTLP over HTTP as the standard says it, and shows what spans came."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from tests.support.http_server import Asked, Head, HttpServer, http_server

PROTOBUF = {"content-type": "application/x-protobuf"}


@dataclass(frozen=True, slots=True)
class SeenSpan:
    """A span as it arrived. Ids in hex digits; a root's parent is empty."""

    name: str
    trace_id: str
    span_id: str
    parent_id: str
    kind: int
    has_failed: bool
    started_ns: int
    ended_ns: int
    attributes: dict[str, Any]
    service: str


@dataclass(frozen=True, slots=True)
class Collector:
    """What came so far."""

    server: HttpServer

    @property
    def endpoint(self) -> str:
        """For the settings."""
        return self.server.url("")

    @property
    def spans(self) -> list[SeenSpan]:
        """All spans, in the order they came."""
        return [span for asked in self.server.asked for span in _spans(asked)]

    def named(self, start: str) -> list[SeenSpan]:
        """Those whose name begins so."""
        return [span for span in self.spans if span.name.startswith(start)]

    def only(self, start: str) -> SeenSpan:
        """The one whose name begins so."""
        (found,) = self.named(start)
        return found


@asynccontextmanager
async def running_collector() -> AsyncGenerator[Collector]:
    """A collector that listens until the block ends."""
    async with http_server(_taken) as server:
        yield Collector(server)


def _taken(asked: Asked) -> Head:
    if asked.method != "POST" or asked.target != "/v1/traces":
        return 404, {}, b""
    return 200, PROTOBUF, b""


def _spans(asked: Asked) -> list[SeenSpan]:
    request = ExportTraceServiceRequest.FromString(asked.body)
    return [
        SeenSpan(
            name=span.name,
            trace_id=span.trace_id.hex(),
            span_id=span.span_id.hex(),
            parent_id=span.parent_span_id.hex(),
            kind=span.kind,
            has_failed=span.status.code == Status.STATUS_CODE_ERROR,
            started_ns=span.start_time_unix_nano,
            ended_ns=span.end_time_unix_nano,
            attributes=_attributes(span.attributes),
            service=str(_attributes(resource.resource.attributes).get("service.name")),
        )
        for resource in request.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]


def _attributes(pairs: Any) -> dict[str, Any]:  # a repeated field, which has no public type
    said: list[KeyValue] = list(pairs)
    return {pair.key: _value(pair.value) for pair in said}


def _value(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(one) for one in value.array_value.values]
    return None if kind is None else getattr(value, kind)
