"""A run store, an event bus and an outcome cache in this process: for tests and for runs without a database."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import timedelta

from bridge.clock import Clock
from bridge.json_types import JsonObject, JsonValue
from flows.recordings import Recording
from flows.runs import (
    FINAL_RUN,
    EventKind,
    Run,
    RunEvent,
    RunOwner,
    StaleOwnerError,
    StepRun,
    run_event_body,
    step_event_body,
)

RELEASING = FINAL_RUN | {"waiting", "queued"}


class MemoryRunStore:
    """RunStore in dictionaries. What it holds is lost with the process."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._runs: dict[str, Run] = {}
        self._steps: dict[str, dict[str, StepRun]] = {}
        self._recordings: dict[str, dict[str, Recording]] = {}
        self._events: dict[str, list[RunEvent]] = {}

    async def create(self, run: Run) -> None:
        """Enter a new run. ValueError when the id is taken."""
        if run.id in self._runs:
            raise ValueError(f"run {run.id} exists already")
        self._runs[run.id] = run
        self._steps[run.id] = {}
        self._recordings[run.id] = {}
        self._events[run.id] = []

    async def load(self, run_id: str) -> Run | None:
        return self._runs.get(run_id)

    async def steps(self, run_id: str) -> Sequence[StepRun]:
        return tuple(self._steps.get(run_id, {}).values())

    async def recordings(self, run_id: str) -> Sequence[Recording]:
        return tuple(self._recordings.get(run_id, {}).values())

    async def acquire(self, run_id: str, owner: str, *, lease_s: float = 30.0) -> RunOwner | None:
        run = self._runs.get(run_id)
        now = self._clock.now()
        if run is None or run.status in FINAL_RUN:
            return None
        if run.owner is not None and run.owner != owner and run.lease_until is not None and run.lease_until > now:
            return None
        taken = replace(
            run, owner=owner, epoch=run.epoch + 1, lease_until=now + timedelta(seconds=lease_s), wake_at=None
        )
        self._runs[run_id] = taken
        return RunOwner(run_id=run_id, owner=owner, epoch=taken.epoch)

    async def renew(self, owner: RunOwner, *, lease_s: float = 30.0) -> bool:
        run = self._fenced(owner)
        self._runs[run.id] = replace(run, lease_until=self._clock.now() + timedelta(seconds=lease_s))
        return run.is_cancel_requested

    async def save_steps(self, owner: RunOwner, steps: Sequence[StepRun]) -> Sequence[RunEvent]:
        run = self._fenced(owner)
        for step in steps:
            self._steps[run.id][step.path] = step
            if step.recording is not None:
                self._recordings[run.id][step.path] = step.recording
        return [self._append(run.id, "step", step_event_body(step)) for step in steps]

    async def save_run(self, owner: RunOwner, run: Run) -> Sequence[RunEvent]:
        held = self._fenced(owner)
        is_released = run.status in RELEASING
        self._runs[held.id] = replace(
            held,
            status=run.status,
            lane=run.lane,
            started_at=run.started_at,
            finished_at=run.finished_at,
            outputs=run.outputs,
            errors=run.errors,
            cost_nano_usd=run.cost_nano_usd,
            prefect_run_id=run.prefect_run_id,
            wake_at=run.wake_at,
            waiting_since=run.waiting_since,
            waited_s=run.waited_s,
            owner=None if is_released else held.owner,
            lease_until=None if is_released else held.lease_until,
        )
        return [self._append(held.id, "run", run_event_body(run))]

    async def request_cancel(self, org_id: str, run_id: str) -> bool:
        run = self._runs.get(run_id)
        if run is None or run.org_id != org_id or run.status in FINAL_RUN:
            return False
        self._runs[run_id] = replace(run, is_cancel_requested=True)
        return True

    async def is_cancel_requested(self, run_id: str) -> bool:
        run = self._runs.get(run_id)
        return run is not None and run.is_cancel_requested

    async def events(self, run_id: str, *, after_seq: int = 0) -> Sequence[RunEvent]:
        return tuple(event for event in self._events.get(run_id, []) if event.seq > after_seq)

    def _fenced(self, owner: RunOwner) -> Run:
        run = self._runs.get(owner.run_id)
        if run is None or run.owner != owner.owner or run.epoch != owner.epoch:
            raise StaleOwnerError(f"run {owner.run_id} is no longer held by {owner.owner}, epoch {owner.epoch}")
        return run

    def _append(self, run_id: str, kind: EventKind, body: JsonObject) -> RunEvent:
        events = self._events[run_id]
        event = RunEvent(run_id=run_id, seq=len(events) + 1, kind=kind, at=self._clock.now(), body=body)
        events.append(event)
        return event


class MemoryEventBus:
    """EventBus inside one process. A follower that does not keep up loses tokens first, then its oldest events."""

    def __init__(self, *, backlog: int = 10_000) -> None:
        self._backlog = backlog
        self._followers: dict[str, list[asyncio.Queue[RunEvent]]] = {}

    def publish(self, event: RunEvent) -> None:
        for queue in self._followers.get(event.run_id, ()):
            if queue.full():
                if event.kind == "token":
                    continue
                queue.get_nowait()
            queue.put_nowait(event)

    def is_followed(self, run_id: str) -> bool:
        return bool(self._followers.get(run_id))

    def follow(self, run_id: str) -> AsyncIterator[RunEvent]:
        """Events from now on. Following begins with this call, not with the first iteration."""
        queue: asyncio.Queue[RunEvent] = asyncio.Queue(self._backlog)
        self._followers.setdefault(run_id, []).append(queue)
        return self._read(run_id, queue)

    async def _read(self, run_id: str, queue: asyncio.Queue[RunEvent]) -> AsyncIterator[RunEvent]:
        try:
            while True:
                event = await queue.get()
                yield event
                if event.kind == "run" and event.body.get("status") in FINAL_RUN:
                    return
        finally:
            followers = self._followers[run_id]
            followers.remove(queue)
            if not followers:
                del self._followers[run_id]


class MemoryOutcomeCache:
    """OutcomeCache in this process; the oldest entries leave when it is full."""

    def __init__(self, clock: Clock, *, max_entries: int = 1000) -> None:
        self._clock = clock
        self._max_entries = max_entries
        self._entries: dict[str, tuple[float, JsonValue]] = {}

    async def get(self, key: str) -> tuple[JsonValue] | None:
        entry = self._entries.get(key)
        if entry is None or entry[0] <= self._clock.monotonic():
            self._entries.pop(key, None)
            return None
        return (entry[1],)

    async def put(self, key: str, output: JsonValue, *, ttl_s: float) -> None:
        self._entries.pop(key, None)
        self._entries[key] = (self._clock.monotonic() + ttl_s, output)
        while len(self._entries) > self._max_entries:
            del self._entries[next(iter(self._entries))]
