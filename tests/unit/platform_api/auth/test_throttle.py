from datetime import UTC, datetime

import pytest

from bridge.clock import FrozenClock
from platform_api.auth.throttle import BLOCK_S, Limit, Throttle
from platform_api.errors import ThrottledError

LIMITS = (Limit(3, 60.0), Limit(5, 3600.0))


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock(datetime(2026, 1, 1, tzinfo=UTC))


def is_blocked(throttle: Throttle, name: str) -> bool:
    try:
        throttle.check(name)
    except ThrottledError:
        return True
    return False


def test_a_name_is_blocked_at_its_limit_and_free_after_the_pause(clock: FrozenClock) -> None:
    throttle = Throttle(clock)
    for _ in range(3):
        assert not is_blocked(throttle, "a")
        throttle.failed("a", LIMITS)

    assert is_blocked(throttle, "a")
    assert not is_blocked(throttle, "b")
    clock.advance(BLOCK_S)
    assert not is_blocked(throttle, "a")


def test_slow_guessing_meets_the_longer_window(clock: FrozenClock) -> None:
    throttle = Throttle(clock)
    for _ in range(4):
        throttle.failed("a", LIMITS)
        clock.advance(61)
    assert not is_blocked(throttle, "a")

    throttle.failed("a", LIMITS)

    assert is_blocked(throttle, "a")


def test_a_success_forgets_the_failures_before_it(clock: FrozenClock) -> None:
    throttle = Throttle(clock)
    for _ in range(2):
        throttle.failed("a", LIMITS)
    throttle.succeeded("a")
    for _ in range(2):
        throttle.failed("a", LIMITS)

    assert not is_blocked(throttle, "a")


def test_a_flood_of_names_does_not_grow_memory_without_end(clock: FrozenClock) -> None:
    throttle = Throttle(clock, max_names=10)
    for number in range(200):
        throttle.failed(f"name-{number}", LIMITS)

    assert throttle.remembered == 10
