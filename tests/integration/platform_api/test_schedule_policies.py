"""What becomes of slots: one after the other, left out, made up for, and backfilled within a cost."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select

from flows.durable_lane import ScheduledBirth
from platform_api.database.tables.flows import FlowRow, RunRow, ScheduleRow
from platform_api.flow_api.run_loader import SqlRunLoader
from platform_api.flow_api.schedule_slots import Slot
from platform_api.flow_api.services import FlowServices
from tests.integration.platform_api.test_durable_queue import RecordingLane, change
from tests.support.platform import Platform, running_platform

NOW = datetime.now(UTC).replace(second=0, microsecond=0)
HALF_PAST = f"{(NOW - timedelta(minutes=30)).minute} * * * *"
"""Every hour, the last time half an hour ago."""
FIRST = NOW - timedelta(minutes=30)
FLOW = "flow: hourly\nspec: 1\nengine: prefect\nnodes: {a: {type: noop}}\n"
PAID = """
flow: hourly
spec: 1
nodes: {a: {type: llm, with: {model: acme/paid, prompt: hi, max_tokens: 100}}}
"""


@pytest.fixture
async def platform(database_url: str, tmp_path: Path) -> AsyncIterator[Platform]:
    async with running_platform(database_url, tmp_path / "home") as running:
        yield running


@pytest.fixture
def lane(platform: Platform) -> RecordingLane:
    recording = RecordingLane()
    platform.app.state.flow_services.dispatcher.durable = recording
    return recording


async def a_schedule(platform: Platform, **changed: Any) -> ScheduleRow:
    """A schedule that nothing has fired for three hours and a half."""
    async with platform.database.system()() as db:
        flow = await db.scalar(select(FlowRow).where(FlowRow.name == "hourly"))
        assert flow is not None
        values: dict[str, Any] = {
            "id": uuid4(),
            "org_id": flow.org_id,
            "flow_id": flow.id,
            "flow": "hourly",
            "version": None,
            "trigger_id": None,
            "cron": HALF_PAST,
            "timezone": "UTC",
            "inputs": {},
            "overlap": "allow",
            "misfire": "last",
            "is_paused": False,
            "seen_until": NOW - timedelta(hours=3, minutes=15),
            "created_by": None,
            "created_at": NOW - timedelta(days=1),
            "updated_at": NOW - timedelta(days=1),
            **changed,
        }
        row = ScheduleRow(**values)
        db.add(row)
        await db.flush()
        return row


async def slots_run(platform: Platform, schedule: ScheduleRow) -> list[datetime | None]:
    async with platform.database.system().read() as db:
        query = select(RunRow.slot).where(RunRow.schedule_id == schedule.id).order_by(RunRow.slot)
        return list((await db.scalars(query)).all())


def services(platform: Platform) -> FlowServices:
    return cast("FlowServices", platform.app.state.flow_services)


@pytest.mark.parametrize(("misfire", "hours_ago"), [("none", []), ("last", [0]), ("all", [2, 1, 0])])
async def test_missed_slots_are_made_up_for_as_the_schedule_says(
    platform: Platform, lane: RecordingLane, misfire: str, hours_ago: list[int]
) -> None:
    await platform.publish(FLOW)
    schedule = await a_schedule(platform, misfire=misfire)

    made = [await services(platform).slots.make_up(), await services(platform).slots.make_up()]

    assert made == [len(hours_ago), 0]
    assert await slots_run(platform, schedule) == [FIRST - timedelta(hours=hours) for hours in hours_ago]
    assert len(lane.triggered) == len(hours_ago)


async def test_runs_of_a_schedule_that_queues_come_one_after_the_other(platform: Platform, lane: RecordingLane) -> None:
    await platform.publish(FLOW)
    schedule = await a_schedule(platform, overlap="queue", misfire="all")

    await services(platform).slots.make_up()
    at_first = list(lane.triggered)
    await change(platform, at_first[0][0], status="succeeded")
    await services(platform).dispatcher.admit()

    assert (len(at_first), len(lane.triggered)) == (1, 2)
    assert len(await slots_run(platform, schedule)) == 3


async def test_a_slot_is_left_out_while_the_run_before_goes_on_and_stays_left_out(
    platform: Platform, lane: RecordingLane
) -> None:
    await platform.publish(FLOW)
    schedule = await a_schedule(platform, overlap="skip")
    slots = services(platform).slots
    before = await slots.enter(
        Slot(schedule.org_id, schedule.id, FIRST - timedelta(hours=1), is_made_up=True), lane=None
    )
    assert before is not None

    skipped = await slots.fire(Slot(schedule.org_id, schedule.id, FIRST))
    await change(platform, before.run_id, status="succeeded")
    made = await slots.make_up()

    assert (skipped, made, len(lane.triggered)) == (None, 0, 1)
    assert await slots_run(platform, schedule) == [FIRST - timedelta(hours=1)]


async def test_what_the_durable_lane_fires_too_late_or_at_no_time_of_ours_is_left_out(platform: Platform) -> None:
    await platform.publish(FLOW)
    schedule = await a_schedule(platform)
    no_engine: Any = None  # admission asks the database alone
    loader = SqlRunLoader(no_engine, services(platform).compiler, services(platform).slots)

    def birth(at: datetime) -> ScheduledBirth:
        return ScheduledBirth(str(schedule.org_id), str(schedule.id), "hourly", None, at, f"prefect-{at}")

    old = await loader.admit(birth(FIRST - timedelta(hours=1)))
    odd = await loader.admit(birth(FIRST + timedelta(minutes=1)))
    last = await loader.admit(birth(FIRST))

    assert (old, odd) == (None, None)
    assert last is not None
    assert await slots_run(platform, schedule) == [FIRST]


async def test_a_backfill_shows_its_cost_and_runs_within_a_limit(platform: Platform) -> None:
    await platform.publish(PAID)
    schedule = await a_schedule(platform, misfire="none")
    path = f"/api/schedules/{schedule.id}/backfill"
    times = {"since": (NOW - timedelta(hours=3)).isoformat(), "until": NOW.isoformat()}

    preview = await platform.client.post(path, json=times)
    refused = await platform.client.post(path, json={**times, "max_usd": 0})
    done = await platform.client.post(path, json={**times, "max_usd": preview.json()["worst_usd"]})
    again = await platform.client.post(path, json=times)
    future = await platform.client.post(path, json={**times, "until": (NOW + timedelta(days=1)).isoformat()})

    assert preview.status_code == 200, preview.text
    assert len(preview.json()["slots"]) == 3
    assert 0 < preview.json()["expected_usd"] <= preview.json()["worst_usd"]
    assert preview.json()["run_ids"] == []
    assert (refused.status_code, refused.json()["code"]) == (409, "cost_above_limit")
    assert len(done.json()["run_ids"]) == 3
    assert {UUID(run_id) for run_id in done.json()["run_ids"]}
    assert again.json()["slots"] == []
    assert future.status_code == 422
