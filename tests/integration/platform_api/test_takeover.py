"""Runs whose process died or went down are continued; finished steps are not paid again; no usage is lost."""

import asyncio
import json
import signal
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import func, select, update

from bridge.clock import SystemClock
from flows.runs import StepRun
from platform_api.database.session import Database
from platform_api.database.tables.flows import RunRow
from platform_api.database.tables.usage import CallRow, LedgerRow
from platform_api.flow_api.run_service import RunOrder
from platform_api.flow_api.run_store import SqlRunStore
from tests.integration.platform_api.test_flows_and_runs import until_final
from tests.support.platform import Platform, running_platform

ROOT = Path(__file__).parents[3]
CHAIN = """
flow: chain
spec: 1
nodes:
  a: {type: llm, with: {model: mock/a, prompt: one, max_tokens: 5}}
  b: {type: llm, with: {model: mock/b, prompt: "{{ a }}", vars: {a: "${{ nodes.a.output.text }}"}, max_tokens: 5}}
outputs: {text: "${{ nodes.b.output.text }}"}
"""


def counting(home: Path, **more: Any) -> dict[str, Any]:
    return {"counter_path": str(home.parent / "calls.jsonl"), **more}


def called(home: Path) -> list[str]:
    path = home.parent / "calls.jsonl"
    return [json.loads(line)["model"] for line in path.read_text().splitlines()] if path.exists() else []


async def entered(platform: Platform, flow: str) -> str:
    """A run in the database that nobody walks yet."""
    order = RunOrder(UUID(platform.org_id), flow, None, {}, "api", engine="inline")
    services = platform.app.state.flow_services
    return str((await services.entrance.enter(platform.database.for_org(order.org_id), order)).run_id)


async def lease_ended(database: Database, run_id: str, ago_s: float) -> None:
    async with database.system()() as db:
        ended = datetime.now(UTC) - timedelta(seconds=ago_s)
        await db.execute(update(RunRow).where(RunRow.id == UUID(run_id)).values(lease_until=ended))


async def test_a_run_whose_walker_died_is_continued_without_paying_again(database_url: str, tmp_path: Path) -> None:
    home = tmp_path / "home"
    async with running_platform(database_url, home, counting(home)) as platform:
        run_id = await entered(platform, await platform.publish(CHAIN))
        store = SqlRunStore(platform.database, SystemClock())
        dead = await store.acquire(run_id, "dead")
        run = await store.load(run_id)
        assert dead is not None
        assert run is not None
        plan, _ = await platform.app.state.flow_services.compiler.plan(UUID(platform.org_id), "chain", 1)
        done = StepRun(
            path="a",
            step="a",
            type="llm",
            status="succeeded",
            attempts=1,
            output={"text": "paid"},
            fingerprint=plan.block.step("a").fingerprint,
        )
        await store.save_run(dead, replace(run, status="running", started_at=run.created_at))
        await store.save_steps(dead, [done])
        sweep = platform.app.state.flow_services.dispatcher.sweep
        await lease_ended(platform.database, run_id, 3)
        taken_early = await sweep()
        await lease_ended(platform.database, run_id, 6)
        await sweep()
        ended = await until_final(platform, run_id)

    assert taken_early == 0
    assert ended["status"] == "succeeded"
    assert ended["outputs"] == {"text": "mock answer to: paid"}
    assert called(home) == ["b"]


async def test_a_process_that_goes_down_gives_its_runs_back_and_the_next_one_finishes_them(
    database_url: str, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    hanging = counting(home, faults=[{"kind": "hang", "match": {"model": "b"}}])
    async with running_platform(database_url, home, hanging) as first:
        flow = await first.publish(CHAIN)
        run_id = (await first.run(flow, {}, wait=0.5)).json()["run_id"]
        assert called(home) == ["a", "b"]
    database = Database(database_url)
    try:
        async with database.system().read() as db:
            given_back = await db.scalar(select(RunRow).where(RunRow.id == UUID(run_id)))
        assert given_back is not None
        assert (given_back.status, given_back.owner) == ("queued", None)
        async with database.system()() as db:
            old = datetime.now(UTC) - timedelta(seconds=6)
            await db.execute(update(RunRow).where(RunRow.id == UUID(run_id)).values(created_at=old))
        async with running_platform(database_url, home, counting(home), email="bob@example.com"):
            store = SqlRunStore(database, SystemClock())
            async with asyncio.timeout(15):
                while (run := await store.load(run_id)) is None or run.status != "succeeded":
                    await asyncio.sleep(0.05)
    finally:
        await database.aclose()

    assert called(home) == ["a", "b", "b"]


CALLER = """
import asyncio, sys
from pathlib import Path
from bridge.chat import ChatRequest, Message
from platform_api.wiring import open_local_bridge
from tests.support.platform import platform_settings

async def main():
    async with open_local_bridge(platform_settings(sys.argv[1], Path(sys.argv[2]))) as (bridge, context_of):
        for number in range(1_000_000):
            await bridge.chat(ChatRequest("mock/echo", (Message.of("user", str(number)),)), context_of(None))
            print(number, flush=True)

asyncio.run(main())
"""


async def test_no_call_is_lost_or_counted_twice_when_a_process_is_killed(database_url: str, tmp_path: Path) -> None:
    home = tmp_path / "home"
    child = subprocess.Popen(
        [sys.executable, "-c", CALLER, database_url, str(home)], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert child.stdout is not None
    while int(child.stdout.readline()) < 300:
        pass
    child.send_signal(signal.SIGKILL)
    acknowledged = 301 + len(child.stdout.read().split())
    child.stdout.close()
    child.wait()
    async with running_platform(database_url, home) as platform, platform.database.system().read() as db:
        calls = await db.scalar(select(func.count()).select_from(CallRow)) or 0
        attempts = await db.scalar(select(func.count()).select_from(LedgerRow))

    assert acknowledged <= calls <= acknowledged + 1
    assert attempts == calls


@pytest.mark.parametrize("lane", ["inline", "prefect"])
async def test_a_queued_run_is_ended_by_its_cancel_though_nobody_walks_it(
    sqlite_url: str, tmp_path: Path, lane: str
) -> None:
    async with running_platform(sqlite_url, tmp_path / "home") as platform:
        run_id = await entered(platform, await platform.publish(CHAIN))
        async with platform.database.system()() as db:
            await db.execute(update(RunRow).where(RunRow.id == UUID(run_id)).values(lane=lane, prefect_run_id="x"))
        assert (await platform.client.post(f"/api/runs/{run_id}/cancel")).status_code == 202
        ended = await until_final(platform, run_id)

    assert ended["status"] == "cancelled"
