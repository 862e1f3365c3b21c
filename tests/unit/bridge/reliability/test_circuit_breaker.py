import random

import pytest

from bridge.config import BreakerConfig
from bridge.reliability.circuit_breaker import CircuitBreaker, Ticket

CONFIG = BreakerConfig()


def breaker(config: BreakerConfig = CONFIG) -> CircuitBreaker:
    return CircuitBreaker(config, random.Random(1))


def probe(one: CircuitBreaker, now_s: float) -> Ticket:
    ticket = one.admit(now_s)
    assert ticket is not None
    assert ticket.is_probe
    return ticket


def opened(now_s: float = 0.0) -> CircuitBreaker:
    one = breaker()
    for _ in range(CONFIG.consecutive):
        one.failed(one.force(), now_s)
    return one


def test_five_failures_in_a_row_open_it_four_do_not() -> None:
    one = breaker()
    for _ in range(4):
        one.failed(one.force(), 0)
    assert one.state(0) == "closed"
    one.failed(one.force(), 0)
    assert one.state(0) == "open"
    assert not one.admit(0)


def test_a_success_in_between_starts_the_count_again() -> None:
    one = breaker()
    for _ in range(4):
        one.failed(one.force(), 0)
    one.succeeded(one.force(), 0)
    for _ in range(4):
        one.failed(one.force(), 0)

    assert one.state(0) == "closed"


def test_half_of_twenty_requests_failing_opens_it() -> None:
    one = breaker()
    for _ in range(10):
        one.succeeded(one.force(), 0)
        one.failed(one.force(), 0)

    assert one.state(0) == "open"


def test_failures_older_than_the_window_do_not_count() -> None:
    one = breaker()
    for _ in range(9):
        one.succeeded(one.force(), 0)
        one.failed(one.force(), 0)
    one.succeeded(one.force(), 100)
    one.failed(one.force(), 100)

    assert one.state(100) == "closed"


def test_pauses_double_up_to_two_minutes_and_are_jittered_downwards() -> None:
    one, now_s, pauses = opened(), 0.0, list[float]()
    for _ in range(7):
        pauses.append(one.retry_in_s(now_s))
        now_s += pauses[-1]
        assert one.state(now_s) == "half_open"
        one.failed(probe(one, now_s), now_s)

    for pause, full in zip(pauses, (5, 10, 20, 40, 80, 120, 120), strict=True):
        assert 0.8 * full <= pause <= full


def test_a_pause_lasts_at_least_as_long_as_the_provider_asked_for() -> None:
    one = breaker()
    for _ in range(5):
        one.failed(one.force(), 0)
    one.hold(300)

    assert one.retry_in_s(0) == 300


def test_one_probe_at_a_time_and_two_good_ones_close_it() -> None:
    one = opened()
    first = probe(one, 6)
    assert one.admit(6) is None
    assert one.retry_in_s(6) > 0
    one.succeeded(first, 6)
    assert one.state(6) == "half_open"
    one.succeeded(probe(one, 7), 7)
    assert one.state(7) == "closed"


def test_a_probe_whose_caller_left_makes_room_for_another() -> None:
    one = opened()
    one.abandoned(probe(one, 6))

    assert one.admit(6)


def test_traffic_comes_back_in_steps_and_then_the_pauses_start_small_again() -> None:
    one = opened()
    for now_s in (6.0, 7.0):
        one.succeeded(probe(one, now_s), now_s)

    assert [one.ramp_share(now_s) for now_s in (7, 16, 17, 26, 27, 99)] == [0.1, 0.1, 0.5, 0.5, 1.0, 1.0]
    one.succeeded(one.force(), 30)
    for _ in range(5):
        one.failed(one.force(), 40)
    assert one.retry_in_s(40) <= 5


def test_failing_during_the_ramp_makes_the_next_pause_longer() -> None:
    one = opened()
    for now_s in (6.0, 7.0):
        one.succeeded(probe(one, now_s), now_s)
    for _ in range(5):
        one.failed(one.force(), 8)

    assert one.retry_in_s(8) == pytest.approx(9, abs=1)


def test_what_went_out_before_it_opened_neither_closes_it_nor_ends_a_probe() -> None:
    one = breaker()
    early = [one.force() for _ in range(8)]
    for ticket in early[:5]:
        one.failed(ticket, 0)
    first = probe(one, 6)
    one.succeeded(early[5], 6)
    one.failed(early[6], 6)
    one.abandoned(early[7])

    assert one.state(6) == "half_open"
    assert one.admit(6) is None
    one.succeeded(first, 6)
    assert one.admit(6) is not None


def test_an_answer_of_the_last_target_counts_though_its_circuit_is_open() -> None:
    one = opened()
    for _ in range(2):
        one.succeeded(one.force(), 1)

    assert one.state(1) == "closed"


def test_an_outage_of_days_does_not_break_the_arithmetic() -> None:
    one, now_s = opened(), 0.0
    for _ in range(1500):
        now_s += one.retry_in_s(now_s)
        one.failed(probe(one, now_s), now_s)

    assert one.retry_in_s(now_s) <= CONFIG.open_max_s
