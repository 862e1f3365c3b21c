"""The slots of schedules: which there are, which became runs, and what becomes of those that nothing fired in time.

The hours when clocks change, as in Debian's cron: a time that is skipped comes right after the jump, a fixed time that
comes twice runs the first time, and a line with `*` in its hour runs in both hours. Prefect, which fires schedules,
has rules of its own there: a slot of its that is none of ours is left out, and ours is made up for.
"""

import asyncio
import hashlib
import logging
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import select, update

from bridge.clock import Clock
from flows.runs import FINAL_RUN, Lane
from platform_api.database.session import Database
from platform_api.database.tables.flows import RunRow, ScheduleRow
from platform_api.errors import ApiError
from platform_api.flow_api.run_repository import RunRepository
from platform_api.flow_api.run_service import Entered, RunEntrance, RunOrder
from platform_api.flow_api.schedule_times import next_times
from platform_api.repeating import repeating

log = logging.getLogger(__name__)

LOOK_EVERY_S = 30.0
LATE_AFTER = timedelta(seconds=90)
"""So long the durable lane has to fire a slot before it is made up for."""
MISSED_AFTER = timedelta(minutes=10)
"""A slot that is made up for within this time is late; later it was missed, and the misfire policy decides."""
LOOKS_BACK = timedelta(days=7)
"""What was missed longer ago is made up for by a backfill alone."""
MAX_MADE_UP = 100
"""Of very many missed slots under `misfire: all`, the newest."""


@dataclass(frozen=True, slots=True)
class Slot:
    """One time of one schedule. `is_made_up`: nothing fired it."""

    org_id: UUID
    schedule_id: UUID
    at: datetime
    prefect_run_id: str | None = None
    is_made_up: bool = False


def slots_between(cron: str, timezone: str, after: datetime, until: datetime, *, limit: int) -> list[datetime]:
    """The slots later than `after`, `until` included, in UTC; of more than `limit` the newest."""
    found: list[datetime] = []
    at = after
    while batch := next_times(cron, timezone, after=at, count=200):
        found += [moment for moment in batch if moment <= until]
        if batch[-1] > until:
            break
        found, at = found[-limit:], batch[-1]
    return found[-limit:]


def is_slot(cron: str, timezone: str, at: datetime) -> bool:
    """Is it a time of the schedule, by the rule above?"""
    return next_times(cron, timezone, after=at - timedelta(seconds=1), count=1) == [at]


def to_make_up(missed: Sequence[datetime], misfire: str, *, now: datetime) -> list[datetime]:
    """Of slots that nothing fired, in order, those that get a run now."""
    late = [at for at in missed if at > now - MISSED_AFTER]
    older = [at for at in missed if at <= now - MISSED_AFTER]
    if misfire == "all":
        return [*older[-MAX_MADE_UP:], *late]
    return [*(older[-1:] if misfire == "last" and not late else []), *late]


def series_of(schedule_id: UUID) -> str:
    """The group in which the runs of a schedule with `overlap: queue` wait for each other."""
    return hashlib.sha256(f"schedule:{schedule_id}".encode()).hexdigest()


class ScheduleSlots:
    """Turns slots into runs, once each, as the schedule's policies say."""

    def __init__(self, database: Database, entrance: RunEntrance, clock: Clock) -> None:
        self._database = database
        self._entrance = entrance
        self._clock = clock

    async def fire(self, slot: Slot) -> Entered | None:
        """The run of a slot that the durable lane has fired and walks. None: it is left out, or waits for room."""
        await self._close_gap(slot)
        entered = await self.enter(slot, lane="prefect")
        await self.note(slot.schedule_id, slot.at)
        return entered if entered is not None and entered.is_admitted else None

    async def _close_gap(self, slot: Slot) -> None:
        """Runs for the slots before this one that nothing fired, where every missed one is wanted."""
        query = select(ScheduleRow).where(ScheduleRow.org_id == slot.org_id, ScheduleRow.id == slot.schedule_id)
        async with self._database.for_org(slot.org_id).read() as db:
            row = await db.scalar(query)
        if row is None or row.misfire != "all" or row.is_paused:
            return
        slots = await self._slots(row, self._since(row), slot.at - timedelta(seconds=1), MAX_MADE_UP)
        fired = await self._fired(row, slots) if slots else set[datetime]()
        for at in slots:
            if at not in fired:
                await self.enter(Slot(row.org_id, row.id, at, is_made_up=True), lane=None)

    async def enter(self, slot: Slot, *, lane: Lane | None) -> Entered | None:
        """The run of a slot, in a given lane where somebody walks it already. None: it is left out, or has ended."""
        sessions = self._database.for_org(slot.org_id)
        async with sessions.read() as db:
            schedule = await db.scalar(
                select(ScheduleRow).where(ScheduleRow.org_id == slot.org_id, ScheduleRow.id == slot.schedule_id)
            )
            made = await db.scalar(
                select(RunRow).where(
                    RunRow.org_id == slot.org_id, RunRow.schedule_id == slot.schedule_id, RunRow.slot == slot.at
                )
            )
            is_running = await RunRepository(db).is_slot_running(slot.schedule_id)
        if made is not None:
            waits_for_room = made.group_key is not None and made.admitted_at is None
            is_over = made.status in FINAL_RUN or waits_for_room
            return None if is_over else Entered(str(made.id), lane or "inline", is_new=False)
        if schedule is None or self._is_left_out(schedule, slot, is_running=is_running):
            return None
        order = self._order(schedule, slot)
        try:
            if lane is not None:
                return await self._entrance.enter(sessions, order, lane=lane)
            return await self._entrance.start(sessions, order)
        except ApiError as error:  # nothing published, inputs that fit no more: said once, the schedule goes on
            log.warning("schedule_slot_refused", extra={"schedule_id": str(slot.schedule_id), "problem": error.detail})
            return None

    def _is_left_out(self, schedule: ScheduleRow, slot: Slot, *, is_running: bool) -> bool:
        is_late = slot.at <= self._clock.now() - MISSED_AFTER and not slot.is_made_up
        reason = None
        if schedule.is_paused:
            reason = "paused"
        elif not is_slot(schedule.cron, schedule.timezone, slot.at):
            reason = "no slot of ours"
        elif schedule.overlap == "skip" and is_running:
            reason = "the run before goes on"
        elif is_late and not self._is_wanted_late(schedule, slot.at):
            reason = "missed"
        if reason is not None:
            log.info("schedule_slot_skipped", extra={"schedule_id": str(schedule.id), "reason": reason})
        return reason is not None

    def _is_wanted_late(self, schedule: ScheduleRow, at: datetime) -> bool:
        """Of a slot that was fired after its time: does the misfire policy want it?"""
        now = self._clock.now()
        later = [one for one in next_times(schedule.cron, schedule.timezone, after=at, count=1) if one <= now]
        return schedule.misfire == "all" or (schedule.misfire == "last" and not later)

    def _order(self, schedule: ScheduleRow, slot: Slot) -> RunOrder:
        return RunOrder(
            org_id=schedule.org_id,
            flow=schedule.flow,
            version=schedule.version,
            inputs=schedule.inputs,
            trigger="schedule",
            user_id=schedule.created_by,
            schedule_id=schedule.id,
            slot=slot.at,
            prefect_run_id=slot.prefect_run_id,
            series=series_of(schedule.id) if schedule.overlap == "queue" else None,
        )

    async def note(self, schedule_id: UUID, at: datetime) -> None:
        """Everything up to `at` has been dealt with."""
        statement = (
            update(ScheduleRow)
            .where(ScheduleRow.id == schedule_id)
            .where((ScheduleRow.seen_until.is_(None)) | (ScheduleRow.seen_until < at))
            .values(seen_until=at)
        )
        async with self._database.system()() as db:
            await db.execute(statement)

    def making_up(self) -> AbstractAsyncContextManager[None]:
        """Look for missed slots every LOOK_EVERY_S seconds until the block ends."""
        return repeating(self.make_up, every_s=LOOK_EVERY_S, name="missed_slots_look")

    async def make_up(self) -> int:
        """Runs for what nothing fired in time, as each schedule's misfire policy says; how many were started."""
        until = self._clock.now() - LATE_AFTER
        async with self._database.system().read() as db:
            rows = (await db.scalars(select(ScheduleRow).where(ScheduleRow.is_paused.is_(False)))).all()
        n_started = 0
        for row in rows:
            slots = await self._slots(row, self._since(row), until, MAX_MADE_UP + 20)
            if not slots:
                continue
            fired = await self._fired(row, slots)
            missed = [at for at in slots if at not in fired]
            for at in to_make_up(missed, row.misfire, now=self._clock.now()):
                entered = await self.enter(Slot(row.org_id, row.id, at, is_made_up=True), lane=None)
                n_started += entered is not None and entered.is_new
            await self.note(row.id, slots[-1])
        return n_started

    def _since(self, row: ScheduleRow) -> datetime:
        return max(row.seen_until or row.updated_at, self._clock.now() - LOOKS_BACK)

    async def _slots(self, row: ScheduleRow, after: datetime, until: datetime, limit: int) -> list[datetime]:
        """In a thread: a year of minutes takes seconds."""
        return await asyncio.to_thread(slots_between, row.cron, row.timezone, after, until, limit=limit)

    async def _fired(self, row: ScheduleRow, slots: Sequence[datetime]) -> set[datetime]:
        query = select(RunRow.slot).where(RunRow.org_id == row.org_id, RunRow.schedule_id == row.id)
        async with self._database.for_org(row.org_id).read() as db:
            found = (await db.scalars(query.where(RunRow.slot >= slots[0], RunRow.slot <= slots[-1]))).all()
        return {at for at in found if at is not None}

    async def without_run(self, row: ScheduleRow, since: datetime, until: datetime, *, limit: int) -> list[datetime]:
        """Slots between the two times that have no run, the oldest first."""
        slots = await self._slots(row, since - timedelta(seconds=1), until, limit)
        fired = await self._fired(row, slots) if slots else set[datetime]()
        return [at for at in slots if at not in fired]
