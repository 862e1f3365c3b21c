"""Model calls as spans: one client span a call, one below it for each attempt.

Only names, numbers and our own ids are told. The attempts say nothing under `gen_ai.`, or tools that add up tokens
by that name would count them twice.

Source: OpenTelemetry semantic conventions for generative AI, "GenAI client spans", development status, as named in
opentelemetry-semantic-conventions 0.66b2.
"""

from collections.abc import Mapping
from datetime import timedelta
from functools import lru_cache
from urllib.parse import urlsplit

from opentelemetry.semconv._incubating.attributes import gen_ai_attributes as gen_ai
from opentelemetry.semconv.attributes.error_attributes import ERROR_TYPE
from opentelemetry.semconv.attributes.http_attributes import HTTP_RESPONSE_STATUS_CODE
from opentelemetry.semconv.attributes.server_attributes import SERVER_ADDRESS, SERVER_PORT

from bridge.call_record import AttemptRecord, CallRecord
from bridge.catalog.known_providers import KNOWN_PROVIDERS
from bridge.config import ProviderConfig
from bridge.money import usd_number
from platform_api.operations.tracing import Span, Tracing, Value
from platform_api.structured_logging import redacted
from platform_api.trace_context import TraceContext, child_of, new_trace, parsed

PROVIDER_NAMES: Mapping[str, str] = {
    "google": "gcp.gemini",
    "mistral": "mistral_ai",
    "azure": "azure.ai.openai",
    "bedrock": "aws.bedrock",
    "vertex": "gcp.vertex_ai",
    "xai": "x_ai",
}
"""Of providers that the conventions name otherwise than we do."""
UNKNOWN = "unknown"
"""In place of a model that nobody knows: what a caller wrote there may be anything."""
MAX_NAME_CHARS = 200
Address = tuple[str, int | None]


class CallSpans:
    """A CallSink that tells of calls as spans."""

    def __init__(self, tracing: Tracing, providers: Mapping[str, ProviderConfig]) -> None:
        self._tracing = tracing
        self._addresses = {name: found for name, one in providers.items() if (found := address_of(name, one))}

    def record(self, call: CallRecord) -> None:
        """Tell of a finished call and its attempts."""
        asked = parsed(call.context.traceparent)
        place = new_trace(self._tracing.sample_ratio) if asked is None else child_of(asked)
        if not place.is_sampled:
            return
        span = Span(
            name=f"{call.kind} {model_of(call)}",
            place=place,
            parent_id=None if asked is None else asked.span_id,
            started_at=call.started_at,
            ended_at=call.finished_at,
            attributes={**call_attributes(call), **self._address(call.attempts[-1] if call.attempts else None)},
            kind="client",
            has_failed=call.status == "failed",
        )
        self._tracing.record(span)
        for attempt in call.attempts:
            self._tracing.record(self._attempt(attempt, place))

    def _attempt(self, attempt: AttemptRecord, call: TraceContext) -> Span:
        return Span(
            name=f"attempt {_plain(attempt.deployment)}",
            place=child_of(call),
            parent_id=call.span_id,
            started_at=attempt.started_at,
            ended_at=attempt.started_at + timedelta(milliseconds=attempt.duration_ms),
            attributes={**attempt_attributes(attempt), **self._address(attempt)},
            kind="client",
            has_failed=attempt.outcome == "failed",
        )

    def _address(self, attempt: AttemptRecord | None) -> dict[str, Value | None]:
        found = None if attempt is None else self._addresses.get(attempt.provider)
        return {} if found is None else {SERVER_ADDRESS: found[0], SERVER_PORT: found[1]}


def model_of(call: CallRecord) -> str:
    """What was asked for, when it is something we know."""
    is_known = call.alias is not None or call.decision is not None or bool(call.attempts)
    return _plain(call.requested) if is_known else UNKNOWN


def call_attributes(call: CallRecord) -> dict[str, Value | None]:
    """What the span of a call says."""
    last = call.attempts[-1] if call.attempts else None
    context = call.context
    return {
        gen_ai.GEN_AI_OPERATION_NAME: call.kind,
        gen_ai.GEN_AI_REQUEST_MODEL: model_of(call),
        gen_ai.GEN_AI_REQUEST_STREAM: call.is_stream or None,
        **({} if last is None else _answer_attributes(call, last)),
        ERROR_TYPE: call.error_class or ("cancelled" if call.status == "cancelled" else None),
        "modelbridge.call.id": call.call_id,
        "modelbridge.call.status": call.status,
        "modelbridge.alias": call.alias,
        "modelbridge.attempts": len(call.attempts),
        "modelbridge.cache": call.cache,
        "modelbridge.cost_usd": usd_number(call.cost_nano_usd),
        "modelbridge.re_asks": call.re_asks or None,
        "modelbridge.decision.id": None if call.decision is None else call.decision.id,
        "modelbridge.decision.policy": None if call.decision is None else call.decision.policy,
        "modelbridge.org.id": context.org_id,
        "modelbridge.key.id": context.key_id,
        "modelbridge.request.id": context.request_id,
        "modelbridge.run.id": context.run_id,
        "modelbridge.step.path": context.step_path,
        "modelbridge.flow": context.flow,
    }


def attempt_attributes(attempt: AttemptRecord) -> dict[str, Value | None]:
    """What the span of an attempt says."""
    usage = attempt.usage
    return {
        HTTP_RESPONSE_STATUS_CODE: attempt.status,
        ERROR_TYPE: attempt.error_class or ("cancelled" if attempt.outcome == "cancelled" else None),
        "modelbridge.attempt.id": attempt.attempt_id,
        "modelbridge.attempt.outcome": attempt.outcome,
        "modelbridge.attempt.deployment": _plain(attempt.deployment),
        "modelbridge.attempt.ttft_ms": attempt.ttft_ms,
        "modelbridge.attempt.input_tokens": None if usage is None else usage.input_tokens,
        "modelbridge.attempt.output_tokens": None if usage is None else usage.output_tokens,
        "modelbridge.attempt.cost_usd": usd_number(attempt.cost_nano_usd),
    }


def address_of(name: str, provider: ProviderConfig) -> Address | None:
    """Host and port of a provider; None when it has none, because it runs in this process."""
    known = KNOWN_PROVIDERS.get(name)
    url = urlsplit(provider.base_url or (known.base_url if known else ""))
    return (url.hostname, url.port) if url.scheme in {"http", "https"} and url.hostname else None


def _answer_attributes(call: CallRecord, last: AttemptRecord) -> dict[str, Value | None]:
    """Of a call that reached a provider. Tokens are those of all its attempts: that is what is paid for."""
    usages = [attempt.usage for attempt in call.attempts if attempt.usage is not None]
    reasons = () if last.finish_reason is None else (last.finish_reason,)
    has_usage = bool(usages)
    return {
        gen_ai.GEN_AI_PROVIDER_NAME: PROVIDER_NAMES.get(last.provider, last.provider),
        gen_ai.GEN_AI_RESPONSE_MODEL: _plain(last.model) if last.outcome == "succeeded" else None,
        gen_ai.GEN_AI_RESPONSE_FINISH_REASONS: reasons or None,
        gen_ai.GEN_AI_RESPONSE_TIME_TO_FIRST_CHUNK: None if last.ttft_ms is None else last.ttft_ms / 1000,
        gen_ai.GEN_AI_USAGE_INPUT_TOKENS: sum(one.input_tokens for one in usages) if has_usage else None,
        gen_ai.GEN_AI_USAGE_OUTPUT_TOKENS: sum(one.output_tokens for one in usages) if has_usage else None,
        gen_ai.GEN_AI_USAGE_CACHE_READ_INPUT_TOKENS: sum(one.cached_tokens for one in usages) or None,
        gen_ai.GEN_AI_USAGE_REASONING_OUTPUT_TOKENS: sum(one.reasoning_tokens for one in usages) or None,
    }


@lru_cache(maxsize=1024)
def _plain(name: str) -> str:
    """A name without what looks like a secret; there are few, and looking costs more than all the rest."""
    return str(redacted(name))[:MAX_NAME_CHARS]
