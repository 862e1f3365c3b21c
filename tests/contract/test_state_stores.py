"""The memory and the Redis store keep the same contract; without Redis everything goes on."""

from collections.abc import AsyncGenerator

import pytest

from bridge.clock import SystemClock
from bridge.redis_state_store import RedisStateStore
from bridge.state_store import MemoryStateStore, StateStore
from tests.contract.state_store_suite import StateStoreSuite


class TestMemoryStateStore(StateStoreSuite):
    @pytest.fixture
    def store(self) -> StateStore:
        return MemoryStateStore(SystemClock())


@pytest.mark.peer
class TestRedisStateStore(StateStoreSuite):
    @pytest.fixture
    async def store(self, redis_url: str) -> AsyncGenerator[StateStore]:
        store = RedisStateStore(redis_url, answer_limit_s=5)
        yield store
        await store.aclose()


async def test_without_redis_nothing_is_found_and_nobody_waits_long(caplog: pytest.LogCaptureFixture) -> None:
    store = RedisStateStore("redis://127.0.0.1:1/0")

    await store.set("k", "v")
    assert await store.get("k") is None
    assert await store.incr("n", 3) == 3
    assert not await store.compare_and_set("k", None, "v")
    assert await store.tail("l", "") == ([], "")
    await store.append("l", "v", keep=1, ttl_s=1)
    assert caplog.text.count("redis.away") == 1
    await store.aclose()
