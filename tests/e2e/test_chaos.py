"""Workers stopped and killed in the middle of a run, with the lease that ships: what was paid for stays, once."""

import asyncio
import signal
import subprocess
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import pytest
from prefect.client.orchestration import PrefectClient
from sqlalchemy import select

from flows.engine_services import EngineLimits
from platform_api.database.tables.flows import RunEventRow, RunRow, StepRunRow
from tests.e2e.test_durable_platform import Workers, prefect_api, ready_lane
from tests.integration.platform_api.test_flows_and_runs import until_final
from tests.support.platform import Platform, running_platform

pytestmark = [pytest.mark.peer, pytest.mark.chaos, pytest.mark.timeout(240)]

LEASE_S = EngineLimits().lease_s
STOPPED_S = 60.0
TAKEN_OVER_WITHIN_S = LEASE_S + 25
"""The lease, five seconds of grace, a sweep, and the run itself."""
CHAIN = """
flow: chain
spec: 1
nodes:
  a: {type: llm, with: {model: mock/a, prompt: one, max_tokens: 9}}
  b: {type: llm, with: {model: mock/b, prompt: "{{ a }}", vars: {a: "${{ nodes.a.output.text }}"}, max_tokens: 9}}
  c: {type: llm, with: {model: mock/c, prompt: "{{ b }}", vars: {b: "${{ nodes.b.output.text }}"}, max_tokens: 9}}
outputs: {text: "${{ nodes.c.output.text }}"}
"""


class Stage:
    """The platform on PostgreSQL, Prefect's API and worker processes, with the flow `chain` published."""

    def __init__(self, platform: Platform, workers: Workers, api_url: str) -> None:
        self.platform, self.workers, self.api_url = platform, workers, api_url

    async def begin(self, last_calls: list[str]) -> str:
        """Start a run; its id, once the mock was called for just these models and the last call is going on."""
        started = await self.platform.run("chain", {}, wait=0, engine="prefect")
        async with asyncio.timeout(30):
            while self.workers.called() != last_calls:
                await asyncio.sleep(0.05)
        return str(started.json()["run_id"])

    async def rows(self, run_id: str) -> dict[str, list[dict[str, Any]]]:
        """All that is stored of a run: its row, its steps, its events."""
        found: dict[str, list[dict[str, Any]]] = {}
        async with self.platform.database.system()() as db:
            for row_class, key in ((RunRow, "id"), (StepRunRow, "run_id"), (RunEventRow, "run_id")):
                table: Any = row_class.__table__
                query = select(table).where(table.c[key] == UUID(run_id)).order_by(*table.primary_key)
                found[table.name] = [dict(row) for row in (await db.execute(query)).mappings()]
        return found

    async def run_row(self, run_id: str) -> dict[str, Any]:
        return (await self.rows(run_id))[str(RunRow.__tablename__)][0]


@asynccontextmanager
async def staged(url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Stage]:
    home, prefect_home = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("prefect")
    async with (
        prefect_api(prefect_home) as api_url,
        running_platform(url, home, PREFECT_API_URL=api_url) as platform,
    ):
        await ready_lane(platform)
        await platform.publish(CHAIN)
        yield Stage(platform, Workers(home, url, api_url), api_url)


async def prefect_end(api_url: str, prefect_run_id: str) -> tuple[str, str | None]:
    """How Prefect's run ended: type and message."""
    async with PrefectClient(api_url) as client, asyncio.timeout(30):
        while True:
            state = (await client.read_flow_run(UUID(prefect_run_id))).state
            if state is not None and state.is_final():
                return state.type.value, state.message
            await asyncio.sleep(0.1)


async def ended_in_order(worker: subprocess.Popen[bytes]) -> bool:
    worker.terminate()
    return await asyncio.to_thread(worker.wait, 40) == 0


@pytest.mark.parametrize("call_of_the_sleeper", ["ends while it sleeps", "never ends"])
async def test_a_worker_stopped_for_a_minute_writes_nothing_when_it_wakes(
    postgres_url: str, tmp_path_factory: pytest.TempPathFactory, call_of_the_sleeper: str
) -> None:
    slow = {"kind": "slow_first_token", "seconds": 20} if call_of_the_sleeper != "never ends" else {"kind": "hang"}
    async with staged(postgres_url, tmp_path_factory) as stage:
        stage.workers.script(faults=[{**slow, "match": {"model": "b"}}])
        with stage.workers.running() as sleeper:
            run_id = await stage.begin(["a", "b"])
            held = await stage.run_row(run_id)
            sleeper.send_signal(signal.SIGSTOP)
            stopped_at = time.monotonic()
            stage.workers.script()
            with stage.workers.running() as second:
                run = await until_final(stage.platform, run_id, within_s=TAKEN_OVER_WITHIN_S)
                taken_over_after_s = time.monotonic() - stopped_at
                assert await ended_in_order(second)
            before, calls_before = await stage.rows(run_id), stage.workers.called()
            await asyncio.sleep(stopped_at + STOPPED_S - time.monotonic())
            sleeper.send_signal(signal.SIGCONT)
            end = await prefect_end(stage.api_url, held["prefect_run_id"])
            assert await ended_in_order(sleeper)

        assert (await stage.rows(run_id), stage.workers.called()) == (before, calls_before)
        final = await stage.run_row(run_id)
        assert (run["status"], final["epoch"], held["epoch"]) == ("succeeded", 2, 1)
        assert final["prefect_run_id"] != held["prefect_run_id"]
        assert calls_before == ["a", "b", "b", "c"]
        assert end == ("CANCELLED", "another worker took the run over")
        assert taken_over_after_s > LEASE_S - EngineLimits().renew_every_s - 1


async def test_a_killed_workers_run_goes_on_after_the_lease_without_its_finished_steps(
    postgres_url: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    async with staged(postgres_url, tmp_path_factory) as stage:
        stage.workers.script(faults=[{"kind": "hang", "match": {"model": "c"}}])
        with stage.workers.running() as first:
            run_id = await stage.begin(["a", "b", "c"])
            paid = (await stage.rows(run_id))[str(StepRunRow.__tablename__)]
            first.kill()
            killed_at = time.monotonic()
        stage.workers.script()
        with stage.workers.running() as second:
            run = await until_final(stage.platform, run_id, within_s=TAKEN_OVER_WITHIN_S)
            taken_over_after_s = time.monotonic() - killed_at
            assert await ended_in_order(second)
        rows = await stage.rows(run_id)

    finished = {row["path"]: row for row in paid if row["status"] == "succeeded"}
    steps = {row["path"]: row for row in rows[str(StepRunRow.__tablename__)]}
    final = rows[str(RunRow.__tablename__)][0]
    assert (run["status"], final["epoch"]) == ("succeeded", 2)
    assert set(finished) == {"a", "b"}
    assert {path: steps[path] for path in finished} == finished
    assert stage.workers.called() == ["a", "b", "c", "c"]
    assert taken_over_after_s > LEASE_S - EngineLimits().renew_every_s - 1
