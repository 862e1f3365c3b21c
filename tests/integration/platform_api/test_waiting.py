"""Runs that wait: put aside, woken by whichever process is there, cancelled while they wait; they hold no place."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.platform_api.test_flows_and_runs import until_final
from tests.support.platform import Platform, running_platform

PAUSE = """
flow: pause
spec: 1
inputs: {time: {type: string, default: 1h}}
concurrency: {limit: 1}
nodes:
  before: {type: llm, with: {model: mock/before, prompt: hi, max_tokens: 5}}
  rest: {type: wait, needs: [before], with: {for: "${{ inputs.time }}"}}
  after: {type: llm, needs: [rest], with: {model: mock/after, prompt: hi, max_tokens: 5}}
outputs: {status: "${{ nodes.rest.status }}"}
finally:
  - {id: audit, type: template, with: {template: done}}
"""


@pytest.fixture
async def platform(database_url: str, tmp_path: Path) -> AsyncIterator[Platform]:
    async with running_platform(database_url, tmp_path / "home") as running:
        yield running


async def paused(platform: Platform, **inputs: Any) -> str:
    answer = await platform.run(await platform.publish(PAUSE), inputs)
    assert (answer.status_code, answer.json()["status"]) == (202, "waiting")
    return str(answer.json()["run_id"])


async def statuses(platform: Platform, run_id: str) -> dict[str, str]:
    run = (await platform.client.get(f"/api/runs/{run_id}")).json()
    return {path: step["status"] for path, step in run["steps"].items()}


async def test_a_run_waits_and_goes_on_by_itself(platform: Platform) -> None:
    run_id = await paused(platform, time="1s")

    ended = await until_final(platform, run_id)

    assert (ended["status"], ended["outputs"]) == ("succeeded", {"status": "succeeded"})
    assert ended["steps"]["rest"]["duration_ms"] >= 1000
    assert [ended["steps"][name]["attempts"] for name in ("before", "rest", "after")] == [1, 1, 1]


async def test_a_waiting_run_holds_no_place_of_its_group(platform: Platform) -> None:
    first = await paused(platform)
    second = await platform.run("pause", {"time": "0s"})
    woken_early = await platform.app.state.flow_services.dispatcher.wake()

    assert second.json()["status"] == "succeeded"
    assert woken_early == 0
    assert await statuses(platform, first) == {"before": "succeeded", "rest": "waiting"}


async def test_another_process_wakes_a_run_and_pays_nothing_twice(database_url: str, tmp_path: Path) -> None:
    counted = {"counter_path": str(tmp_path / "calls.jsonl")}
    async with running_platform(database_url, tmp_path / "home", counted) as first:
        run_id = await paused(first, time="2s")
    async with running_platform(database_url, tmp_path / "home", counted, email="bob@example.com") as other:
        ended = None
        while ended is None or ended.status in {"waiting", "running", "queued"}:
            ended = await other.app.state.flow_services.dispatcher.wait(run_id, 0.2)

    calls = (tmp_path / "calls.jsonl").read_text()
    assert (ended.status, calls.count("before"), calls.count("after")) == ("succeeded", 1, 1)


async def test_a_waiting_run_that_is_cancelled_ends_with_its_finally(platform: Platform) -> None:
    run_id = await paused(platform)

    await platform.client.post(f"/api/runs/{run_id}/cancel")
    ended = await until_final(platform, run_id)

    assert ended["status"] == "cancelled"
    assert await statuses(platform, run_id) == {
        "before": "succeeded",
        "rest": "cancelled",
        "after": "cancelled",
        "audit": "succeeded",
    }
