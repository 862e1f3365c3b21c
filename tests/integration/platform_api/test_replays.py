"""Runs of the platform replayed and run anew: over HTTP, on both databases, with the network sealed."""

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select, update

from bridge.clock import FrozenClock
from platform_api.database.tables.flows import RecordingRow
from platform_api.database.tables.usage import CallRow
from platform_api.flow_api.recording_retention import RecordingRetention
from tests.support.api import bearer
from tests.support.http_server import Asked, Head, HttpServer, http_server
from tests.support.platform import Platform, new_owner, running_platform
from tests.support.sockets import sealed_sockets

pytestmark = pytest.mark.peer

FLOW = """
flow: notes
spec: 1
inputs:
  name: {type: string}
  words: {type: object, default: {}}
nodes:
  fetched:
    type: http
    with:
      method: GET
      url: "URL/notes"
      headers: {authorization: Bearer abcdefghijkl}
      query: {q: "${{ inputs.name }}"}
  said:
    type: llm
    with:
      model: mock/echo
      prompt: "PROMPT {{ name }} {{ notes }}"
      vars: {name: "${{ inputs.name }}", notes: "${{ nodes.fetched.output.json }}"}
  shout:
    type: transform
    with: {map: {text: "${{ upper(nodes.said.output.text) }}", at: "${{ now() }}", words: "${{ inputs.words }}"}}
outputs:
  text: ${{ nodes.shout.output.text }}
  all: ${{ nodes.shout.output }}
  cost: ${{ nodes.said.cost_usd }}
  took: ${{ nodes.said.duration_ms }}
  run: ${{ run.id }}
"""
INPUTS = {"name": "Ann", "words": {"z": 1.5, "a": [True, None, "ü"]}}
NOTES = b'{"zebra": 1, "ant": [2, 3.0]}'
"""Keys that a database would put into another order."""


def answer(asked: Asked) -> Head:
    return 200, {"content-type": "application/json"}, NOTES


@pytest.fixture
async def server() -> AsyncIterator[HttpServer]:
    async with http_server(answer) as running:
        yield running


@pytest.fixture
async def platform(sqlite_url: str, tmp_path: Path, server: HttpServer) -> AsyncIterator[Platform]:
    hosts = f"127.0.0.1:{server.port}"
    async with running_platform(sqlite_url, tmp_path, MODELBRIDGE_HTTP_ALLOW_HOSTS=hosts) as running:
        yield running


@pytest.fixture
async def either(database_url: str, tmp_path: Path, server: HttpServer) -> AsyncIterator[Platform]:
    """The platform on either database."""
    hosts = f"127.0.0.1:{server.port}"
    async with running_platform(database_url, tmp_path, MODELBRIDGE_HTTP_ALLOW_HOSTS=hosts) as running:
        yield running


def document(server: HttpServer, prompt: str = "Say") -> str:
    return FLOW.replace("URL", server.url("")).replace("PROMPT", prompt)


async def a_run(platform: Platform, server: HttpServer) -> dict[str, Any]:
    """A run of the flow that has ended well, and whose calls are in the database."""
    answered = await platform.run(await platform.publish(document(server)), INPUTS)
    assert answered.json()["status"] == "succeeded", answered.text
    await platform.client.get(f"/api/runs/{answered.json()['run_id']}")
    return dict(answered.json())


async def replayed(platform: Platform, run_id: str, **body: Any) -> dict[str, Any]:
    answered = await platform.client.post(f"/api/runs/{run_id}/replay", json=body)
    assert answered.status_code == 200, answered.text
    return dict(answered.json())


async def n_calls(platform: Platform) -> int:
    async with platform.database.system().read() as db:
        return int(await db.scalar(select(func.count()).select_from(CallRow)) or 0)


def canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True).encode()


class TestReplay:
    async def test_it_is_byte_equal_and_free_and_nobody_is_asked_again(
        self, either: Platform, server: HttpServer
    ) -> None:
        run = await a_run(either, server)
        before = await n_calls(either)

        report = await replayed(either, run["run_id"])

        assert report["is_same"], report
        now = {name: output["now"] for name, output in report["outputs"].items()}
        assert canonical(now) == canonical(run["outputs"])
        assert now["run"] == run["run_id"]
        assert report["counts"] == {"same": 3}
        assert report["cost_usd"]["spent"] == 0
        assert len(server.asked) == 1
        assert await n_calls(either) == before == 1

    async def test_one_changed_byte_of_the_recording_is_told(self, platform: Platform, server: HttpServer) -> None:
        run = await a_run(platform, server)
        async with platform.database.system()() as db:
            row = await db.scalar(select(RecordingRow).where(RecordingRow.path == "said"))
            assert row is not None
            calls = json.loads(row.calls)
            text = calls[0]["answer"]["text"]
            calls[0]["answer"]["text"] = text[:-1] + ("x" if text[-1] != "x" else "y")
            await db.execute(update(RecordingRow).where(RecordingRow.path == "said").values(calls=json.dumps(calls)))

        report = await replayed(platform, run["run_id"])

        assert not report["is_same"]
        assert {step["path"]: step["verdict"] for step in report["steps"]} == {
            "fetched": "same",
            "said": "changed_output",
            "shout": "changed_output",
        }
        assert report["outputs"]["text"]["verdict"] == "changed"

    async def test_an_edited_prompt_lists_the_call_it_would_make_and_makes_it_when_allowed(
        self, platform: Platform, server: HttpServer
    ) -> None:
        run = await a_run(platform, server)
        edited = document(server, "Sing")

        report = await replayed(platform, run["run_id"], yaml=edited)
        allowed = await replayed(platform, run["run_id"], yaml=edited, allow_calls=True)

        assert {step["path"]: step["verdict"] for step in report["steps"]} == {
            "fetched": "same",
            "said": "not_recorded",
            "shout": "unknown",
        }
        assert [(one["path"], one["asked"]["model"]) for one in report["missing"]] == [("said", "mock/echo")]
        assert report["cost_usd"]["missing_expected"] == 0
        assert allowed["missing"] == []
        assert "SING ANN" in allowed["outputs"]["text"]["now"]
        assert len(server.asked) == 1

    async def test_recordings_hold_no_credentials_and_are_deleted_when_their_time_has_come(
        self, platform: Platform, server: HttpServer
    ) -> None:
        run = await a_run(platform, server)
        async with platform.database.system().read() as db:
            rows = list(await db.scalars(select(RecordingRow)))
        assert [row.path for row in rows] == ["fetched", "said"]
        assert all("abcdefghijkl" not in row.given + row.calls for row in rows)

        late = FrozenClock(rows[0].recorded_at + timedelta(days=7, seconds=1))
        assert await RecordingRetention(platform.database, late, keep_days=8).purge() == 0
        assert await RecordingRetention(platform.database, late, keep_days=7).purge() == 2
        assert (await replayed(platform, run["run_id"]))["is_same"]

    async def test_it_is_refused_for_runs_of_others_and_for_broken_documents(
        self, platform: Platform, server: HttpServer
    ) -> None:
        run = await a_run(platform, server)
        _, key = await new_owner(platform.client, "eve@example.com", "Evil")
        path = f"/api/runs/{run['run_id']}"

        for verb in ("replay", "rerun"):
            foreign = await platform.client.post(f"{path}/{verb}", json={}, headers=bearer(key))
            assert (foreign.status_code, foreign.json()["code"]) == (404, "not_found")
        broken = await platform.client.post(f"{path}/replay", json={"yaml": "flow: notes"})
        both = await platform.client.post(f"{path}/replay", json={"yaml": "flow: notes", "version": 1})
        assert (broken.status_code, broken.json()["code"]) == (422, "invalid_flow")
        assert both.status_code == 422


class TestRerun:
    async def test_from_a_step_on_only_what_follows_is_done_and_paid_again(
        self, either: Platform, server: HttpServer
    ) -> None:
        run = await a_run(either, server)

        answered = await either.client.post(
            f"/api/runs/{run['run_id']}/rerun", params={"wait": 20}, json={"from": "said"}
        )

        again = answered.json()
        assert (answered.status_code, again["status"]) == (200, "succeeded"), again
        assert again["run_id"] != run["run_id"]
        assert again["parent_run_id"] == run["run_id"]
        assert again["kept"] == ["fetched"]
        assert again["outputs"]["text"] == run["outputs"]["text"]
        assert len(server.asked) == 1
        detail = (await either.client.get(f"/api/runs/{again['run_id']}")).json()
        assert (detail["trigger"], detail["parent_run_id"]) == ("replay", run["run_id"])
        assert detail["steps"]["fetched"]["reason"] == "reused"
        assert await n_calls(either) == 2
        assert (await replayed(either, again["run_id"]))["is_same"]

    async def test_on_a_new_version_what_did_not_change_is_kept(self, platform: Platform, server: HttpServer) -> None:
        run = await a_run(platform, server)
        await platform.publish(document(server, "Sing"))

        answered = await platform.client.post(
            f"/api/runs/{run['run_id']}/rerun", params={"wait": 20}, json={"version": 2}
        )

        assert answered.json()["kept"] == ["fetched"]
        assert "SING ANN" in answered.json()["outputs"]["text"]
        assert len(server.asked) == 1

    async def test_a_step_that_is_not_there_is_refused(self, platform: Platform, server: HttpServer) -> None:
        run = await a_run(platform, server)

        answered = await platform.client.post(f"/api/runs/{run['run_id']}/rerun", json={"from": "nowhere"})

        assert (answered.status_code, answered.json()["code"]) == (422, "unknown_step")
        assert answered.json()["errors"][0]["pointer"] == "/from"


async def test_a_replay_opens_no_socket(sqlite_url: str, tmp_path: Path, server: HttpServer) -> None:
    hosts = f"127.0.0.1:{server.port}"
    async with running_platform(sqlite_url, tmp_path, MODELBRIDGE_HTTP_ALLOW_HOSTS=hosts) as platform:
        run = await a_run(platform, server)
        with sealed_sockets() as attempts:
            report = await replayed(platform, run["run_id"])
            edited = await replayed(platform, run["run_id"], yaml=document(server, "Sing").replace("/notes", "/other"))

    assert report["is_same"]
    assert {step["path"]: step["verdict"] for step in edited["steps"]} == {
        "fetched": "not_recorded",
        "said": "unknown",
        "shout": "unknown",
    }
    assert attempts == []
