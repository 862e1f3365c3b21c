"""What every StateStore keeps to. A store's test module subclasses it and gives `store`."""

import asyncio

from bridge.identifiers import new_id
from bridge.state_store import StateStore


class StateStoreSuite:
    """Keys are fresh in every test, so stores may be shared."""

    async def test_a_value_is_there_until_it_is_removed(self, store: StateStore) -> None:
        key = new_id()
        assert await store.get(key) is None
        await store.set(key, "wörd")
        assert await store.get(key) == "wörd"
        await store.delete(key)
        assert await store.get(key) is None

    async def test_a_value_lives_as_long_as_it_was_told_to(self, store: StateStore) -> None:
        key = new_id()
        await store.set(key, "a", ttl_s=0.15)
        assert await store.get(key) == "a"
        await asyncio.sleep(0.25)
        assert await store.get(key) is None

    async def test_a_counter_adds_up_and_keeps_its_first_expiry(self, store: StateStore) -> None:
        key = new_id()
        totals = await asyncio.gather(*(store.incr(key, 2, ttl_s=0.3) for _ in range(10)))
        assert sorted(totals) == list(range(2, 21, 2))
        await asyncio.sleep(0.4)
        assert await store.incr(key) == 1

    async def test_one_of_many_sets_what_was_absent(self, store: StateStore) -> None:
        key = new_id()
        won = await asyncio.gather(*(store.compare_and_set(key, None, str(n)) for n in range(10)))
        assert sum(won) == 1
        winner = str(won.index(True))
        assert await store.get(key) == winner
        assert not await store.compare_and_set(key, "other", "x")
        assert await store.compare_and_set(key, winner, "x", ttl_s=60)
        assert await store.get(key) == "x"

    async def test_a_list_is_read_from_any_place_and_lives_from_its_first_value(self, store: StateStore) -> None:
        key = new_id()
        assert await store.tail(key, 0) == ([], 0)
        for value in ("a", "b", "c"):
            await store.append(key, value, ttl_s=0.3)
        assert await store.tail(key, 1) == (["b", "c"], 3)
        assert await store.tail(key, 3) == ([], 3)
        await asyncio.sleep(0.4)
        assert await store.tail(key, 0) == ([], 0)
        await store.append(key, "d", ttl_s=60)
        assert await store.tail(key, 0) == (["d"], 1)
