"""Redis goes and comes back: the bridge goes on, nobody waits long, and the cache is there again by itself."""

import time
from itertools import count
from pathlib import Path

import pytest

from bridge.caching.answer_cache import AnswerCache, Found, Lookup
from bridge.chat import ChatRequest, ChatResponse, Message, Usage
from bridge.clock import SystemClock
from bridge.config import AliasConfig, CacheConfig
from bridge.rate_limits import Limit
from bridge.redis_rate_limiter import RedisRateLimiter
from bridge.redis_state_store import RedisStateStore
from tests.support.peers import redis_at

pytestmark = pytest.mark.peer
CALLS = count()
ANSWER = ChatResponse("by the hash key", "stop", Usage(3, 4))
RULES = AliasConfig(candidates=("mock/m",), cache="semantic")


def lookup(text: str, org_id: str = "o") -> Lookup:
    return Lookup(f"call-{next(CALLS)}", org_id, "fast", ChatRequest("m", (Message.of("user", text),)), "mock/m", RULES)


def made(url: str) -> tuple[AnswerCache, RedisStateStore]:
    store = RedisStateStore(url, answer_limit_s=5)
    return AnswerCache(store, CacheConfig(wait_for_same_s=0), SystemClock()), store


async def found(cache: AnswerCache, text: str, org_id: str = "o") -> Found | None:
    one = lookup(text, org_id)
    try:
        return await cache.find(one)
    finally:
        cache.done(one.call_id)


async def test_processes_share_answers_of_the_same_and_of_the_like(redis_url: str) -> None:
    (first, one), (second, other) = made(redis_url), made(redis_url)
    asked = "How do I find the partition of an event in the log?"
    assert await found(second, asked, "shared") is None
    await first.keep(lookup(asked, "shared"), ANSWER, cost_nano_usd=7)

    same, like = await found(second, asked, "shared"), await found(second, asked.rstrip("?") + ", please?", "shared")
    foreign = await found(second, asked, "other")
    await one.aclose()
    await other.aclose()

    assert same is not None
    assert (same.response, same.similarity) == (ANSWER, 1.0)
    assert like is not None
    assert like.response == ANSWER
    assert 0.95 <= like.similarity < 1
    assert foreign is None


async def test_a_cache_whose_redis_was_killed_goes_on_without_and_comes_back(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    address = tmp_path / "r.sock"
    cache, store = made(f"unix://{address}")
    with redis_at(address):
        await cache.keep(lookup("hi"), ANSWER, cost_nano_usd=None)
        assert await found(cache, "hi") is not None

    began = time.monotonic()
    for _ in range(50):
        assert await found(cache, "hi") is None
        await cache.keep(lookup("hi"), ANSWER, cost_nano_usd=None)
    assert time.monotonic() - began < 0.5
    assert caplog.text.count("redis.away") == 1

    with redis_at(address):
        deadline = time.monotonic() + 5
        while await found(cache, "hi") is None:
            assert time.monotonic() < deadline
            await cache.keep(lookup("hi"), ANSWER, cost_nano_usd=None)
            time.sleep(0.05)
        await store.aclose()
    assert caplog.text.count("redis.away") == caplog.text.count("redis.back") == 1


async def test_limits_hold_in_each_process_while_redis_is_away_and_are_shared_again_after_it(tmp_path: Path) -> None:
    address = tmp_path / "r.sock"
    limiter = RedisRateLimiter(f"unix://{address}", answer_limit_s=5)
    hourly = Limit("org:1", "requests", 1, window_s=3600, burst=5)

    async def went(count: int) -> int:
        return sum([(await limiter.admit([hourly], 0, time.monotonic())).is_admitted for _ in range(count)])

    with redis_at(address):
        assert await went(3) == 3
    assert await went(4) == 2  # what it learned from Redis goes on counting
    with redis_at(address):
        time.sleep(1.1)
        assert await went(9) == 5
        await limiter.aclose()
