"""Watching a run: stored events from the database, tokens and wake-ups from this process, in one resumable feed.

An event's id is `<seq>`, a token's `<seq>.<n>`: n-th token after stored event seq. Tokens are not stored; who comes
late, or comes back, gets the text so far of every step that is still answering as one token marked `is_whole`.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import replace
from typing import cast

from flows.run_memory import MemoryEventBus
from flows.runs import FINAL_RUN, FINAL_STEP, RunEvent, RunStore

POLL_S = 0.25
"""How often stored events are read while a run is walked by another process."""
LOCAL_POLL_S = 2.0
"""The same while this process walks it and announces events itself."""


class LiveEvents(MemoryEventBus):
    """The event bus of a process, which also remembers what steps have answered so far."""

    def __init__(self) -> None:
        super().__init__()
        self._answers: dict[str, dict[str, RunEvent]] = {}

    def publish(self, event: RunEvent) -> None:
        self._remember(event)
        super().publish(event)

    def text_so_far(self, run_id: str) -> tuple[RunEvent, ...]:
        """One token event for every step that is answering, with everything it has said."""
        return tuple(self._answers.get(run_id, {}).values())

    def _remember(self, event: RunEvent) -> None:
        path = str(event.body.get("path", ""))
        if event.kind == "token":
            said = self._answers.setdefault(event.run_id, {})
            before = str(said[path].body["text"]) if path in said else ""
            whole = {"path": path, "text": before + str(event.body.get("text", "")), "is_whole": True}
            said[path] = replace(event, body=whole)
        elif event.kind == "step" and event.body.get("status") in FINAL_STEP | {"retrying"}:
            self._answers.get(event.run_id, {}).pop(path, None)
        elif event.kind == "run" and event.body.get("status") in FINAL_RUN:
            self._answers.pop(event.run_id, None)


class RunFeed:
    """Events of one run for one watcher, from after `after_seq` until the run is final."""

    def __init__(self, store: RunStore, bus: LiveEvents, *, is_local: Callable[[str], bool]) -> None:
        self._store = store
        self._bus = bus
        self._is_local = is_local

    async def follow(self, run_id: str, *, after_seq: int = 0) -> AsyncGenerator[RunEvent]:
        """Stored events in order, tokens as they come. Holds no transaction while it waits."""
        live = self._bus.follow(run_id)
        waiter = _Waiter(live)
        try:
            last = after_seq
            for event in await self._store.events(run_id, after_seq=last):
                yield event
                last = event.seq
            if await self._is_over(run_id, last):
                return
            for token in self._bus.text_so_far(run_id):
                yield token
            while True:
                event = await waiter.next(LOCAL_POLL_S if self._is_local(run_id) else POLL_S)
                if event is not None and event.kind == "token":
                    yield event
                    continue
                if event is not None and event.seq <= last:
                    continue
                is_next = event is not None and event.seq == last + 1
                fresh = (event,) if event is not None and is_next else await self._store.events(run_id, after_seq=last)
                for stored in fresh:
                    yield stored
                    last = stored.seq
                    if is_final(stored):
                        return
        finally:
            await waiter.aclose()

    async def _is_over(self, run_id: str, last_seq: int) -> bool:
        run = await self._store.load(run_id)
        if run is None or run.status not in FINAL_RUN:
            return False
        return not await self._store.events(run_id, after_seq=last_seq)


def is_final(event: RunEvent) -> bool:
    """Is it the last event of its run?"""
    return event.kind == "run" and event.body.get("status") in FINAL_RUN


class _Waiter:
    """Waits for the next live event without losing one when the wait runs out."""

    def __init__(self, live: AsyncIterator[RunEvent]) -> None:
        self._live = cast("AsyncGenerator[RunEvent]", live)
        self._pending: asyncio.Future[RunEvent] | None = None
        self._is_ended = False

    async def next(self, timeout_s: float) -> RunEvent | None:
        """The next event; None when none came in time."""
        if self._is_ended:
            await asyncio.sleep(timeout_s)
            return None
        if self._pending is None:
            self._pending = asyncio.ensure_future(anext(self._live))
        done, _ = await asyncio.wait({self._pending}, timeout=timeout_s)
        if not done:
            return None
        pending, self._pending = self._pending, None
        try:
            return pending.result()
        except StopAsyncIteration:
            self._is_ended = True
            return None

    async def aclose(self) -> None:
        """Stop following."""
        if self._pending is not None:
            self._pending.cancel()
            await asyncio.gather(self._pending, return_exceptions=True)
        await self._live.aclose()
