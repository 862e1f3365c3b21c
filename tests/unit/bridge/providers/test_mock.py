import contextlib
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bridge.attempt import AttemptLimits
from bridge.clock import FrozenClock
from bridge.errors import AttemptTimeoutError, ProviderError
from bridge.providers.mock import MockTransport, counted_calls
from tests.support.wire import asking, deployment, runner_over

TARGET = deployment("mock", base_url="mock://provider")


def clock() -> FrozenClock:
    return FrozenClock(datetime(2026, 11, 25, tzinfo=UTC))


async def test_the_same_request_gets_the_same_answer() -> None:
    runner = runner_over(MockTransport(clock=clock()), clock(), "mock")
    answers = [await runner.complete(asking("Hello"), TARGET, AttemptLimits()) for _ in range(2)]

    assert answers[0].response == answers[1].response


async def test_latency_takes_the_clocks_time_only() -> None:
    time = clock()
    transport = MockTransport({"latency": {"min_ms": 2_000, "max_ms": 3_000}}, clock=time)
    attempted = await runner_over(transport, time, "mock").complete(asking(), TARGET, AttemptLimits())

    assert 2_000 <= attempted.record.duration_ms <= 3_000


async def test_a_silent_route_takes_the_limit_and_no_longer() -> None:
    time = clock()
    runner = runner_over(MockTransport({"faults": [{"kind": "hang"}]}, clock=time), time, "mock")
    with pytest.raises(AttemptTimeoutError):
        await runner.complete(asking(), TARGET, AttemptLimits(total_s=30))

    assert time.monotonic() == 30


async def test_chunks_come_at_the_pace_that_was_set() -> None:
    time = clock()
    transport = MockTransport({"ms_per_token": 100, "replies": [{"text": "a b c"}]}, clock=time)
    stream = runner_over(transport, time, "mock").stream(asking(), TARGET, AttemptLimits())
    seen = [(chunk.text, round(time.monotonic(), 1)) async for chunk in stream if chunk.text]

    assert seen == [("a ", 0.0), ("b ", 0.1), ("c", 0.2)]


async def test_calls_are_counted_with_what_they_would_have_cost() -> None:
    transport = MockTransport({"faults": [{"kind": "hang"}, {"kind": "status"}]}, clock=clock())
    runner = runner_over(transport, clock(), "mock")
    for _ in range(3):
        with contextlib.suppress(ProviderError):
            await runner.complete(asking("Hello"), TARGET, AttemptLimits(total_s=1))

    assert [(call.fault, call.is_billed) for call in transport.calls] == [
        ("hang", True),
        ("status", False),
        (None, True),
    ]


async def test_a_counter_file_counts_the_calls_of_all_transports(tmp_path: Path) -> None:
    counter = tmp_path / "deep" / "calls.jsonl"
    for _ in range(2):
        transport = MockTransport({"counter_path": str(counter)}, clock=clock())
        await runner_over(transport, clock(), "mock").complete(asking("Hello"), TARGET, AttemptLimits())

    assert [(call.model, call.text, call.is_billed) for call in counted_calls(counter)] == [("m", "Hello", True)] * 2


def test_a_counter_that_was_never_written_counts_nothing(tmp_path: Path) -> None:
    assert counted_calls(tmp_path / "none.jsonl") == ()
