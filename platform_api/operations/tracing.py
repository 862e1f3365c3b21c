"""Spans on their way to a collector: a queue and a thread of our own, nothing of the process's global tracing.

Spans are made when what they tell of is over, from its record, so nothing of a request waits for a span; that is also
why they are made finished, past a Tracer, which would open each one only to close it, at three times the cost. A queue
of `QUEUE_SPANS` holds what was not sent yet; what does not fit is dropped, and a collector that is slow or away is
felt by nobody but the sending thread.

Source: OpenTelemetry specification, "Trace SDK" (batching processor) and "OTLP/HTTP".
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from typing import Literal, Protocol
from urllib.parse import unquote

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

from platform_api.settings import Settings
from platform_api.trace_context import TraceContext, new_trace, trace_id_of_run

QUEUE_SPANS = 8192
BATCH_SPANS = 512
SEND_EVERY_S = 1.0
EXPORT_LIMIT_S = 4.0
"""How long one batch is tried, further tries included."""
CLOSE_S = 2.0
"""How long the end of the process waits for what is left."""
TRACES_PATH = "/v1/traces"

Kind = Literal["server", "client", "internal"]
Value = str | bool | int | float | Sequence[str]
_KINDS: Mapping[Kind, SpanKind] = {
    "server": SpanKind.SERVER,
    "client": SpanKind.CLIENT,
    "internal": SpanKind.INTERNAL,
}


class SpanCounter(Protocol):
    """Counts spans: `operations.metrics.Metrics`."""

    def spans_exported(self, outcome: Literal["sent", "lost"], n_spans: int) -> None: ...


@dataclass(frozen=True, slots=True)
class Span:
    """Something that is over. `parent_id` is a span of the same trace; None: the span is the root."""

    name: str
    place: TraceContext
    parent_id: str | None
    started_at: datetime
    ended_at: datetime
    attributes: Mapping[str, Value | None] = field(default_factory=dict[str, Value | None])
    """None: left out."""
    kind: Kind = "internal"
    has_failed: bool = False


class Tracing:
    """Takes spans, from the event loop only, and sends them. One a process; closed once."""

    def __init__(self, exporter: SpanExporter, *, service_name: str = "modelbridge", sample_ratio: float = 1.0) -> None:
        self.sample_ratio = sample_ratio
        self._exporter = exporter
        self._resource = Resource.create({"service.name": service_name, "service.version": version("modelbridge")})
        self._scope = InstrumentationScope("modelbridge", version("modelbridge"))
        self._queue = BatchSpanProcessor(
            exporter,
            max_queue_size=QUEUE_SPANS,
            schedule_delay_millis=SEND_EVERY_S * 1000,
            max_export_batch_size=BATCH_SPANS,
        )

    @classmethod
    def of(cls, settings: Settings, counter: SpanCounter | None = None) -> "Tracing":
        """To the collector that the settings name."""
        section = settings.sections.telemetry
        headers = {name: value.get_secret_value() for name, value in section.headers.items()}
        if settings.otlp_headers is not None:
            headers |= parsed_headers(settings.otlp_headers.get_secret_value())
        exporter = OTLPSpanExporter(
            endpoint=traces_url(settings.otlp_endpoint or ""), headers=headers, timeout=EXPORT_LIMIT_S
        )
        counted = CountedExporter(exporter, counter)
        return cls(counted, service_name=section.service_name, sample_ratio=section.sample_ratio)

    def record(self, span: Span) -> None:
        """Take a span. One of a trace that is not recorded is dropped."""
        place = span.place
        if not place.is_sampled:
            return
        began_ns = _nanoseconds(span.started_at)
        made = ReadableSpan(
            span.name,
            context=_context(place.trace_id, place.span_id),
            parent=None if span.parent_id is None else _context(place.trace_id, span.parent_id),
            resource=self._resource,
            attributes={name: value for name, value in span.attributes.items() if value is not None},
            kind=_KINDS[span.kind],
            status=_FAILED if span.has_failed else _NEUTRAL,
            start_time=began_ns,
            end_time=max(_nanoseconds(span.ended_at), began_ns),
            instrumentation_scope=self._scope,
        )
        self._queue.on_end(made)

    def trace_of_run(self, run_id: str) -> str:
        """The traceparent of a run that no traced request has asked for."""
        return new_trace(self.sample_ratio, trace_id=trace_id_of_run(run_id)).traceparent

    async def flush(self) -> None:
        """Send what was taken so far, or lose it."""
        await asyncio.to_thread(self._queue.force_flush)

    async def aclose(self) -> None:
        """Send what is left within `CLOSE_S`. Nothing is taken afterwards."""
        closing = asyncio.create_task(asyncio.to_thread(self._queue.shutdown))
        done, _ = await asyncio.wait({closing}, timeout=CLOSE_S)
        if not done:
            self._exporter.shutdown()  # ends the waiting between tries
        await closing


class CountedExporter(SpanExporter):
    """Sends by another exporter, and counts what became of the spans."""

    def __init__(self, exporter: SpanExporter, counter: SpanCounter | None) -> None:
        self._exporter = exporter
        self._counter = counter
        self._is_down = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = self._exporter.export(spans)
        if self._counter is not None:
            self._counter.spans_exported("sent" if result is SpanExportResult.SUCCESS else "lost", len(spans))
        return result

    def shutdown(self) -> None:
        if not self._is_down:
            self._is_down = True
            self._exporter.shutdown()


def traces_url(endpoint: str) -> str:
    """Where spans are posted: the endpoint itself when it says `/v1/traces`, else that path below it."""
    base = endpoint.rstrip("/")
    return base if base.endswith(TRACES_PATH) else base + TRACES_PATH


def parsed_headers(text: str) -> dict[str, str]:
    """Of `name=value,name=value`, percent-encoded. Source: OpenTelemetry specification, "Protocol Exporter"."""
    pairs = (pair.partition("=") for pair in text.split(","))
    return {unquote(name).strip(): unquote(value).strip() for name, sign, value in pairs if sign and name.strip()}


def open_tracing(settings: Settings, counter: SpanCounter | None = None) -> Tracing | None:
    """The tracing that the settings ask for; None: none."""
    return None if settings.otlp_endpoint is None else Tracing.of(settings, counter)


_SAMPLED = TraceFlags(TraceFlags.SAMPLED)
_FAILED, _NEUTRAL = Status(StatusCode.ERROR), Status(StatusCode.UNSET)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def _context(trace_id: str, span_id: str) -> SpanContext:
    return SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=False, trace_flags=_SAMPLED)


def _nanoseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // _MICROSECOND * 1000
