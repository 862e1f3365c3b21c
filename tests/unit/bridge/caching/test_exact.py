from datetime import UTC, datetime

import pytest

from bridge.caching.exact import ExactCache
from bridge.caching.fingerprint import fingerprint
from bridge.chat import ChatRequest, ChatResponse, Message, Usage
from bridge.clock import FrozenClock
from bridge.config import CacheConfig
from bridge.state_store import MemoryStateStore

CLOCK = FrozenClock(datetime(2026, 11, 24, tzinfo=UTC))
PLAIN = ChatRequest("m", (Message.of("user", "hi"),))
ANSWER = ChatResponse(
    "hällo", "stop", Usage(3, 4, cached_tokens=1), reasoning="because", refusal="", model="gpt-4o-mini-2024"
)


async def test_what_is_kept_is_found_unchanged() -> None:
    cache = ExactCache(MemoryStateStore(CLOCK), CacheConfig())
    await cache.keep("o", PLAIN, "m", ANSWER, alias_ttl_s=None)

    assert await cache.find("o", PLAIN, "m") == ANSWER
    assert await cache.find("p", PLAIN, "m") is None


async def test_a_value_that_cannot_be_read_is_a_miss(caplog: pytest.LogCaptureFixture) -> None:
    store = MemoryStateStore(CLOCK)
    await store.set(fingerprint("o", PLAIN, "m"), '{"text": 1}')

    assert await ExactCache(store, CacheConfig()).find("o", PLAIN, "m") is None
    assert "cache.unreadable" in caplog.text


async def test_a_cut_answer_is_not_kept() -> None:
    cache = ExactCache(MemoryStateStore(CLOCK), CacheConfig())
    await cache.keep("o", PLAIN, "m", ChatResponse("hal", "length", None), alias_ttl_s=None)

    assert await cache.find("o", PLAIN, "m") is None
