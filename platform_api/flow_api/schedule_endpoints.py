"""Schedules over HTTP. Prefect fires them; where there is none, making one is refused."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends

from bridge.identifiers import new_id
from platform_api.auth.caller import Db, Now, Sessions, require
from platform_api.auth.principals import Caller
from platform_api.flow_api import schedules, service
from platform_api.flow_api.backfill import backfill
from platform_api.flow_api.schemas import Backfill, BackfillPlan, NewSchedule, ScheduleChange, ScheduleItem
from platform_api.flow_api.services import Flows
from platform_api.paging import Page, Paging

router = APIRouter(prefix="/api/schedules", tags=["schedules"])

ScheduleReader = Annotated[Caller, Depends(require("schedule:read"))]
ScheduleWriter = Annotated[Caller, Depends(require("schedule:write"))]


@router.post("", status_code=201, operation_id="schedule_create")
async def create_schedule(
    new: NewSchedule, caller: ScheduleWriter, sessions: Sessions, flows: Flows, now: Now
) -> ScheduleItem:
    """Start a flow by the clock. 409 durable_lane_off when nothing would fire it, not_published without a version."""
    flows.schedules.require_lane()
    async with sessions() as db:
        flow = await service.find(db, caller.org_id, new.flow)
        service.runnable_version(flow, new.version)
        item = await schedules.create(db, flow, new, user_id=caller.user_id, now=now, new_id=new_id)
    await flows.schedules.publish()
    return item


@router.get("", operation_id="schedule_list")
async def list_schedules(caller: ScheduleReader, db: Db, page: Paging, now: Now) -> Page[ScheduleItem]:
    """Schedules, newest first, with their next times."""
    return await schedules.page(db, caller.org_id, page, now=now)


@router.patch("/{schedule_id}", operation_id="schedule_update")
async def change_schedule(
    schedule_id: UUID, wanted: ScheduleChange, *, caller: ScheduleWriter, sessions: Sessions, flows: Flows, now: Now
) -> ScheduleItem:
    """Change, pause or resume a schedule."""
    async with sessions() as db:
        item = await schedules.change(db, caller.org_id, schedule_id, wanted, now=now)
    await flows.schedules.publish()
    return item


@router.delete("/{schedule_id}", status_code=204, operation_id="schedule_delete")
async def delete_schedule(schedule_id: UUID, caller: ScheduleWriter, sessions: Sessions, flows: Flows) -> None:
    """End a schedule; its runs stay."""
    async with sessions() as db:
        await schedules.remove(db, caller.org_id, schedule_id)
    await flows.schedules.publish()


@router.post("/{schedule_id}/backfill", operation_id="schedule_backfill")
async def backfill_schedule(
    schedule_id: UUID, wanted: Backfill, *, caller: ScheduleWriter, sessions: Sessions, flows: Flows, now: Now
) -> BackfillPlan:
    """Run the slots that got no run: with `max_usd`, and only when all of them cost no more than that at worst."""
    async with sessions.read() as db:
        row = await schedules.find(db, caller.org_id, schedule_id)
    return await backfill(flows, row, wanted, now=now)
