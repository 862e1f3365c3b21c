"""Flows and runs over HTTP: store, publish, trigger, watch, cancel."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.api import bearer
from tests.support.platform import Platform, new_owner, running_platform

GREET = """
flow: greet
spec: 1
description: Says hello.
inputs:
  name: {type: string, minLength: 2}
nodes:
  hello:
    type: llm
    with: {model: mock/echo, prompt: "Hello {{ name }}", vars: {name: "${{ inputs.name }}"}, max_tokens: 50}
  shout:
    type: template
    with: {template: "{{ text }}!", vars: {text: "${{ nodes.hello.output.text }}"}}
outputs:
  text: ${{ nodes.shout.output.text }}
"""
SLOW = """
flow: slow
spec: 1
nodes:
  wait: {type: llm, with: {model: mock/slow, prompt: hi, max_tokens: 5}}
outputs: {text: "${{ nodes.wait.output.text }}"}
finally:
  - {id: audit, type: template, with: {template: done}}
"""
MOCK: dict[str, Any] = {"faults": [{"kind": "hang", "match": {"model": "slow"}, "times": None}]}


@pytest.fixture
async def platform(database_url: str, tmp_path: Path) -> AsyncIterator[Platform]:
    async with running_platform(database_url, tmp_path / "home", MOCK) as running:
        yield running


async def test_a_flow_is_stored_once_per_content_and_published(platform: Platform) -> None:
    first = await platform.client.post("/api/flows", json={"yaml": GREET})
    again = await platform.client.post("/api/flows", json={"yaml": GREET})
    changed = await platform.client.post("/api/flows", json={"yaml": GREET.replace("Hello", "Goodbye")})

    assert first.status_code == again.status_code == 201
    assert first.json() == again.json() == {"name": "greet", "version": 1, "status": "draft", "diagnostics": []}
    assert changed.json()["version"] == 2
    published = await platform.client.post("/api/flows/greet/publish", json={"version": 1})
    assert published.json()["status"] == "published"
    shown = (await platform.client.get("/api/flows/greet")).json()
    assert (shown["version"], [each["version"] for each in shown["versions"]]) == (1, [2, 1])
    assert [node["id"] for node in shown["graph"]["nodes"]] == ["hello", "shout"]
    assert shown["graph"]["edges"][0]["source"] == "hello"
    assert shown["inputs_schema"]["required"] == ["name"]


async def test_an_invalid_flow_is_refused_with_every_problem(platform: Platform) -> None:
    refused = await platform.client.post("/api/flows", json={"yaml": "flow: X\nspec: 1\nnodes: {}\ncolour: red\n"})
    problem = refused.json()

    assert refused.status_code == 422
    assert refused.headers["content-type"] == "application/problem+json"
    assert problem["code"] == "invalid_flow"
    assert {(each["line"], each["severity"]) for each in problem["diagnostics"]} >= {(1, "error"), (4, "error")}
    assert len(problem["errors"]) == len(problem["diagnostics"])


async def test_a_run_without_a_published_version_is_refused_unless_one_is_named(platform: Platform) -> None:
    await platform.client.post("/api/flows", json={"yaml": GREET})
    refused = await platform.run("greet", {"name": "Ann"})
    named = await platform.run("greet", {"name": "Ann"}, version=1)

    assert (refused.status_code, refused.json()["code"]) == (409, "not_published")
    assert (named.status_code, named.json()["status"]) == (200, "succeeded")


async def test_a_run_that_ends_in_time_answers_its_outputs_and_is_recorded(platform: Platform) -> None:
    flow = await platform.publish(GREET)
    answer = await platform.run(flow, {"name": "Ann"})
    run = (await platform.client.get(f"/api/runs/{answer.json()['run_id']}")).json()

    assert answer.status_code == 200
    assert answer.json()["outputs"] == {"text": "mock answer to: Hello Ann!"}
    assert answer.json()["cost_usd"] == 0
    assert {path: step["status"] for path, step in run["steps"].items()} == {"hello": "succeeded", "shout": "succeeded"}
    assert run["steps"]["hello"]["model"] == "mock/echo"
    assert run["input_tokens"] > 0
    call = (await platform.client.get(f"/api/calls/{run['steps']['hello']['call_ids'][0]}")).json()
    assert (call["run_id"], call["step_path"], call["flow"]) == (run["run_id"], "hello", "greet")
    assert call["decision"]["attempts"] == ["mock/echo"]


async def test_inputs_that_do_not_fit_are_listed_with_pointers(platform: Platform) -> None:
    flow = await platform.publish(GREET)
    refused = await platform.run(flow, {"name": "A", "colour": "red"})

    assert (refused.status_code, refused.json()["code"]) == (422, "invalid_inputs")
    assert {each["pointer"] for each in refused.json()["errors"]} == {"/inputs/name", "/inputs/colour"}


async def test_one_idempotency_key_gives_one_run(platform: Platform) -> None:
    flow = await platform.publish(GREET)
    headers = {"idempotency-key": "k-1"}
    first = await platform.run(flow, {"name": "Ann"}, headers=headers)
    again = await platform.run(flow, {"name": "Ann"}, headers=headers)
    other = await platform.run(flow, {"name": "Ann"}, headers={"idempotency-key": "k-2"})
    listed = (await platform.client.get("/api/runs", params={"flow": flow})).json()["items"]
    counted = (await platform.client.get("/metrics")).text

    assert 'modelbridge_runs_total{lane="inline",status="succeeded"} 2.0' in counted
    assert first.json()["run_id"] == again.json()["run_id"] != other.json()["run_id"]
    assert len(listed) == 2


async def test_twenty_requests_with_one_key_at_once_give_one_run(platform: Platform) -> None:
    flow = await platform.publish(GREET)
    headers = {"idempotency-key": "burst"}
    answers = await asyncio.gather(*(platform.run(flow, {"name": "Ann"}, headers=headers) for _ in range(20)))
    ids = {answer.json()["run_id"] for answer in answers if answer.status_code in (200, 202)}
    listed = (await platform.client.get("/api/runs", params={"flow": flow})).json()["items"]

    assert {answer.status_code for answer in answers} <= {200, 202, 409}
    assert len(ids) == len(listed) == 1


async def test_a_run_that_is_not_done_answers_202_and_can_be_cancelled(platform: Platform) -> None:
    flow = await platform.publish(SLOW)
    started = await platform.run(flow, {}, wait=0.3)
    run_id = started.json()["run_id"]
    cancelled = await platform.client.post(f"/api/runs/{run_id}/cancel")
    run = await until_final(platform, run_id)
    again = await platform.client.post(f"/api/runs/{run_id}/cancel")

    assert (started.status_code, started.json()["status"], started.json()["outputs"]) == (202, "running", None)
    assert cancelled.status_code == 202
    assert run["status"] == "cancelled"
    assert run["steps"]["audit"]["status"] == "succeeded"
    assert (again.status_code, again.json()["code"]) == (409, "run_is_final")


async def test_events_come_in_order_and_resume_after_the_last_one_seen(platform: Platform) -> None:
    flow = await platform.publish(GREET)
    run_id = (await platform.run(flow, {"name": "Ann"})).json()["run_id"]
    whole = events((await platform.client.get(f"/api/runs/{run_id}/events")).text)
    resumed = await platform.client.get(f"/api/runs/{run_id}/events", headers={"last-event-id": whole[1][0]})
    nothing = await platform.client.get(f"/api/runs/{run_id}/events", headers={"last-event-id": whole[-1][0]})

    assert [int(each[0]) for each in whole] == list(range(1, len(whole) + 1))
    assert (whole[-1][1], whole[-1][2]["status"]) == ("run", "succeeded")
    assert events(resumed.text) == whole[2:]
    assert nothing.text == ""


async def test_runs_are_listed_by_page_flow_and_status(platform: Platform) -> None:
    flow = await platform.publish(GREET)
    ids = [(await platform.run(flow, {"name": f"Ann {number}"})).json()["run_id"] for number in range(3)]
    first = (await platform.client.get("/api/runs", params={"limit": 2})).json()
    second = (await platform.client.get("/api/runs", params={"limit": 2, "cursor": first["next_cursor"]})).json()
    failed = (await platform.client.get("/api/runs", params={"status": "failed"})).json()
    shown = (await platform.client.get("/api/flows")).json()["items"][0]

    assert [each["run_id"] for each in (*first["items"], *second["items"])] == ids[::-1]
    assert second["next_cursor"] is None
    assert failed["items"] == []
    assert (shown["runs_24h"], shown["success_share"], len(shown["last_runs"])) == (3, 1.0, 3)


async def test_another_organisation_sees_nothing(platform: Platform) -> None:
    flow = await platform.publish(GREET)
    run_id = (await platform.run(flow, {"name": "Ann"})).json()["run_id"]
    _, foreign = await new_owner(platform.client, "eve@example.com", "Evil")
    asked = [
        ("GET", f"/api/flows/{flow}"),
        ("GET", f"/api/runs/{run_id}"),
        ("GET", f"/api/runs/{run_id}/events"),
        ("POST", f"/api/runs/{run_id}/cancel"),
        ("POST", f"/api/flows/{flow}/publish"),
    ]

    for method, path in asked:
        answer = await platform.client.request(
            method, path, headers=bearer(foreign), json={} if method == "POST" else None
        )
        assert answer.status_code == 404, path
    assert (await platform.client.get("/api/runs", headers=bearer(foreign))).json()["items"] == []


async def test_the_durable_lane_that_is_off_is_said_and_not_silently_replaced(platform: Platform) -> None:
    flow = await platform.publish(GREET)
    run = await platform.run(flow, {"name": "Ann"}, engine="prefect")
    schedule = await platform.client.post("/api/schedules", json={"flow": flow, "cron": "0 7 * * *"})
    scheduled = (
        GREET.replace("flow: greet", "flow: nightly")
        + 'triggers: [{id: n, type: schedule, cron: "0 2 * * *", inputs: {name: Bob}}]\n'
    )
    await platform.client.post("/api/flows", json={"yaml": scheduled})
    published = await platform.client.post("/api/flows/nightly/publish", json={})

    assert (run.status_code, run.json()["code"]) == (409, "durable_lane_off")
    assert (schedule.status_code, schedule.json()["code"]) == (409, "durable_lane_off")
    assert (published.status_code, published.json()["code"]) == (409, "durable_lane_off")


async def test_two_hundred_waiting_requests_leave_a_pool_of_five_free(database_url: str, tmp_path: Path) -> None:
    async with running_platform(database_url, tmp_path / "home", MOCK, pool_size=5) as platform:
        flow = await platform.publish(SLOW)
        waiting = [asyncio.create_task(platform.run(flow, {}, wait=5)) for _ in range(200)]
        await asyncio.sleep(4)
        quick = await asyncio.wait_for(platform.client.get("/api/flows"), timeout=4)
        answers = await asyncio.gather(*waiting)

    assert quick.status_code == 200
    assert {answer.status_code for answer in answers} == {202}


async def until_final(platform: Platform, run_id: str, *, within_s: float = 15) -> dict[str, Any]:
    async with asyncio.timeout(within_s):
        while True:
            run = (await platform.client.get(f"/api/runs/{run_id}")).json()
            if run["finished_at"] is not None:
                return dict(run)
            await asyncio.sleep(0.05)


def events(text: str) -> list[tuple[str, str, dict[str, Any]]]:
    found: list[tuple[str, str, dict[str, Any]]] = []
    for block in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if fields:
            found.append((fields["id"], fields["event"], json.loads(fields["data"])))
    return found
