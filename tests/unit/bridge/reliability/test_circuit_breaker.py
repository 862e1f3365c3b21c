import random

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from bridge.config import BreakerConfig
from bridge.reliability.circuit_breaker import CircuitBreaker

CONFIG = BreakerConfig()


def breaker(config: BreakerConfig = CONFIG) -> CircuitBreaker:
    return CircuitBreaker(config, random.Random(1))


def opened(now_s: float = 0.0) -> CircuitBreaker:
    one = breaker()
    for _ in range(CONFIG.consecutive):
        one.failed(now_s)
    return one


def test_five_failures_in_a_row_open_it_four_do_not() -> None:
    one = breaker()
    for _ in range(4):
        one.failed(0)
    assert one.state(0) == "closed"
    one.failed(0)
    assert one.state(0) == "open"
    assert not one.admit(0)


def test_a_success_in_between_starts_the_count_again() -> None:
    one = breaker()
    for _ in range(4):
        one.failed(0)
    one.succeeded(0)
    for _ in range(4):
        one.failed(0)

    assert one.state(0) == "closed"


def test_half_of_twenty_requests_failing_opens_it() -> None:
    one = breaker()
    for _ in range(10):
        one.succeeded(0)
        one.failed(0)

    assert one.state(0) == "open"


def test_failures_older_than_the_window_do_not_count() -> None:
    one = breaker()
    for _ in range(9):
        one.succeeded(0)
        one.failed(0)
    one.succeeded(100)
    one.failed(100)

    assert one.state(100) == "closed"


def test_pauses_double_up_to_two_minutes_and_are_jittered_downwards() -> None:
    one, now_s, pauses = opened(), 0.0, list[float]()
    for _ in range(7):
        pauses.append(one.retry_in_s(now_s))
        now_s += pauses[-1]
        assert one.state(now_s) == "half_open"
        assert one.admit(now_s)
        one.failed(now_s)

    for pause, full in zip(pauses, (5, 10, 20, 40, 80, 120, 120), strict=True):
        assert 0.8 * full <= pause <= full


def test_a_pause_lasts_at_least_as_long_as_the_provider_asked_for() -> None:
    one = breaker()
    for _ in range(5):
        one.failed(0, retry_after_s=300)

    assert one.retry_in_s(0) == 300


def test_one_probe_at_a_time_and_two_good_ones_close_it() -> None:
    one = opened()
    assert one.admit(6)
    assert not one.admit(6)
    assert one.retry_in_s(6) > 0
    one.succeeded(6)
    assert one.state(6) == "half_open"
    assert one.admit(7)
    one.succeeded(7)
    assert one.state(7) == "closed"


def test_a_probe_whose_caller_left_makes_room_for_another() -> None:
    one = opened()
    assert one.admit(6)
    one.abandoned()

    assert one.admit(6)


def test_traffic_comes_back_in_steps_and_then_the_pauses_start_small_again() -> None:
    one = opened()
    for now_s in (6.0, 7.0):
        assert one.admit(now_s)
        one.succeeded(now_s)

    assert [one.ramp_share(now_s) for now_s in (7, 16, 17, 26, 27, 99)] == [0.1, 0.1, 0.5, 0.5, 1.0, 1.0]
    one.succeeded(30)
    for _ in range(5):
        one.failed(40)
    assert one.retry_in_s(40) <= 5


def test_failing_during_the_ramp_makes_the_next_pause_longer() -> None:
    one = opened()
    for now_s in (6.0, 7.0):
        one.admit(now_s)
        one.succeeded(now_s)
    for _ in range(5):
        one.failed(8)

    assert one.retry_in_s(8) == pytest.approx(9, abs=1)


class BreakerMachine(RuleBasedStateMachine):
    """Any history: the pause is bounded, at most one probe runs, and only closed circuits take all traffic."""

    def __init__(self) -> None:
        super().__init__()
        self.breaker = breaker()
        self.now_s = 0.0
        self.probes = 0

    @rule(seconds=st.floats(0, 200))
    def wait(self, seconds: float) -> None:
        self.now_s += seconds

    @rule()
    def ask(self) -> None:
        state = self.breaker.state(self.now_s)
        is_admitted = self.breaker.admit(self.now_s)
        if state == "closed":
            assert is_admitted
        elif state == "open":
            assert not is_admitted
        else:
            assert is_admitted == (self.probes == 0)
            self.probes += is_admitted

    @precondition(lambda self: self.breaker.state(self.now_s) == "closed" or self.probes)
    @rule()
    def succeed(self) -> None:
        self.breaker.succeeded(self.now_s)
        self.probes = 0

    @precondition(lambda self: self.breaker.state(self.now_s) == "closed" or self.probes)
    @rule()
    def fail(self) -> None:
        was_probing = bool(self.probes)
        self.breaker.failed(self.now_s)
        self.probes = 0
        if was_probing:
            assert self.breaker.state(self.now_s) == "open"

    @precondition(lambda self: self.probes)
    @rule()
    def leave(self) -> None:
        self.breaker.abandoned()
        self.probes = 0

    @invariant()
    def is_bounded(self) -> None:
        assert 0 <= self.breaker.retry_in_s(self.now_s) <= CONFIG.open_max_s
        assert 0 < self.breaker.ramp_share(self.now_s) <= 1
        share = self.breaker.success_share(self.now_s)
        assert share is None or 0 <= share <= 1

    @invariant()
    def recovers(self) -> None:
        later_s = self.now_s + CONFIG.open_max_s
        assert self.breaker.state(later_s) != "open"


TestBreaker = BreakerMachine.TestCase
