"""Schedules: rows of ours, kept equal in Prefect, which fires them; a slot becomes one run by a unique key."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from bridge.identifiers import NewId
from flows.plan import Plan
from platform_api.database.session import Database
from platform_api.database.tables.flows import FlowRow, ScheduleRow
from platform_api.errors import ConflictError, NotFoundError, UnavailableError
from platform_api.flow_api.run_repository import RunRepository
from platform_api.flow_api.schedule_times import next_times
from platform_api.flow_api.schemas import NewSchedule, ScheduleChange, ScheduleItem
from platform_api.flow_api.service import recent_run
from platform_api.paging import Page, PageQuery, fetch_page

log = logging.getLogger(__name__)

SHOWN_TIMES = 5


@dataclass(frozen=True, slots=True)
class ActiveSchedule:
    """A schedule as the durable lane is to keep it."""

    id: str
    org_id: str
    flow: str
    version: int | None
    cron: str
    timezone: str
    is_paused: bool


class ScheduleKeeper(Protocol):
    """The part of the durable lane that fires schedules."""

    async def keep(self, schedules: Sequence[ActiveSchedule]) -> None:
        """Fire exactly these from now on."""
        ...


class SchedulePublisher:
    """Tells the durable lane which schedules there are. Without one, schedules are refused instead of never firing."""

    def __init__(self, database: Database, keeper: ScheduleKeeper | None) -> None:
        self._sessions = database.system()
        self._keeper = keeper

    def require_lane(self) -> None:
        """Raises ConflictError (durable_lane_off) when nothing would fire a schedule."""
        if self._keeper is None:
            raise ConflictError(
                "schedules are fired by Prefect, and none is configured: set PREFECT_API_URL", code="durable_lane_off"
            )

    @property
    def is_on(self) -> bool:
        """Would a schedule fire?"""
        return self._keeper is not None

    async def publish(self) -> None:
        """Make the durable lane's schedules equal to the rows. Raises UnavailableError when it does not answer."""
        if self._keeper is None:
            return
        async with self._sessions.read() as db:
            rows = (await db.scalars(select(ScheduleRow).order_by(ScheduleRow.id))).all()
        try:
            await self._keeper.keep([_active(row) for row in rows])
        except Exception as error:  # whatever the client of the other service raises
            log.warning("schedules_not_published", exc_info=True)
            raise UnavailableError("Prefect does not answer; the change is stored and applied when it does") from error


async def create(
    db: AsyncSession, flow: FlowRow, new: NewSchedule, *, user_id: UUID | None, now: datetime, new_id: NewId
) -> ScheduleItem:
    """A schedule for a flow. Raises InvalidError for a cron line or time zone that is none."""
    next_times(new.cron, new.timezone, after=now, count=1)
    row = ScheduleRow(
        id=UUID(new_id()),
        org_id=flow.org_id,
        flow_id=flow.id,
        flow=flow.name,
        version=new.version,
        trigger_id=None,
        cron=new.cron,
        timezone=new.timezone,
        inputs=new.inputs,
        overlap=new.overlap,
        misfire=new.misfire,
        is_paused=new.paused,
        seen_until=now,
        created_by=user_id,
        created_at=now,
        updated_at=now,
    )
    db.add(row)
    await db.flush()
    return (await _items(db, [row], now=now))[0]


async def change(
    db: AsyncSession, org_id: UUID, schedule_id: UUID, wanted: ScheduleChange, *, now: datetime
) -> ScheduleItem:
    """The schedule with some of it changed."""
    row = await find(db, org_id, schedule_id)
    row.cron = wanted.cron or row.cron
    row.timezone = wanted.timezone or row.timezone
    row.inputs = row.inputs if wanted.inputs is None else wanted.inputs
    row.is_paused = row.is_paused if wanted.paused is None else wanted.paused
    row.overlap, row.misfire = wanted.overlap or row.overlap, wanted.misfire or row.misfire
    if wanted.paused is False or wanted.cron or wanted.timezone:
        row.seen_until = now  # what went by in a pause, or under another line, was not missed
    row.updated_at = now
    next_times(row.cron, row.timezone, after=now, count=1)
    await db.flush()
    return (await _items(db, [row], now=now))[0]


async def remove(db: AsyncSession, org_id: UUID, schedule_id: UUID) -> None:
    """End a schedule; its runs stay."""
    await db.delete(await find(db, org_id, schedule_id))


async def find(db: AsyncSession, org_id: UUID, schedule_id: UUID) -> ScheduleRow:
    """One schedule. Raises NotFoundError."""
    query = select(ScheduleRow).where(ScheduleRow.org_id == org_id, ScheduleRow.id == schedule_id)
    row = await db.scalar(query)
    if row is None:
        raise NotFoundError("schedule", schedule_id)
    return row


async def page(db: AsyncSession, org_id: UUID, query: PageQuery, *, now: datetime) -> Page[ScheduleItem]:
    """Schedules, newest first."""
    statement = select(ScheduleRow).where(ScheduleRow.org_id == org_id)
    rows, cursor = await fetch_page(db, statement, ScheduleRow.id, query)
    return Page(items=await _items(db, rows, now=now), next_cursor=cursor)


async def replace_triggers(
    db: AsyncSession, flow: FlowRow, plan: Plan, *, user_id: UUID | None, now: datetime, new_id: NewId
) -> bool:
    """Make the schedules that the flow's document asks for equal to `plan`; whether any is, or was, there.

    A person's pause survives a new version; schedules made through the API are left alone.
    """
    query = select(ScheduleRow).where(ScheduleRow.flow_id == flow.id, ScheduleRow.trigger_id.is_not(None))
    present = {row.trigger_id: row for row in await db.scalars(query)}
    wanted = {rule.id: rule for rule in plan.schedules}
    for trigger_id, row in present.items():
        if trigger_id not in wanted:
            await db.delete(row)
    for trigger_id, rule in wanted.items():
        values: dict[str, Any] = {
            "cron": rule.cron,
            "timezone": rule.timezone,
            "inputs": dict(rule.inputs),
            "overlap": rule.overlap,
            "misfire": rule.misfire,
            "updated_at": now,
        }
        row = present.get(trigger_id)
        if row is None:
            row = ScheduleRow(
                id=UUID(new_id()),
                org_id=flow.org_id,
                flow_id=flow.id,
                flow=flow.name,
                version=None,
                trigger_id=trigger_id,
                is_paused=False,
                seen_until=now,
                created_by=user_id,
                created_at=now,
                **values,
            )
            db.add(row)
        if (row.cron, row.timezone) != (rule.cron, rule.timezone):
            row.seen_until = now
        for name, value in values.items():
            setattr(row, name, value)
    await db.flush()
    return bool(present or wanted)


async def _items(db: AsyncSession, rows: Sequence[ScheduleRow], *, now: datetime) -> list[ScheduleItem]:
    last = await RunRepository(db).last_of_schedule([row.id for row in rows]) if rows else {}
    return [
        ScheduleItem(
            id=str(row.id),
            flow=row.flow,
            version=row.version,
            cron=row.cron,
            timezone=row.timezone,
            inputs=row.inputs,
            paused=row.is_paused,
            overlap=row.overlap,
            misfire=row.misfire,
            next_runs=[] if row.is_paused else next_times(row.cron, row.timezone, after=now, count=SHOWN_TIMES),
            last_run=recent_run(last[row.id]) if row.id in last else None,
        )
        for row in rows
    ]


def _active(row: ScheduleRow) -> ActiveSchedule:
    return ActiveSchedule(
        id=str(row.id),
        org_id=str(row.org_id),
        flow=row.flow,
        version=row.version,
        cron=row.cron,
        timezone=row.timezone,
        is_paused=row.is_paused,
    )
