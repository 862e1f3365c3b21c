"""The `x-modelbridge-*` headers of an answer."""

from bridge.call_record import CallRecord
from bridge.money import usd_number
from bridge.result import StreamProgress
from platform_api.llm.client_request import Headers


def facts_of(record: CallRecord, elapsed_ms: float) -> Headers:
    """Of a call that is over."""
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


def facts_of_stream(progress: StreamProgress, model: str, elapsed_ms: float) -> Headers:
    """Of an answer that has begun; what it costs is known at its end."""
    overhead_ms = max(0.0, elapsed_ms - progress.waited_ms)
    return [
        (b"x-modelbridge-call-id", progress.call_id.encode()),
        (b"x-modelbridge-model", model.encode("latin-1", "replace")),
        (b"x-modelbridge-provider", (progress.provider or "").encode("latin-1", "replace")),
        (b"x-modelbridge-attempts", str(progress.n_attempts).encode()),
        (b"x-modelbridge-cache", progress.cache.encode()),
        (b"x-modelbridge-overhead-ms", f"{overhead_ms:.2f}".encode()),
    ]
