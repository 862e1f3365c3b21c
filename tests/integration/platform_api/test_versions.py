"""Versions of a flow: their difference at publishing, a share of runs for one on trial, and the way back."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.integration.platform_api.test_flows_and_runs import until_final
from tests.support.platform import Platform, running_platform

FLOW = """
flow: worded
spec: 1
nodes: {say: {type: template, with: {template: "WORD"}}}
outputs: {said: "${{ nodes.say.output.text }}"}
"""


@pytest.fixture
async def platform(database_url: str, tmp_path: Path) -> AsyncIterator[Platform]:
    async with running_platform(database_url, tmp_path / "home") as running:
        yield running


async def store(platform: Platform, word: str) -> int:
    made = await platform.client.post("/api/flows", json={"yaml": FLOW.replace("WORD", word)})
    assert made.status_code == 201, made.text
    return int(made.json()["version"])


async def said(platform: Platform) -> str:
    answer = await platform.run("worded", {})
    return str(answer.json()["outputs"]["said"])


async def test_publishing_shows_what_changes_and_rolling_back_undoes_it(platform: Platform) -> None:
    await store(platform, "one")
    first = await platform.client.post("/api/flows/worded/publish", json={})
    await store(platform, "two")
    diff = await platform.client.get("/api/flows/worded/diff")
    second = await platform.client.post("/api/flows/worded/publish", json={})
    by_two = await said(platform)
    back = await platform.client.post("/api/flows/worded/rollback")
    nothing = await platform.client.post("/api/flows/worded/rollback")

    change = {"path": "with.template", "before": "one", "after": "two"}
    assert first.json()["difference"] is None
    assert (diff.json()["before"], diff.json()["after"], diff.json()["is_empty"]) == (1, 2, False)
    assert diff.json()["difference"] == second.json()["difference"]
    assert [step["fields"] for step in second.json()["difference"]["steps"]] == [[change]]
    assert second.json()["difference"]["worst_usd_after"] == 0
    assert (by_two, await said(platform)) == ("two", "one")
    assert (back.json()["version"], back.json()["difference"]["steps"][0]["fields"][0]["after"]) == (1, "one")
    assert (nothing.status_code, nothing.json()["code"]) == (409, "nothing_before")


async def test_a_version_on_trial_takes_its_share_of_new_runs(platform: Platform) -> None:
    await store(platform, "one")
    too_soon = await platform.client.put("/api/flows/worded/canary", json={"version": 1, "percent": 50})
    await platform.client.post("/api/flows/worded/publish", json={})
    await store(platform, "two")
    same = await platform.client.put("/api/flows/worded/canary", json={"version": 1, "percent": 50})
    trial = await platform.client.put("/api/flows/worded/canary", json={"version": 2, "percent": 50})

    words = await asyncio.gather(*(said(platform) for _ in range(20)))
    named = await platform.client.post("/api/flows/worded/runs?wait=30", json={"inputs": {}, "version": 1})
    (item,) = (await platform.client.get("/api/flows")).json()["items"]
    ended = await platform.client.post("/api/flows/worded/rollback")
    afterwards = {await said(platform) for _ in range(4)}

    assert (too_soon.status_code, same.status_code, trial.status_code) == (409, 409, 200)
    assert set(words) == {"one", "two"}  # all 20 alike: once in half a million times
    assert named.json()["outputs"] == {"said": "one"}
    assert (item["published_version"], item["canary_version"], item["canary_percent"]) == (1, 2, 50)
    assert (ended.json()["version"], afterwards) == (1, {"one"})


async def test_a_run_keeps_the_version_it_began_with(platform: Platform) -> None:
    waits = FLOW.replace("{say:", "{hold: {type: approve}, say:").replace('"WORD"}}', '"WORD"}, needs: [hold]}')
    name = await platform.publish(waits.replace("WORD", "old"))
    begun = await platform.run(name, {})
    assert begun.json()["status"] == "waiting", begun.text
    await platform.publish(waits.replace("WORD", "new"))

    run_id = begun.json()["run_id"]
    await platform.client.post(f"/api/runs/{run_id}/approvals/hold", json={"decision": "approve"})

    assert (await until_final(platform, run_id))["outputs"] == {"said": "old"}
