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

    async def test_a_list_is_read_on_from_where_one_was(self, store: StateStore) -> None:
        key = new_id()
        assert await store.tail(key, "") == ([], "")
        for value in ("a", "b", "c"):
            await store.append(key, value, keep=10, ttl_s=60)
        values, position = await store.tail(key, "")
        assert values == ["a", "b", "c"]
        assert await store.tail(key, position) == ([], position)
        await store.append(key, "d", keep=10, ttl_s=60)
        assert (await store.tail(key, position))[0] == ["d"]

    async def test_a_list_keeps_its_newest_values_and_lives_from_its_last_one(self, store: StateStore) -> None:
        key = new_id()
        for value in ("a", "b", "c"):
            await store.append(key, value, keep=2, ttl_s=0.3)
        values, position = await store.tail(key, "")
        assert values == ["b", "c"]
        await asyncio.sleep(0.4)
        assert await store.tail(key, "") == ([], "")
        await store.append(key, "d", keep=2, ttl_s=60)
        assert (await store.tail(key, position))[0] == ["d"]
