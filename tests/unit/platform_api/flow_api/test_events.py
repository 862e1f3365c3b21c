import asyncio
from dataclasses import replace
from datetime import UTC, datetime

from bridge.clock import FrozenClock
from flows.run_memory import MemoryRunStore
from flows.runs import Run, RunEvent, RunOwner, StepRun
from platform_api.flow_api.events import LiveEvents, RunFeed
from platform_api.flow_api.run_views import event_bytes

NOW = datetime(2026, 1, 1, tzinfo=UTC)
RUN = Run("r", "o", "f", 1, "queued", {}, "api", "inline", NOW)


def token(text: str, part: int, *, seq: int = 1) -> RunEvent:
    return RunEvent("r", seq, "token", NOW, {"path": "a", "text": text}, part)


async def started() -> tuple[MemoryRunStore, RunOwner, LiveEvents, RunFeed]:
    store, bus = MemoryRunStore(FrozenClock(NOW)), LiveEvents()
    await store.create(RUN)
    owner = await store.acquire("r", "me")
    assert owner is not None
    return store, owner, bus, RunFeed(store, bus, is_local=lambda _: True)


async def collected(feed: RunFeed, after_seq: int = 0) -> list[tuple[str, int, int]]:
    return [(event.kind, event.seq, event.part) async for event in feed.follow("r", after_seq=after_seq)]


async def test_a_feed_joins_stored_events_tokens_and_the_end_in_order() -> None:
    store, owner, bus, feed = await started()
    await store.save_run(owner, replace(RUN, status="running"))
    watching = asyncio.create_task(collected(feed))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    bus.publish(token("He", 1))
    bus.publish(token("llo", 2))
    for event in await store.save_steps(owner, [StepRun("a", "a", "llm", "succeeded")]):
        bus.publish(event)
    for event in await store.save_run(owner, replace(RUN, status="succeeded")):
        bus.publish(event)

    assert await watching == [("run", 1, 0), ("token", 1, 1), ("token", 1, 2), ("step", 2, 0), ("run", 3, 0)]


async def test_events_that_the_bus_missed_are_read_from_the_store() -> None:
    store, owner, bus, feed = await started()
    await store.save_run(owner, replace(RUN, status="running"))
    watching = asyncio.create_task(collected(feed))
    await asyncio.sleep(0)
    await store.save_steps(owner, [StepRun("a", "a", "llm", "succeeded")])
    for event in await store.save_run(owner, replace(RUN, status="succeeded")):
        bus.publish(event)

    assert await watching == [("run", 1, 0), ("step", 2, 0), ("run", 3, 0)]


async def test_who_comes_late_gets_the_text_so_far_as_one_token() -> None:
    store, owner, bus, feed = await started()
    await store.save_run(owner, replace(RUN, status="running"))
    bus.publish(token("He", 1))
    bus.publish(token("llo", 2))
    events = feed.follow("r", after_seq=1)
    first = await anext(events)
    await events.aclose()

    assert first.body == {"path": "a", "text": "Hello", "is_whole": True}
    assert event_bytes(first).startswith(b"id: 1.2\nevent: token\n")


async def test_a_run_that_is_over_ends_the_feed_at_once() -> None:
    store, owner, _, feed = await started()
    await store.save_run(owner, replace(RUN, status="succeeded"))

    assert await collected(feed) == [("run", 1, 0)]
    assert await collected(feed, after_seq=1) == []
