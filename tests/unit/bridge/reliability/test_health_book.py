import asyncio
import random
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from bridge.call_record import AttemptRecord
from bridge.chat import Usage
from bridge.config import BreakerConfig
from bridge.decision import DeploymentState
from bridge.reliability.health_book import Flight, HealthBook

SUCCEEDED = AttemptRecord(
    "a", "p/a", "p", "p/a", datetime(2026, 11, 24, tzinfo=UTC), 2000.0, 500.0, "succeeded", None, None, 200,
    Usage(10, 100), 0, None, None, False,
)  # fmt: skip
FAILED = replace(SUCCEEDED, outcome="failed", error_class="unavailable", usage=None)


def book() -> HealthBook:
    return HealthBook(BreakerConfig(), random.Random(1))


def state(one: HealthBook, now_s: float = 0.0) -> DeploymentState:
    return one.all_states(now_s)["p/a"]


def flying(one: HealthBook, now_s: float = 0.0) -> Flight:
    flight = one.begin("p/a", now_s)
    assert flight is not None
    return flight


def test_what_was_never_called_is_unknown() -> None:
    assert book().states(["p/a"], 0) == {}


def test_calls_in_flight_are_counted_until_their_record_comes() -> None:
    one = book()
    first, second = flying(one), flying(one)
    assert state(one).in_flight == one.in_flight("p/a") == 2
    one.ended(first, SUCCEEDED, 0)
    one.ended(first, SUCCEEDED, 0)
    assert state(one).in_flight == 1
    one.dropped(second)
    one.dropped(second)
    assert state(one).in_flight == 0
    assert first.used_tokens == 110


def test_answers_teach_latency_and_success() -> None:
    one = book()
    one.observe(SUCCEEDED, 0)

    assert state(one).ttft_s == 0.5
    assert state(one).s_per_output_token == 0.015
    assert state(one).success_share == 1.0


def test_failures_open_the_circuit() -> None:
    one = book()
    for _ in range(5):
        one.observe(FAILED, 0)

    assert state(one).circuit == "open"
    assert one.begin("p/a", 0) is None
    assert one.begin("p/a", 0, is_forced=True) is not None


def test_a_request_that_was_wrong_itself_says_nothing_against_the_deployment() -> None:
    one = book()
    for _ in range(50):
        one.observe(replace(FAILED, error_class="invalid_request"), 0)

    assert state(one).circuit == "closed"
    assert state(one).ttft_s is None


def test_a_caller_who_leaves_says_nothing_either() -> None:
    one = book()
    for _ in range(50):
        one.observe(replace(FAILED, outcome="cancelled", error_class=None), 0)

    assert state(one).success_share is None


def test_a_pause_is_kept_to_its_end() -> None:
    one = book()
    one.pause("p/a", 10, 0)
    one.pause("p/a", 2, 0)

    assert one.pause_left_s("p/a", 4) == 6
    assert one.pause_left_s("p/b", 4) == 0
    assert state(one, 4).retry_at_s == 6
    assert state(one, 11).retry_at_s == 0


def test_what_is_a_keys_fault_does_not_open_the_circuit() -> None:
    one = book()
    for _ in range(50):
        flight = flying(one)
        flight.forgiven = frozenset({"auth"})
        one.ended(flight, replace(FAILED, error_class="auth"), 0)

    assert state(one).circuit == "closed"


def test_an_open_circuit_waits_for_the_pause_that_was_asked_for() -> None:
    one = book()
    for _ in range(5):
        one.observe(FAILED, 0)
    one.pause("p/a", 60, 0)

    assert one.begin("p/a", 59) is None
    assert one.begin("p/a", 61) is not None


async def test_whoever_waits_for_room_is_woken_in_turn_and_a_cancelled_one_passes_it_on() -> None:
    one = book()
    flights = [flying(one) for _ in range(2)]
    woken: list[int] = []

    async def wait(number: int) -> None:
        await one.one_has_ended("p/a")
        woken.append(number)

    waiting = [asyncio.create_task(wait(number)) for number in range(3)]
    await asyncio.sleep(0)
    one.dropped(flights[0])
    waiting[0].cancel()
    await asyncio.wait(waiting, timeout=0.01)
    assert woken == [1]
    one.dropped(flights[1])
    await asyncio.wait({waiting[2]})
    assert woken == [1, 2]


def test_what_is_slow_is_not_said_before_twenty_samples() -> None:
    one = book()
    assert one.slow_s("p/a", 0.95, is_stream=True) is None
    for _ in range(19):
        one.observe(SUCCEEDED, 0)
    assert one.slow_s("p/a", 0.95, is_stream=True) is None
    one.observe(SUCCEEDED, 0)

    assert one.slow_s("p/a", 0.95, is_stream=True) == pytest.approx(0.5, rel=0.03)
    assert one.slow_s("p/a", 0.95, is_stream=False) == pytest.approx(2.0, rel=0.03)
