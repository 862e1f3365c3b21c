"""The RunStore over SQL: the truth about runs in both lanes, fenced by owner and epoch.

Every write first updates the run's own row under `owner` and `epoch`; when that changes nothing, somebody else took
the run over and StaleOwnerError is raised before anything is written. The same update numbers the events.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, and_, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from bridge.clock import Clock
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
from platform_api.database.session import Database
from platform_api.database.tables.flows import RecordingRow, RunEventRow, RunRow, StepRunRow
from platform_api.database.tables.identity import OrganizationRow
from platform_api.database.upserts import insert_or_replace
from platform_api.flow_api.run_rows import (
    event_of,
    event_record,
    recording_of,
    recording_record,
    run_of,
    run_outcome,
    step_of,
    step_record,
)

RELEASING = FINAL_RUN | {"waiting", "queued"}


class SqlRunStore:
    """RunStore in the platform's database."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._sessions = database.system()
        self._clock = clock

    async def load(self, run_id: str) -> Run | None:
        query = (
            select(RunRow, OrganizationRow.slug)
            .join(OrganizationRow, OrganizationRow.id == RunRow.org_id)
            .where(RunRow.id == run_id)
        )
        async with self._sessions.read() as db:
            found = (await db.execute(query)).one_or_none()
        return None if found is None else run_of(found[0], found[1])

    async def steps(self, run_id: str) -> Sequence[StepRun]:
        query = select(StepRunRow).where(StepRunRow.run_id == run_id).order_by(StepRunRow.started_at, StepRunRow.path)
        async with self._sessions.read() as db:
            found = [step_of(row) for row in await db.scalars(query)]
            texts = await _output_texts(db, run_id) if found else {}
        return tuple(_in_recorded_order(step, texts.get(step.path)) for step in found)

    async def recordings(self, run_id: str) -> Sequence[Recording]:
        query = select(RecordingRow).where(RecordingRow.run_id == run_id).order_by(RecordingRow.path)
        async with self._sessions.read() as db:
            return tuple(recording_of(row) for row in await db.scalars(query))

    async def acquire(self, run_id: str, owner: str, *, lease_s: float = 30.0) -> RunOwner | None:
        now = self._clock.now()
        is_free = or_(RunRow.owner.is_(None), RunRow.owner == owner, RunRow.lease_until <= now)
        statement = (
            update(RunRow)
            .where(RunRow.id == run_id, RunRow.status.not_in(FINAL_RUN), is_free)
            .values(owner=owner, lease_until=now + timedelta(seconds=lease_s), epoch=RunRow.epoch + 1, wake_at=None)
            .returning(RunRow.epoch)
        )
        async with self._sessions() as db:
            epoch = (await db.execute(statement)).scalar_one_or_none()
        return None if epoch is None else RunOwner(run_id=run_id, owner=owner, epoch=epoch)

    async def renew(self, owner: RunOwner, *, lease_s: float = 30.0) -> bool:
        statement = (
            update(RunRow)
            .where(_is_held_by(owner))
            .values(lease_until=self._clock.now() + timedelta(seconds=lease_s))
            .returning(RunRow.is_cancel_requested)
        )
        async with self._sessions() as db:
            wanted = (await db.execute(statement)).scalar_one_or_none()
        if wanted is None:
            raise _stale(owner)
        return wanted

    async def save_steps(self, owner: RunOwner, steps: Sequence[StepRun]) -> Sequence[RunEvent]:
        if not steps:
            return ()
        async with self._sessions() as db:
            org_id, last_seq = await self._advance(db, owner, len(steps), {})
            first_seq = last_seq - len(steps) + 1
            events = [
                self._event(owner.run_id, first_seq + index, "step", step_event_body(step))
                for index, step in enumerate(steps)
            ]
            await insert_steps(db, org_id, UUID(owner.run_id), owner.epoch, steps, at=self._clock.now())
            await _append(db, org_id, events)
        return events

    async def save_run(self, owner: RunOwner, run: Run) -> Sequence[RunEvent]:
        values = run_outcome(run)
        if run.status in RELEASING:
            values |= {"owner": None, "lease_until": None}
        if run.status == "waiting":  # an answer that came while it was walked has set the moment already
            values["wake_at"] = func.coalesce(RunRow.wake_at, run.wake_at)
        async with self._sessions() as db:
            org_id, seq = await self._advance(db, owner, 1, values)
            event = self._event(owner.run_id, seq, "run", run_event_body(replace(run, id=owner.run_id)))
            await _append(db, org_id, [event])
        return [event]

    async def request_cancel(self, org_id: str, run_id: str) -> bool:
        statement = (
            update(RunRow)
            .where(RunRow.id == run_id, RunRow.org_id == org_id, RunRow.status.not_in(FINAL_RUN))
            .values(is_cancel_requested=True)
            .returning(RunRow.id)
        )
        async with self._sessions() as db:
            return (await db.execute(statement)).first() is not None

    async def is_cancel_requested(self, run_id: str) -> bool:
        async with self._sessions.read() as db:
            return bool(await db.scalar(select(RunRow.is_cancel_requested).where(RunRow.id == run_id)))

    async def events(self, run_id: str, *, after_seq: int = 0) -> Sequence[RunEvent]:
        query = (
            select(RunEventRow)
            .where(RunEventRow.run_id == run_id, RunEventRow.seq > after_seq)
            .order_by(RunEventRow.seq)
        )
        async with self._sessions.read() as db:
            return tuple(event_of(row) for row in await db.scalars(query))

    async def _advance(
        self, db: AsyncSession, owner: RunOwner, n_events: int, values: dict[str, Any]
    ) -> tuple[UUID, int]:
        """Writes `values` to the run under the fence and reserves event numbers; the organisation and the last one."""
        statement = (
            update(RunRow)
            .where(_is_held_by(owner))
            .values(last_seq=RunRow.last_seq + n_events, **values)
            .returning(RunRow.org_id, RunRow.last_seq)
        )
        found = (await db.execute(statement)).one_or_none()
        if found is None:
            raise _stale(owner)
        return found[0], found[1]

    def _event(self, run_id: str, seq: int, kind: EventKind, body: Any) -> RunEvent:  # a JSON object
        return RunEvent(run_id=run_id, seq=seq, kind=kind, at=self._clock.now(), body=body)


async def _output_texts(db: AsyncSession, run_id: str) -> dict[str, str]:
    """Outputs by path as they were written, where the database keeps JSON in an order of its own."""
    if db.get_bind().dialect.name != "postgresql":
        return {}
    query = select(RecordingRow.path, RecordingRow.output).where(
        RecordingRow.run_id == run_id, RecordingRow.output.is_not(None)
    )
    return {path: text for path, text in (await db.execute(query)).all() if text is not None}


def _in_recorded_order(step: StepRun, text: str | None) -> StepRun:
    """The step with the keys of its output in the order in which whoever goes on from it is to read them."""
    if text is None or step.status != "succeeded":
        return step
    return replace(step, output=json.loads(text))


async def insert_steps(
    db: AsyncSession, org_id: UUID, run_id: UUID, epoch: int, steps: Sequence[StepRun], *, at: datetime
) -> None:
    """Store states and recordings of steps; one row a path, the last one wins."""
    latest = {step.path: step for step in steps}
    await insert_or_replace(db, StepRunRow, [step_record(org_id, run_id, epoch, step) for step in latest.values()])
    recorded = [
        recording_record(org_id, run_id, step.recording, at=at)
        for step in latest.values()
        if step.recording is not None
    ]
    await insert_or_replace(db, RecordingRow, recorded)


def _is_held_by(owner: RunOwner) -> ColumnElement[bool]:
    return and_(RunRow.id == owner.run_id, RunRow.owner == owner.owner, RunRow.epoch == owner.epoch)


def _stale(owner: RunOwner) -> StaleOwnerError:
    return StaleOwnerError(f"run {owner.run_id} is no longer held by {owner.owner}, epoch {owner.epoch}")


async def _append(db: AsyncSession, org_id: UUID, events: Sequence[RunEvent]) -> None:
    await db.execute(insert(RunEventRow), [event_record(org_id, event) for event in events])
