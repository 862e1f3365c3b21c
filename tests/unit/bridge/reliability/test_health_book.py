import random
from dataclasses import replace
from datetime import UTC, datetime

from bridge.call_record import AttemptRecord
from bridge.chat import Usage
from bridge.config import BreakerConfig
from bridge.decision import DeploymentState
from bridge.reliability.health_book import HealthBook

SUCCEEDED = AttemptRecord(
    "a", "p/a", "p", "p/a", datetime(2026, 11, 24, tzinfo=UTC), 2000.0, 500.0, "succeeded", None, None, 200,
    Usage(10, 100), 0, None, None, False,
)  # fmt: skip
FAILED = replace(SUCCEEDED, outcome="failed", error_class="unavailable", usage=None)


def book() -> HealthBook:
    return HealthBook(BreakerConfig(), random.Random(1))


def state(one: HealthBook, now_s: float = 0.0) -> DeploymentState:
    return one.all_states(now_s)["p/a"]


def test_what_was_never_called_is_unknown() -> None:
    assert book().states(["p/a"], 0) == {}


def test_calls_in_flight_are_counted_until_their_record_comes() -> None:
    one = book()
    one.started("p/a")
    one.started("p/a")
    assert state(one).in_flight == 2
    one.observe(SUCCEEDED, 0)
    one.dropped("p/a")
    assert state(one).in_flight == 0


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
    assert not one.admit("p/a", 0)


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


def test_a_state_read_again_is_current() -> None:
    book = HealthBook(BreakerConfig(), random.Random(1))
    book.started("p/a")
    before = book.states(["p/a"], 0.0)["p/a"]
    book.started("p/a")

    assert (before.in_flight, book.states(["p/a"], 0.0)["p/a"].in_flight) == (1, 2)
    book.pause("p/a", 5.0, 0.0)
    assert book.states(["p/a"], 1.0)["p/a"].retry_at_s == 4.0
    assert book.states(["p/a"], 6.0)["p/a"].retry_at_s == 0.0
