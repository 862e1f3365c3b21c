"""What a call leaves in the metrics."""

from datetime import UTC, datetime

from prometheus_client import CollectorRegistry

from bridge.call_record import AttemptRecord, CallContext, CallRecord
from bridge.chat import Usage
from bridge.metrics import CallMetrics

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)
MODEL = {"provider": "acme", "model": "acme/llama"}


def attempt(*, cost_nano_usd: int | None) -> AttemptRecord:
    return AttemptRecord(
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
        usage=Usage(input_tokens=100, output_tokens=20),
        cost_nano_usd=cost_nano_usd,
        provider_cost_nano_usd=None,
        price=None,
        is_estimated=False,
    )


def call(*attempts: AttemptRecord) -> CallRecord:
    return CallRecord(
        call_id="c1",
        context=CallContext(org_id="o1"),
        requested="cheapest",
        alias="cheapest",
        decision=None,
        attempts=attempts,
        status="succeeded",
        cache="miss",
        is_stream=False,
        started_at=NOON,
        finished_at=NOON,
    )


def test_tokens_time_and_cost_of_every_attempt_are_counted() -> None:
    registry = CollectorRegistry()

    CallMetrics(registry).record(call(attempt(cost_nano_usd=1_500_000), attempt(cost_nano_usd=500_000)))

    value = registry.get_sample_value
    assert value("modelbridge_calls_total", {"alias": "cheapest", "status": "succeeded", "cache": "miss"}) == 1
    assert value("modelbridge_tokens_total", {**MODEL, "direction": "input"}) == 200
    assert value("modelbridge_cost_usd_total", MODEL) == 0.002
    assert value("modelbridge_first_token_seconds_count", MODEL) == 2


def test_an_unknown_price_is_counted_apart_and_not_as_zero() -> None:
    registry = CollectorRegistry()

    CallMetrics(registry).record(call(attempt(cost_nano_usd=None)))

    assert registry.get_sample_value("modelbridge_unpriced_attempts_total", MODEL) == 1
    assert registry.get_sample_value("modelbridge_cost_usd_total", MODEL) is None
