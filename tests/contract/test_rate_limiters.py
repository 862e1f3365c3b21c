"""The memory and the Redis limiter keep the same contract; without Redis every process counts for itself."""

import time
from collections.abc import AsyncGenerator

import pytest

from bridge.rate_limits import MemoryRateLimiter, RateLimiter
from bridge.redis_rate_limiter import RedisRateLimiter
from tests.contract.rate_limiter_suite import RateLimiterSuite, limit


class TestMemoryRateLimiter(RateLimiterSuite):
    @pytest.fixture
    def limiter(self) -> RateLimiter:
        return MemoryRateLimiter()


@pytest.mark.peer
class TestRedisRateLimiter(RateLimiterSuite):
    @pytest.fixture
    async def limiter(self, redis_url: str) -> AsyncGenerator[RateLimiter]:
        limiter = RedisRateLimiter(redis_url, answer_limit_s=5)
        yield limiter
        await limiter.aclose()

    async def test_two_processes_share_a_limit(self, redis_url: str, limiter: RateLimiter) -> None:
        other = RedisRateLimiter(redis_url, answer_limit_s=5)
        own = limit(amount=1, window_s=3600, burst=4)
        went = [await one.admit([own], 0, time.monotonic()) for one in (limiter, other) * 4]
        await other.aclose()

        assert [one.is_admitted for one in went] == [True] * 4 + [False] * 4


async def test_without_redis_a_process_counts_for_itself(caplog: pytest.LogCaptureFixture) -> None:
    limiter = RedisRateLimiter("redis://127.0.0.1:1/0")
    own = limit(amount=1, window_s=3600, burst=2)
    went = [(await limiter.admit([own], 0, time.monotonic())).is_admitted for _ in range(3)]
    await limiter.aclose()

    assert went == [True, True, False]
    assert caplog.text.count("redis.away") == 1
