"""Runs that share a limit: who waits, who is refused, who goes; never more at once than the flow allows."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import func, select, update

from platform_api.database.tables.flows import RunRow
from platform_api.flow_api.run_service import RunOrder
from tests.integration.platform_api.test_flows_and_runs import until_final
from tests.support.platform import Platform, running_platform

SHARED = """
flow: shared
spec: 1
inputs:
  who: {type: string, default: ann}
  model: {type: string, default: mock/echo}
concurrency: {key: "${{ tenant.slug + inputs.who }}", limit: LIMIT, on_full: ON_FULL}
nodes:
  ask: {type: llm, with: {model: "${{ inputs.model }}", prompt: hi, max_tokens: 5}}
"""
MOCK: dict[str, Any] = {"faults": [{"kind": "hang", "match": {"model": "slow"}, "times": None}]}
SLOW = {"model": "mock/slow"}


@pytest.fixture
async def platform(database_url: str, tmp_path: Path) -> AsyncIterator[Platform]:
    async with running_platform(database_url, tmp_path / "home", MOCK) as running:
        yield running


async def publish(platform: Platform, *, limit: int = 1, on_full: str = "queue") -> str:
    return await platform.publish(SHARED.replace("LIMIT", str(limit)).replace("ON_FULL", on_full))


async def statuses(platform: Platform, *run_ids: str) -> list[str]:
    return [(await platform.client.get(f"/api/runs/{run_id}")).json()["status"] for run_id in run_ids]


async def started(platform: Platform, flow: str, inputs: dict[str, Any], *, until: str = "running") -> str:
    run_id = str((await platform.run(flow, inputs, wait=0)).json()["run_id"])
    async with asyncio.timeout(10):
        while await statuses(platform, run_id) != [until]:
            await asyncio.sleep(0.02)
    return run_id


async def test_a_run_waits_until_another_of_its_key_has_ended(platform: Platform) -> None:
    flow = await publish(platform)
    first = await started(platform, flow, SLOW)
    second = await started(platform, flow, {}, until="queued")
    third = await started(platform, flow, {}, until="queued")
    other = await platform.run(flow, {"who": "bob"})
    await platform.app.state.flow_services.dispatcher.sweep()
    await platform.app.state.flow_services.dispatcher.admit()
    before = await statuses(platform, second, third)

    await platform.client.post(f"/api/runs/{first}/cancel")
    ended = [await until_final(platform, run_id) for run_id in (first, second, third)]

    assert other.json()["status"] == "succeeded"
    assert before == ["queued", "queued"]
    assert [run["status"] for run in ended] == ["cancelled", "succeeded", "succeeded"]
    assert ended[1]["finished_at"] <= ended[2]["started_at"]


async def test_a_run_is_refused_when_the_group_is_full_and_its_flow_says_so(platform: Platform) -> None:
    flow = await publish(platform, limit=2, on_full="reject")
    running = [await started(platform, flow, SLOW), await started(platform, flow, SLOW)]

    refused = await platform.run(flow, {})
    await platform.client.post(f"/api/runs/{running[0]}/cancel")
    await until_final(platform, running[0])
    accepted = await platform.run(flow, {})

    assert (refused.status_code, refused.json()["code"]) == (409, "concurrency_full")
    assert accepted.json()["status"] == "succeeded"


async def test_the_oldest_goes_for_the_new_one(platform: Platform) -> None:
    flow = await publish(platform, limit=2, on_full="cancel_oldest")
    first, second = await started(platform, flow, SLOW), await started(platform, flow, SLOW)

    third = await platform.run(flow, {}, wait=0)
    ended = await until_final(platform, third.json()["run_id"])

    assert (ended["status"], await statuses(platform, first, second)) == ("succeeded", ["cancelled", "running"])


async def test_a_waiting_run_can_be_cancelled(platform: Platform) -> None:
    flow = await publish(platform)
    await started(platform, flow, SLOW)
    second = await started(platform, flow, {}, until="queued")

    await platform.client.post(f"/api/runs/{second}/cancel")

    assert (await until_final(platform, second))["status"] == "cancelled"


async def test_runs_entered_at_the_same_moment_never_get_more_places_than_there_are(platform: Platform) -> None:
    flow = await publish(platform, limit=3)
    services = platform.app.state.flow_services
    order = RunOrder(UUID(platform.org_id), flow, None, {}, "api", engine="inline")
    sessions = platform.database.for_org(order.org_id)

    entered = await asyncio.gather(*(services.entrance.enter(sessions, order) for _ in range(8)))

    assert sum(run.is_admitted for run in entered) == 3
    async with platform.database.system().read() as db:
        held = await db.scalar(select(func.count()).select_from(RunRow).where(RunRow.admitted_at.is_not(None)))
    assert held == 3


async def test_a_dead_run_keeps_its_place_for_a_minute_and_no_longer(platform: Platform) -> None:
    flow = await publish(platform)
    services = platform.app.state.flow_services
    order = RunOrder(UUID(platform.org_id), flow, None, {}, "api", engine="inline")
    sessions = platform.database.for_org(order.org_id)
    dead = await services.entrance.enter(sessions, order)
    held = await services.store.acquire(dead.run_id, "dead")
    waiting = await services.entrance.enter(sessions, order)
    assert held is not None

    async def lease_ended(ago_s: float) -> int:
        ended = datetime.now(UTC) - timedelta(seconds=ago_s)
        async with platform.database.system()() as db:
            await db.execute(update(RunRow).where(RunRow.id == UUID(dead.run_id)).values(lease_until=ended))
        return int(await services.dispatcher.admit())

    assert (await lease_ended(50), await lease_ended(70)) == (0, 1)
    assert (await until_final(platform, waiting.run_id))["status"] == "succeeded"


async def test_a_key_that_cannot_be_evaluated_is_the_callers_mistake(platform: Platform) -> None:
    document = SHARED.replace("LIMIT", "1").replace("ON_FULL", "queue").replace("inputs.who }}", "text(1 / 0) }}")
    flow = await platform.publish(document)

    refused = await platform.run(flow, {})

    assert (refused.status_code, refused.json()["code"]) == (422, "invalid_inputs")
