"""What is told of calls as spans, and what is not. The names are the ones of the installed conventions."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.semconv._incubating.attributes import gen_ai_attributes

from bridge.call_record import AttemptRecord, CallContext, CallRecord
from bridge.chat import Usage
from bridge.config import ProviderConfig
from platform_api.operations.call_spans import PROVIDER_NAMES, CallSpans
from platform_api.operations.tracing import Tracing

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)
TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PROVIDERS = {
    "acme": ProviderConfig(dialect="openai", base_url="https://models.acme.test:8443/v1"),
    "openai": ProviderConfig(),
    "mock": ProviderConfig(),
}


def attempt(**changed: object) -> AttemptRecord:
    said = AttemptRecord(
        attempt_id="a1",
        deployment="acme/llama",
        provider="acme",
        model="acme/llama",
        started_at=NOON,
        duration_ms=250.0,
        ttft_ms=80.0,
        outcome="succeeded",
        error_class=None,
        error_message=None,
        status=200,
        usage=Usage(input_tokens=100, output_tokens=20, cached_tokens=60),
        cost_nano_usd=1_500_000,
        provider_cost_nano_usd=None,
        price=None,
        is_estimated=False,
        finish_reason="stop",
    )
    return replace(said, **changed)  # pyright: ignore[reportArgumentType]  # names of fields, checked by replace


def call(*attempts: AttemptRecord, **changed: object) -> CallRecord:
    said = CallRecord(
        call_id="c1",
        context=CallContext(org_id="o1", request_id="r1", traceparent=f"00-{TRACE}-{SPAN}-01"),
        requested="cheapest",
        alias="cheapest",
        decision=None,
        attempts=attempts,
        status="succeeded",
        cache="miss",
        is_stream=False,
        started_at=NOON,
        finished_at=NOON + timedelta(milliseconds=300),
    )
    return replace(said, **changed)  # pyright: ignore[reportArgumentType]  # names of fields, checked by replace


async def told(record: CallRecord, *, sample_ratio: float = 1.0) -> list[ReadableSpan]:
    exporter = InMemorySpanExporter()
    tracing = Tracing(exporter, sample_ratio=sample_ratio)
    CallSpans(tracing, PROVIDERS).record(record)
    await tracing.flush()
    spans = list(exporter.get_finished_spans())
    await tracing.aclose()
    return spans


def attributes_of(span: ReadableSpan) -> dict[str, object]:
    return dict(span.attributes or {})


async def test_a_call_is_one_client_span_in_the_trace_of_who_asked() -> None:
    span, _ = await told(call(attempt()))

    assert (span.name, span.kind.name) == ("chat cheapest", "CLIENT")
    assert span.context is not None
    assert span.parent is not None
    assert (f"{span.context.trace_id:032x}", f"{span.parent.span_id:016x}") == (TRACE, SPAN)
    assert span.end_time is not None
    assert span.start_time is not None
    assert span.end_time - span.start_time == 300_000_000


async def test_it_says_what_the_conventions_ask_for() -> None:
    span, _ = await told(call(attempt()))

    said = attributes_of(span)
    expected = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "acme",
        "gen_ai.request.model": "cheapest",
        "gen_ai.response.model": "acme/llama",
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.usage.input_tokens": 100,
        "gen_ai.usage.output_tokens": 20,
        "gen_ai.usage.cache_read.input_tokens": 60,
        "server.address": "models.acme.test",
        "server.port": 8443,
        "modelbridge.alias": "cheapest",
        "modelbridge.cache": "miss",
        "modelbridge.cost_usd": 0.0015,
        "modelbridge.request.id": "r1",
    }
    assert {name: said[name] for name in expected} == expected
    known = {value for name, value in vars(gen_ai_attributes).items() if name.startswith("GEN_AI_")}
    assert {name for name in said if name.startswith("gen_ai.")} <= known


def test_providers_have_the_names_that_the_conventions_give_them() -> None:
    known = {str(one.value) for one in gen_ai_attributes.GenAiProviderNameValues}  # pyright: ignore[reportDeprecated]  # the whole module moves

    assert set(PROVIDER_NAMES.values()) <= known


async def test_each_attempt_is_a_span_below_it_and_counts_no_tokens_a_second_time() -> None:
    refused = attempt(
        attempt_id="a0", deployment="openai/gpt", provider="openai", outcome="failed", error_class="rate_limit",
        error_message="slow down, sk-1234567890abcdef", status=429, usage=None, finish_reason=None,
    )  # fmt: skip

    span, first, second = await told(call(refused, attempt()))

    assert span.context is not None
    for below in (first, second):
        assert below.parent is not None
        assert below.parent.span_id == span.context.span_id
        assert not [name for name in attributes_of(below) if name.startswith("gen_ai.")]
    said = attributes_of(first)
    assert (said["error.type"], said["http.response.status_code"]) == ("rate_limit", 429)
    assert said["server.address"] == "api.openai.com"
    assert (first.status.status_code.name, second.status.status_code.name) == ("ERROR", "UNSET")


async def test_a_failed_call_says_the_class_of_its_error_and_nothing_of_its_text() -> None:
    failed = call(status="failed", error_class="budget", error_message="ann@example.com has spent it all")

    (span,) = await told(failed)

    assert attributes_of(span)["error.type"] == "budget"
    assert span.status.status_code.name == "ERROR"
    assert span.status.description is None
    assert not span.events
    assert "ann@example.com" not in span.to_json()


async def test_a_model_that_nobody_knows_is_not_repeated() -> None:
    (span,) = await told(call(alias=None, requested="my secret prompt", status="failed", error_class="invalid_request"))

    assert span.name == "chat unknown"
    assert "secret" not in span.to_json()


async def test_a_secret_in_the_name_of_a_model_is_hidden() -> None:
    served_as = attempt(deployment="ollama/sk-1234567890abcdef", model="ollama/sk-1234567890abcdef")

    spans = await told(call(served_as, alias=None, requested="ollama/sk-1234567890abcdef"))

    assert all("1234567890abcdef" not in span.to_json() for span in spans)


async def test_nothing_is_told_of_a_trace_that_its_caller_does_not_record() -> None:
    context = CallContext(org_id="o1", traceparent=f"00-{TRACE}-{SPAN}-00")

    assert await told(call(attempt(), context=context)) == []


@pytest.mark.parametrize(("ratio", "n_spans"), [(0.0, 0), (1.0, 2)])
async def test_a_call_that_nothing_traced_has_asked_for_is_a_trace_of_its_own(ratio: float, n_spans: int) -> None:
    spans = await told(call(attempt(), context=CallContext(org_id="o1")), sample_ratio=ratio)

    assert len(spans) == n_spans
    assert [span.parent for span in spans[:1]] == [None] * min(n_spans, 1)
    assert len({span.context.trace_id for span in spans if span.context is not None}) == min(n_spans, 1)


async def test_a_cached_answer_names_no_provider_and_no_tokens() -> None:
    (span,) = await told(call(cache="hit"))

    said = attributes_of(span)
    assert said["modelbridge.cache"] == "hit"
    assert "gen_ai.provider.name" not in said
    assert "gen_ai.usage.input_tokens" not in said
