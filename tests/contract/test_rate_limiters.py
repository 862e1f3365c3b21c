"""The memory and the Redis limiter keep the same contract; without Redis every process counts for itself."""

import time
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from bridge.rate_limits import Limit, MemoryRateLimiter, RateLimiter, Unit
from bridge.redis_rate_limiter import RedisRateLimiter, key_of
from tests.contract.rate_limiter_suite import RateLimiterSuite, limit
from tests.support.peers import redis_at

UNITS: tuple[Unit, ...] = ("requests", "tokens")


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


async def test_what_was_granted_without_redis_is_not_given_back_to_it(tmp_path: Path) -> None:
    """Its bucket there would hold more than was ever taken."""
    address = tmp_path / "r.sock"
    limiter = RedisRateLimiter(f"unix://{address}", answer_limit_s=5)
    own = limit("tokens", 1, window_s=3600, burst=100)
    alone = await limiter.admit([own], 80, time.monotonic())
    with redis_at(address):
        limiter.link.ask_again()
        assert (await limiter.admit([own], 60, time.monotonic())).is_admitted
        await limiter.settle(alone.grant, 0, time.monotonic())
        there = await limiter.admit([own], 41, time.monotonic())
        await limiter.aclose()

    assert not there.is_admitted


def test_all_limits_of_one_owner_lie_in_one_slot_of_a_cluster() -> None:
    keys = [key_of("p:", Limit("org:1", unit, 1, window_s=window_s)) for unit in UNITS for window_s in (60, 3600)]

    assert len(set(keys)) == 4
    assert {key.partition("{")[2].partition("}")[0] for key in keys} == {"org:1"}
