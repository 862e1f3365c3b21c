"""What every RateLimiter keeps to. A limiter's test module subclasses it and gives `limiter`."""

import asyncio
import math
import time

import pytest

from bridge.identifiers import new_id
from bridge.rate_limits import Limit, RateLimiter


def limit(unit: str = "requests", amount: float = 60, **more: object) -> Limit:
    """A limit of a key that nobody else uses."""
    return Limit(new_id(), unit, amount, **more)  # pyright: ignore[reportArgumentType]  # fields by name


class RateLimiterSuite:
    """Every test uses limits of its own, so limiters may be shared."""

    async def test_a_burst_goes_and_what_follows_waits_as_long_as_it_is_told(self, limiter: RateLimiter) -> None:
        own = limit(amount=600, burst=3)
        went = [await limiter.admit([own], 0, time.monotonic()) for _ in range(3)]
        refused = await limiter.admit([own], 0, time.monotonic())

        assert all(one.is_admitted for one in went)
        assert not refused.is_admitted
        assert 0.02 < refused.retry_after_s <= 0.1
        await asyncio.sleep(refused.retry_after_s + 0.002)
        assert (await limiter.admit([own], 0, time.monotonic())).is_admitted

    async def test_of_many_at_once_as_many_go_as_fit(self, limiter: RateLimiter) -> None:
        own = limit(amount=1, window_s=3600, burst=7)
        went = await asyncio.gather(*(limiter.admit([own], 0, time.monotonic()) for _ in range(50)))

        assert sum(one.is_admitted for one in went) == 7

    async def test_all_limits_or_none(self, limiter: RateLimiter) -> None:
        wide, narrow = limit(amount=1, window_s=3600, burst=10), limit("tokens", 1, window_s=3600, burst=100)
        assert (await limiter.admit([wide, narrow], 100, time.monotonic())).is_admitted
        refused = await limiter.admit([wide, narrow], 100, time.monotonic())

        assert refused.refused_by == narrow
        assert round((await limiter.admit([wide], 0, time.monotonic())).rooms[0].left) == 8

    async def test_tokens_that_were_not_used_come_back_once(self, limiter: RateLimiter) -> None:
        own = limit("tokens", 1, window_s=3600, burst=100)
        admitted = await limiter.admit([own], 90, time.monotonic())

        for _ in range(3):
            await limiter.settle(admitted.grant, 1, time.monotonic())
        assert (await limiter.admit([own], 98, time.monotonic())).is_admitted
        assert not (await limiter.admit([own], 2, time.monotonic())).is_admitted

    async def test_tokens_beyond_those_taken_are_charged(self, limiter: RateLimiter) -> None:
        own = limit("tokens", 1, window_s=3600, burst=100)
        admitted = await limiter.admit([own], 10, time.monotonic())
        await limiter.settle(admitted.grant, 70, time.monotonic())

        assert not (await limiter.admit([own], 31, time.monotonic())).is_admitted
        assert (await limiter.admit([own], 29, time.monotonic())).is_admitted

    async def test_tokens_are_charged_also_when_the_bucket_is_full_again(self, limiter: RateLimiter) -> None:
        own = limit("tokens", 1000, window_s=1, burst=100)
        admitted = await limiter.admit([own], 1, time.monotonic())
        await asyncio.sleep(0.01)
        await limiter.settle(admitted.grant, 20_001, time.monotonic())

        assert limiter.wait_s([own], 100, time.monotonic()) == pytest.approx(20, abs=1)

    async def test_what_never_fits_is_told_so(self, limiter: RateLimiter) -> None:
        own = limit("tokens", 60, burst=100)

        assert math.isinf((await limiter.admit([own], 101, time.monotonic())).retry_after_s)
        assert (await limiter.admit([limit("tokens", 60, burst=100, lends=True)], 101, time.monotonic())).is_admitted

    async def test_the_wait_is_known_without_asking(self, limiter: RateLimiter) -> None:
        own = limit(amount=1, window_s=100, burst=1)
        await limiter.admit([own], 0, time.monotonic())

        assert limiter.wait_s([own], 0, time.monotonic()) == pytest.approx(100, abs=2)
