"""What every WindowCounter keeps to. A counter's test module subclasses it and gives `counter`."""

import asyncio

from bridge.identifiers import new_id
from platform_api.limits.windows import DAY_S, Taken, Unit, Verdict, Window, WindowCounter


def window(unit: Unit = "requests", amount: int = 60, window_s: int = DAY_S, owner: str | None = None) -> Window:
    """A window of an owner that nobody else has."""
    return Window(f"key-{unit}-day", owner or f"{{org:{new_id()}}}", unit, amount, window_s)


async def said(counter: WindowCounter, windows: list[Window], tokens: int = 0) -> Verdict:
    """The verdict, which every counter of the suite has."""
    verdict = await counter.take(windows, tokens)
    assert verdict is not None
    return verdict


async def granted(counter: WindowCounter, windows: list[Window], tokens: int) -> Taken:
    """What an admission took."""
    taken = (await said(counter, windows, tokens)).taken
    assert taken is not None
    return taken


class WindowCounterSuite:
    """Every test uses windows of its own, so counters may be shared."""

    async def test_of_many_at_once_exactly_as_many_go_as_the_limit_says(self, counter: WindowCounter) -> None:
        own = window(amount=60)
        verdicts = await asyncio.gather(*(said(counter, [own]) for _ in range(300)))

        assert sum(one.taken is not None for one in verdicts) == 60

    async def test_all_windows_or_none(self, counter: WindowCounter) -> None:
        minute, day, tokens = window(amount=10), window(amount=9), window("tokens", 100)
        assert (await said(counter, [minute, day, tokens], 80)).taken is not None
        for _ in range(5):
            refused = await said(counter, [minute, day, tokens], 30)
            assert refused.refused == (tokens,)
        again = await said(counter, [minute, day, tokens], 20)

        assert [room.left for room in again.rooms] == [8, 7, 0]

    async def test_everything_that_refuses_is_named(self, counter: WindowCounter) -> None:
        narrow, narrower = window(amount=1), window("tokens", 10)
        await said(counter, [narrow, narrower], 10)

        assert (await said(counter, [narrow, narrower], 1)).refused == (narrow, narrower)

    async def test_what_was_not_used_comes_back_once(self, counter: WindowCounter) -> None:
        own = window("tokens", 100)
        taken = await granted(counter, [own], 90)
        for _ in range(3):
            await counter.settle(taken, 30)

        assert (await said(counter, [own], 71)).taken is None
        assert (await said(counter, [own], 70)).taken is not None

    async def test_what_was_used_beyond_the_reservation_is_charged(self, counter: WindowCounter) -> None:
        own = window("tokens", 100)
        await counter.settle(await granted(counter, [own], 10), 150)
        refused = await said(counter, [own], 1)

        assert refused.taken is None
        assert refused.rooms[0].left == 0

    async def test_one_reservation_settles_in_every_window_of_tokens(self, counter: WindowCounter) -> None:
        key, org = window("tokens", 100), window("tokens", 1000)
        await counter.settle(await granted(counter, [key, window(), org], 90), 0)

        assert [room.left for room in (await said(counter, [key, org], 1)).rooms] == [99, 999]

    async def test_a_raised_limit_goes_on_counting_where_it_was(self, counter: WindowCounter) -> None:
        before = window(amount=2, owner="{org:raised}:" + new_id())
        for _ in range(3):
            await said(counter, [before])
        after = Window(before.name, before.owner, before.unit, 5, before.window_s)

        assert (await said(counter, [after])).rooms[0].left == 2

    async def test_when_room_comes_back_is_told(self, counter: WindowCounter) -> None:
        own = window(amount=1, window_s=60)
        await said(counter, [own])
        refused = await said(counter, [own])

        assert 59 <= refused.retry_after_s <= 61
        assert refused.rooms[0].next_in_s <= refused.retry_after_s <= refused.rooms[0].full_in_s
