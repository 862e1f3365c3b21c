"""The durable half: one Prefect API and one worker process walk every case that was asked for, many at once."""

import asyncio
import json
import pickle
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from flows.prefect_server import PrefectServer, client_environment
from tests.support.durable_cases import LIMIT_S, DurableCase, Walked, executed

DRAIN_S = 30.0
PAGE = 200


@pytest.fixture(scope="session")
def durable(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, DurableCase]:
    """By the name of the case; walked are those whose tests were collected."""
    names = [name for item in request.session.items if (name := _case_to_walk(item)) is not None]
    folder = tmp_path_factory.mktemp("durable")
    for parent in (folder, *list(folder.parents)[:2]):
        parent.chmod(0o755)  # PostgreSQL runs as another user
    (folder / "names.json").write_text(json.dumps(names))
    return asyncio.run(_walk(folder))


def _case_to_walk(item: Any) -> str | None:  # pytest's own attributes are untyped
    has_case = "durable" in getattr(item, "fixturenames", ()) and hasattr(item, "callspec")
    return str(item.callspec.params["case"].name) if has_case else None


async def _walk(folder: Path) -> dict[str, DurableCase]:
    server = PrefectServer(folder / "server")
    await server.start()
    try:
        await server.wait_until_ready()
        await asyncio.to_thread(_run_worker, folder, server.api_url)
        walked: dict[str, Walked] = pickle.loads((folder / "walked.pickle").read_bytes())
        return await _as_prefect_has_it(server.api_url, walked)
    finally:
        await server.stop()


def _run_worker(folder: Path, api_url: str) -> None:
    with (folder / "worker.log").open("wb") as log:
        ended = subprocess.run(
            [sys.executable, "-m", "tests.support.durable_cases", str(folder), api_url],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=client_environment(api_url, folder / "prefect-home"),
            timeout=LIMIT_S + 60,
            check=False,
        )
    assert ended.returncode == 0, (folder / "worker.log").read_text()[-4000:]


async def _as_prefect_has_it(api_url: str, walked: Mapping[str, Walked]) -> dict[str, DurableCase]:
    """Every case with its task runs; they reach Prefect late, so as many as there are steps are waited for."""
    from prefect.client.orchestration import PrefectClient

    n_wanted = sum(len(executed(one.steps)) for one in walked.values())
    async with PrefectClient(api_url) as client:
        deadline = asyncio.get_running_loop().time() + DRAIN_S
        while True:
            runs = await _pages(client.read_task_runs)
            final = [run for run in runs if run.state is not None and run.state.is_final()]
            if len(final) >= n_wanted or asyncio.get_running_loop().time() > deadline:
                break
            await asyncio.sleep(0.5)
        states = {str(run.id): run.state.type.value for run in await _pages(client.read_flow_runs)}
    found: dict[str, dict[str, str]] = {}
    for run in runs:
        names = found.setdefault(str(run.flow_run_id), {})
        assert run.name not in names, f"two task runs are called {run.name}"
        names[run.name] = "WAITING" if run.state.name == "Waiting" else run.state.type.value
    return {
        name: DurableCase(
            one,
            {step: state for run_id in one.prefect_run_ids for step, state in found.get(run_id, {}).items()},
            states[one.prefect_run_ids[-1]],
        )
        for name, one in walked.items()
    }


async def _pages(read: Any) -> list[Any]:
    found: list[Any] = []
    while True:
        page = await read(limit=PAGE, offset=len(found))
        found += page
        if len(page) < PAGE:
            return found
