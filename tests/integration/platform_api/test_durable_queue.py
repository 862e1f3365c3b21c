"""What the dispatcher asks of the durable lane: runs that have room, runs whose time has come, and nothing else."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select, update

from flows.durable_lane import ScheduledBirth
from platform_api.database.tables.flows import FlowRow, RunRow, ScheduleRow
from platform_api.flow_api.run_loader import SqlRunLoader
from platform_api.flow_api.run_service import RunOrder
from tests.support.platform import Platform, running_platform

ONE_AT_ONCE = """
flow: single
spec: 1
engine: prefect
concurrency: {limit: 1}
nodes:
  a: {type: noop}
"""
SLOT = datetime(2026, 5, 1, 7, tzinfo=UTC)


@dataclass
class RecordingLane:
    """A durable lane that is ready and only remembers what it is asked."""

    is_ready: bool = True
    triggered: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])

    async def trigger(self, run_id: str, org_id: str, *, attempt_key: str) -> str:
        del org_id
        self.triggered.append((run_id, attempt_key))
        return f"prefect-{len(self.triggered)}"

    async def cancel(self, prefect_run_id: str) -> bool:
        del prefect_run_id
        return True


@pytest.fixture
async def platform(database_url: str, tmp_path: Path) -> AsyncIterator[Platform]:
    async with running_platform(database_url, tmp_path / "home") as running:
        yield running


@pytest.fixture
def lane(platform: Platform) -> RecordingLane:
    recording = RecordingLane()
    platform.app.state.flow_services.dispatcher.durable = recording
    return recording


async def entered(platform: Platform) -> str:
    order = RunOrder(UUID(platform.org_id), "single", None, {}, "api")
    services = platform.app.state.flow_services
    return str((await services.entrance.start(platform.database.for_org(order.org_id), order)).run_id)


async def change(platform: Platform, run_id: str, **values: Any) -> None:
    async with platform.database.system()() as db:
        await db.execute(update(RunRow).where(RunRow.id == UUID(run_id)).values(**values))


async def test_a_run_is_handed_over_when_its_group_has_room(platform: Platform, lane: RecordingLane) -> None:
    await platform.publish(ONE_AT_ONCE)
    first, second = await entered(platform), await entered(platform)
    dispatcher = platform.app.state.flow_services.dispatcher
    await dispatcher.admit()
    before = [run_id for run_id, _ in lane.triggered]

    await change(platform, first, status="succeeded")
    await dispatcher.admit()

    assert before == [first]
    assert [run_id for run_id, _ in lane.triggered] == [first, second]


async def test_a_waiting_run_is_handed_over_once_when_its_time_has_come(
    platform: Platform, lane: RecordingLane
) -> None:
    await platform.publish(ONE_AT_ONCE.replace("concurrency: {limit: 1}\n", ""))
    run_id = await entered(platform)
    dispatcher = platform.app.state.flow_services.dispatcher
    await change(platform, run_id, status="waiting", wake_at=datetime(2099, 1, 1, tzinfo=UTC), epoch=3)
    await dispatcher.wake()
    before = len(lane.triggered)

    await change(platform, run_id, wake_at=SLOT)
    await dispatcher.wake()
    await dispatcher.wake()

    keys = {key for _, key in lane.triggered[1:]}
    assert (before, len(keys)) == (1, 1)
    assert next(iter(keys)).startswith(f"{run_id}:3:")


async def test_a_waiting_run_of_a_full_group_waits_for_room(platform: Platform, lane: RecordingLane) -> None:
    await platform.publish(ONE_AT_ONCE)
    waiting = await entered(platform)
    await change(platform, waiting, status="waiting", wake_at=SLOT)
    other = await entered(platform)
    dispatcher = platform.app.state.flow_services.dispatcher

    await dispatcher.wake()
    before = [run_id for run_id, _ in lane.triggered]
    await change(platform, other, status="succeeded")
    await dispatcher.admit()

    assert before == [waiting, other]
    assert [run_id for run_id, _ in lane.triggered] == [waiting, other, waiting]


async def test_a_slot_of_a_schedule_for_which_there_is_no_room_is_left_to_the_dispatcher(
    platform: Platform, lane: RecordingLane
) -> None:
    await platform.publish(ONE_AT_ONCE)
    first = await entered(platform)
    services, org_id = platform.app.state.flow_services, UUID(platform.org_id)
    schedule_id = await a_schedule(platform)
    no_engine: Any = None  # admission asks the database alone
    loader = SqlRunLoader(no_engine, services.compiler, services.slots)
    birth = ScheduledBirth(str(org_id), str(schedule_id), "single", None, SLOT, "prefect-slot")

    admitted = [await loader.admit(birth), await loader.admit(birth)]
    await change(platform, first, status="succeeded")
    await services.dispatcher.admit()

    assert admitted == [None, None]
    async with platform.database.system().read() as db:
        rows = (await db.scalars(select(RunRow).where(RunRow.schedule_id == schedule_id))).all()
    assert [run_id for run_id, _ in lane.triggered] == [first, str(rows[0].id)]
    assert len(rows) == 1


async def a_schedule(platform: Platform) -> UUID:
    """A schedule of the flow, in the database."""
    schedule_id = UUID("0198c0de-0000-7000-8000-000000000001")
    async with platform.database.system()() as db:
        flow = await db.scalar(select(FlowRow).where(FlowRow.name == "single"))
        assert flow is not None
        db.add(
            ScheduleRow(
                id=schedule_id,
                org_id=flow.org_id,
                flow_id=flow.id,
                flow="single",
                version=None,
                trigger_id=None,
                cron="0 7 * * *",
                timezone="UTC",
                inputs={},
                overlap="allow",
                misfire="all",
                created_by=None,
                created_at=SLOT,
                updated_at=SLOT,
            )
        )
    return schedule_id
