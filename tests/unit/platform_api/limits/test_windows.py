import random

import pytest

from platform_api.limits.windows import DAY_S, MINUTE_S, SLICES, MemoryCounter, Window

PAUSES_S, WEIGHTS = (0.0, 0.001, 0.3, 0.9, 7.0, 29.5, 59.999), (80, 10, 8, 4, 2, 1, 1)


class Time:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def minute(amount: int = 60, owner: str = "{org:1}") -> Window:
    return Window("org-requests-minute", owner, "requests", amount)


@pytest.mark.parametrize("seed", range(5))
def test_no_span_of_a_minute_ever_admits_more_than_the_limit(seed: int) -> None:
    """However callers time it: bursts at the edges of minutes, pauses, floods."""
    rng, time = random.Random(seed), Time()
    counter, admitted = MemoryCounter(time), list[float]()
    for _ in range(3000):
        time.now_s += rng.choices(PAUSES_S, WEIGHTS)[0]
        if counter.take_now([minute()], 0).taken is not None:
            admitted.append(time.now_s)

    most = max(sum(at <= other < at + MINUTE_S for other in admitted[n : n + 150]) for n, at in enumerate(admitted))
    assert most == 60


def test_a_steady_caller_gets_the_limit_but_for_one_slice() -> None:
    """60 a minute, asked for ten times as often for ten minutes: at least 60 in every 61 seconds."""
    time = Time()
    counter, admitted = MemoryCounter(time), 0
    for _ in range(6000):
        time.now_s += 0.1
        admitted += counter.take_now([minute()], 0).taken is not None

    assert 600 * SLICES // (SLICES + 1) <= admitted <= 660


def test_who_waits_as_told_is_admitted_and_not_sooner() -> None:
    time = Time()
    counter = MemoryCounter(time)
    time.now_s = 1000.4
    for _ in range(60):
        counter.take_now([minute()], 0)
    told_s = counter.take_now([minute()], 0).retry_after_s

    assert told_s == pytest.approx(60.6)
    time.now_s = 1000.4 + told_s - 0.002
    assert counter.take_now([minute()], 0).taken is None
    time.now_s = 1000.4 + told_s + 0.001
    assert counter.take_now([minute()], 0).taken is not None


async def test_a_reservation_whose_slice_has_gone_by_gives_nothing_back() -> None:
    time = Time()
    counter = MemoryCounter(time)
    own = Window("key-tokens-minute", "{org:1}", "tokens", 100)
    taken = counter.take_now([own], 90).taken
    assert taken is not None
    time.now_s += 62
    counter.take_now([own], 100)
    await counter.settle(taken, 0)

    assert counter.rooms([own])[0].left == 0


def test_windows_of_which_nothing_counts_are_forgotten_first() -> None:
    time = Time()
    counter = MemoryCounter(time, max_windows=100)
    for n in range(99):
        counter.take_now([minute(1, f"{{org:{n}}}")], 0)
    time.now_s += 120
    kept = Window("org-requests-day", "{org:kept}", "requests", 1, DAY_S)
    counter.take_now([kept], 0)
    for n in range(99):
        counter.take_now([minute(1, f"{{org:new{n}}}")], 0)

    assert counter.take_now([kept], 0).taken is None


def test_a_share_is_never_nothing() -> None:
    assert [minute(amount).share(4).amount for amount in (100, 7, 1)] == [25, 1, 1]
