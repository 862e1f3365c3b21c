"""What a call leaves in the metrics."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from prometheus_client import CollectorRegistry

from bridge.call_record import AttemptRecord, CallContext, CallRecord
from bridge.chat import Usage
from bridge.metrics import CallMetrics, LabelCap

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


def failed(deployment: str, started_ms: float, **changed: Any) -> AttemptRecord:
    began = NOON + timedelta(milliseconds=started_ms)
    fields = {"outcome": "failed", "error_class": "unavailable", **changed}
    return replace(attempt(cost_nano_usd=0), deployment=deployment, model=deployment, started_at=began, **fields)


def test_attempts_after_a_failure_are_retries_at_the_same_target_and_failovers_at_another() -> None:
    registry = CollectorRegistry()
    attempts = (failed("acme/llama", 0), failed("acme/llama", 300), failed("other/gpt", 600))

    CallMetrics(registry).record(call(*attempts))

    value = registry.get_sample_value
    assert value("modelbridge_retries_total", MODEL) == 1
    assert value("modelbridge_failovers_total", {"alias": "cheapest"}) == 1
    assert value("modelbridge_hedges_total", {"alias": "cheapest"}) is None


def test_an_attempt_beside_a_slow_one_is_a_hedge_whichever_ends_first() -> None:
    registry = CollectorRegistry()
    slow = failed("acme/llama", 0, outcome="cancelled", error_class=None)
    quick = failed("other/gpt", 100, outcome="succeeded", error_class=None)

    CallMetrics(registry).record(call(quick, slow))

    assert registry.get_sample_value("modelbridge_hedges_total", {"alias": "cheapest"}) == 1
    assert registry.get_sample_value("modelbridge_failovers_total", {"alias": "cheapest"}) is None


def test_a_further_attempt_after_an_answer_is_no_retry() -> None:
    registry = CollectorRegistry()
    first = failed("acme/llama", 0, outcome="succeeded", error_class=None)

    CallMetrics(registry).record(call(first, replace(first, started_at=NOON + timedelta(seconds=1))))

    assert registry.get_sample_value("modelbridge_retries_total", MODEL) is None


def test_what_a_budget_refused_and_what_was_rescued_is_counted_by_alias() -> None:
    registry = CollectorRegistry()
    metrics = CallMetrics(registry)

    metrics.record(replace(call(), status="failed", error_class="budget"))
    metrics.record(replace(call(attempt(cost_nano_usd=0)), is_rescued=True))

    assert registry.get_sample_value("modelbridge_budget_refusals_total", {"alias": "cheapest"}) == 1
    assert registry.get_sample_value("modelbridge_rescues_total", {"alias": "cheapest"}) == 1


def test_ten_thousand_names_that_callers_made_up_become_one() -> None:
    registry = CollectorRegistry()
    metrics = CallMetrics(registry, max_names=50)
    metrics.models.reserve(["acme/ours"])

    for number in range(10_000):
        name = f"ollama/made-up-{number}"
        metrics.record(replace(call(failed(name, 0, provider="ollama")), alias=f"alias-{number}"))
    metrics.record(call(failed("acme/ours", 0, provider="acme")))

    shown = [sample.labels for family in registry.collect() for sample in family.samples]
    assert len({labels["model"] for labels in shown if "model" in labels}) == 52
    assert len({labels["alias"] for labels in shown if "alias" in labels}) == 51
    value = registry.get_sample_value
    others = {"provider": "ollama", "model": "other", "outcome": "unavailable"}
    assert value("modelbridge_attempts_total", others) == 9_950
    assert value("modelbridge_attempts_total", {**others, "provider": "acme", "model": "acme/ours"}) == 1


def test_a_name_is_cut_and_cleaned_before_it_becomes_a_label() -> None:
    cap = LabelCap(2, shown=lambda name: name.replace("secret", "*"))

    assert cap.of("a-secret") == "a-*"
    assert len(cap.of("m" * 5_000)) == 120
    assert (cap.of("third"), cap.of("a-secret")) == ("other", "a-*")
