"""API, private Prefect API and worker processes together: durable runs, a killed worker, a schedule that fires."""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import update

from flows.prefect_server import PrefectServer, client_environment
from platform_api.database.tables.flows import RunRow
from tests.integration.platform_api.test_flows_and_runs import until_final
from tests.support.platform import Platform, platform_settings, running_platform

pytestmark = [pytest.mark.peer, pytest.mark.timeout(240)]

ROOT = Path(__file__).parents[2]
CHAIN = """
flow: chain
spec: 1
nodes:
  a: {type: llm, with: {model: mock/a, prompt: one, max_tokens: 9}}
  b: {type: llm, with: {model: mock/b, prompt: "{{ a }}", vars: {a: "${{ nodes.a.output.text }}"}, max_tokens: 9}}
outputs: {text: "${{ nodes.b.output.text }}"}
"""
MINUTELY = """
flow: minutely
spec: 1
triggers: [{id: each_minute, type: schedule, cron: "* * * * *", timezone: Europe/Berlin}]
nodes:
  say: {type: template, with: {template: tick}}
outputs: {text: "${{ nodes.say.output.text }}"}
"""
WORKER = """
import sys
from pathlib import Path
from platform_api.settings import Settings
from platform_api.worker import run_process
settings = Settings.from_environment(folder=Path(sys.argv[1]))
sys.exit(run_process(settings, pool="modelbridge", ready_file=Path(sys.argv[2])))
"""


class Workers:
    """Worker processes over one home and database."""

    def __init__(self, home: Path, url: str, api_url: str) -> None:
        self.home, self._url, self._api_url = home, url, api_url
        self._count = 0

    def script(self, **mock: Any) -> None:
        """What the mock does in workers that start from now on."""
        platform_settings(self._url, self.home, {"counter_path": str(self.home / "calls.jsonl"), **mock})

    def called(self) -> list[str]:
        """Models the mock was called for."""
        path = self.home / "calls.jsonl"
        return [json.loads(line)["model"] for line in path.read_text().splitlines()] if path.exists() else []

    @contextmanager
    def running(self) -> Generator[subprocess.Popen[bytes]]:
        """One worker, ready; killed at the end should it still live."""
        self._count += 1
        ready, log_file = self.home / f"{self._count}.ready", self.home / f"{self._count}.log"
        environment = client_environment(self._api_url, self.home / "prefect-client")
        environment |= {"MODELBRIDGE_HOME": str(self.home), "DATABASE_URL": self._url}
        with log_file.open("wb") as log:
            worker = subprocess.Popen(
                [sys.executable, "-c", WORKER, str(self.home), str(ready)],
                cwd=ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        try:
            deadline = time.monotonic() + 60
            while not ready.exists():
                assert worker.poll() is None, log_file.read_text()
                assert time.monotonic() < deadline, log_file.read_text()
                time.sleep(0.05)
            yield worker
        finally:
            if worker.poll() is None:
                worker.kill()
            worker.wait()


@asynccontextmanager
async def prefect_api(home: Path) -> AsyncGenerator[str]:
    for parent in (home, *list(home.parents)[:2]):
        parent.chmod(0o755)  # PostgreSQL runs as another user
    server = PrefectServer(home)
    await server.start()
    try:
        await server.wait_until_ready()
        yield server.api_url
    finally:
        await server.stop()


async def ready_lane(platform: Platform) -> None:
    async with asyncio.timeout(60):
        while (await platform.client.get("/readyz")).json()["durable_lane"] != "ready":
            await asyncio.sleep(0.1)


async def test_runs_go_to_workers_survive_their_death_and_are_born_of_schedules(
    sqlite_url: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    home, prefect_home = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("prefect")
    async with (
        prefect_api(prefect_home) as api_url,
        running_platform(sqlite_url, home, PREFECT_API_URL=api_url) as platform,
    ):
        workers = Workers(home, sqlite_url, api_url)
        await ready_lane(platform)
        flow, minutely = await platform.publish(CHAIN), await platform.publish(MINUTELY)
        (schedule,) = (await platform.client.get("/api/schedules")).json()["items"]
        assert (schedule["flow"], len(schedule["next_runs"])) == ("minutely", 5)

        workers.script(faults=[{"kind": "hang", "match": {"model": "b"}, "skip": 1}])
        with workers.running() as first:
            whole = await platform.run(flow, {}, wait=60, engine="prefect")
            assert (whole.status_code, whole.json()["status"]) == (200, "succeeded"), whole.text
            assert whole.json()["outputs"] == {"text": "mock answer to: mock answer to: one"}
            started = await platform.run(flow, {}, wait=0, engine="prefect")
            async with asyncio.timeout(30):
                while workers.called() != ["a", "b", "a", "b"]:
                    await asyncio.sleep(0.05)
            first.kill()
        run_id = started.json()["run_id"]
        async with platform.database.system()() as db:
            ended = datetime.now(UTC) - timedelta(seconds=6)
            await db.execute(update(RunRow).where(RunRow.id == UUID(run_id)).values(lease_until=ended))

        workers.script()
        with workers.running() as second:
            run = await until_final(platform, run_id, within_s=60)
            assert (run["status"], run["engine"]) == ("succeeded", "prefect")
            assert workers.called() == ["a", "b", "a", "b", "b"]
            born = await first_run_of(platform, minutely)
            assert (born["trigger"], born["status"]) == ("schedule", "succeeded")
            second.terminate()
            assert await asyncio.to_thread(second.wait, 40) == 0
        paused = await platform.client.patch(f"/api/schedules/{schedule['id']}", json={"paused": True})
        assert paused.json()["next_runs"] == []
        assert (await platform.client.delete(f"/api/schedules/{schedule['id']}")).status_code == 204


async def first_run_of(platform: Platform, flow: str) -> dict[str, Any]:
    async with asyncio.timeout(100):
        while True:
            runs = (await platform.client.get("/api/runs", params={"flow": flow, "status": "succeeded"})).json()
            if runs["items"]:
                return dict(runs["items"][0])
            await asyncio.sleep(0.5)
