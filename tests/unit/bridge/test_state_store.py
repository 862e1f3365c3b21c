from datetime import UTC, datetime

from bridge.clock import FrozenClock
from bridge.state_store import MemoryStateStore


def made(max_entries: int = 100) -> tuple[MemoryStateStore, FrozenClock]:
    clock = FrozenClock(datetime(2026, 11, 24, tzinfo=UTC))
    return MemoryStateStore(clock, max_entries=max_entries), clock


async def test_a_value_lives_as_long_as_it_was_told_to() -> None:
    store, clock = made()
    await store.set("short", "a", ttl_s=10)
    await store.set("long", "b")
    clock.advance(9.9)
    assert await store.get("short") == "a"
    clock.advance(0.1)
    assert await store.get("short") is None
    assert await store.get("long") == "b"


async def test_a_counter_keeps_the_expiry_of_its_first_use() -> None:
    store, clock = made()
    assert await store.incr("n", ttl_s=10) == 1
    clock.advance(6)
    assert await store.incr("n", 4, ttl_s=10) == 5
    clock.advance(6)
    assert await store.incr("n") == 1


async def test_compare_and_set_stores_only_over_what_was_expected() -> None:
    store, _ = made()

    assert await store.compare_and_set("k", None, "a")
    assert not await store.compare_and_set("k", None, "b")
    assert await store.compare_and_set("k", "a", "b")
    assert await store.get("k") == "b"
    await store.delete("k")
    assert await store.get("k") is None


async def test_a_full_store_drops_what_expires_soonest() -> None:
    store, _ = made(max_entries=10)
    await store.set("soon", "x", ttl_s=1)
    for number in range(10):
        await store.set(str(number), "x", ttl_s=100)

    assert await store.get("soon") is None
    assert await store.get("9") == "x"
