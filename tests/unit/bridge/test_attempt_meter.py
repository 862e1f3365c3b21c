from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.attempt_meter import NOTHING, AttemptMeter, Produced, is_believable, provider_nano_usd
from bridge.call_record import AttemptRecord
from bridge.catalog.prices import Prices
from bridge.chat import ChatResponse, Usage
from bridge.clock import FrozenClock
from bridge.errors import AttemptTimeoutError, NotReachedError, ProviderError, RateLimitedError, UnavailableError
from bridge.tokens import TokenEstimator
from bridge.worst_case import attempt_bound_nano_usd
from tests.support.wire import START, KeptAttempts, asking, deployment


def meter(records: list[AttemptRecord] | None = None, clock: FrozenClock | None = None) -> AttemptMeter:
    return AttemptMeter(
        "a1",
        asking("x" * 384),
        deployment(context_window=1_000),
        prices=Prices(),
        clock=clock or FrozenClock(START),
        estimator=TokenEstimator(),
        watch=None if records is None else KeptAttempts(records),
    )


def test_a_success_is_billed_by_the_providers_count() -> None:
    record = meter().succeeded(ChatResponse("hi", "stop", Usage(10, 5), provider_cost_usd=0.25))

    assert record.cost_nano_usd == 10 * 1_000 + 5 * 2_000
    assert record.provider_cost_nano_usd == 250_000_000
    assert (record.outcome, record.status, record.finish_reason) == ("succeeded", 200, "stop")
    assert record.price is not None
    assert not record.is_estimated


@pytest.mark.parametrize(
    "error",
    [
        RateLimitedError("slow", deployment="d", status=429),
        NotReachedError("refused", deployment="d"),
        UnavailableError("500", deployment="d", status=500),
    ],
)
def test_what_is_surely_unbilled_costs_nothing(error: ProviderError) -> None:
    record = meter().failed(error, NOTHING)

    assert record.cost_nano_usd == 0
    assert record.usage is None
    assert not record.is_estimated
    assert error.record is record


def test_a_timeout_is_billed_for_the_prompt_by_estimate() -> None:
    record = meter().failed(AttemptTimeoutError("late", deployment="d"), NOTHING)

    assert record.usage == Usage(100, 0, is_estimated=True)
    assert record.cost_nano_usd == 100 * 1_000
    assert record.is_estimated


def test_a_cut_stream_is_billed_for_what_came_even_with_an_error_status() -> None:
    record = meter().failed(UnavailableError("502", deployment="d", status=502), Produced(content_bytes=40))

    assert record.usage == Usage(100, 10, is_estimated=True)
    assert record.cost_nano_usd == 100 * 1_000 + 10 * 2_000


def test_a_cancelled_attempt_is_billed_by_the_providers_count_when_there_is_one() -> None:
    record = meter().cancelled(Produced(Usage(7, 3), content_bytes=400))

    assert record.usage == Usage(7, 3)
    assert (record.outcome, record.error_class) == ("cancelled", None)


def test_an_attempt_ends_once() -> None:
    records: list[AttemptRecord] = []
    measured = meter(records)
    first = measured.cancelled(NOTHING)
    again = measured.failed(UnavailableError("x", deployment="d"), NOTHING)

    assert again is first
    assert records == [first]


def test_times_are_the_clocks() -> None:
    clock = FrozenClock(START)
    measured = meter(clock=clock)
    clock.advance(0.5)
    measured.first_content()
    clock.advance(1)
    measured.first_content()
    record = measured.succeeded(ChatResponse("x", "stop", Usage(1, 1)))

    assert record.started_at == START
    assert record.ttft_ms == 500
    assert record.duration_ms == 1_500


@pytest.mark.parametrize(
    ("usage", "is_fine"),
    [
        (Usage(10, 5), True),
        (Usage(10, 5, cached_tokens=10), True),
        (Usage(0, 0), False),
        (Usage(-1, 5), False),
        (Usage(10, -5), False),
        (Usage(10, 5, cached_tokens=11), False),
        (Usage(10, 5, cached_tokens=6, cache_write_tokens=6), False),
        (Usage(10, 5, reasoning_tokens=-1), False),
        (Usage(1_001, 5), False),
        (Usage(10, 1_001), False),
    ],
)
def test_absurd_counts_are_not_believed(usage: Usage, is_fine: bool) -> None:
    assert is_believable(usage, deployment(context_window=1_000)) is is_fine


@given(st.integers(0, 10**7), st.integers(1, 5000), st.integers(1, 3), st.integers(1, 10**6))
def test_an_estimate_never_costs_more_than_what_was_held(content_bytes: int, limit: int, n: int, counted: int) -> None:
    request, target, estimator = (
        replace(asking("x" * 384), max_output_tokens=limit, n=n),
        deployment(),
        TokenEstimator(),
    )
    estimator.learn(target.model, request, counted)
    one = AttemptMeter("a", request, target, prices=Prices(), clock=FrozenClock(START), estimator=estimator)
    record = one.cancelled(Produced(content_bytes=content_bytes))
    bound = attempt_bound_nano_usd(Prices(), request, target, START)

    assert record.cost_nano_usd is not None
    assert bound is not None
    assert record.cost_nano_usd <= bound


def test_absurd_counts_are_replaced_by_an_estimate_that_says_so() -> None:
    usage = meter().settled_usage(Produced(Usage(10**9, 5), content_bytes=8))

    assert usage == Usage(100, 2, is_estimated=True)


@pytest.mark.parametrize(
    ("stated", "nano"),
    [(None, None), (0.0, 0), (0.1, 100_000_000), (-1.0, None), (float("inf"), None), (float("nan"), None)],
)
def test_a_stated_cost_is_exact_or_nothing(stated: float | None, nano: int | None) -> None:
    assert provider_nano_usd(stated) == nano
