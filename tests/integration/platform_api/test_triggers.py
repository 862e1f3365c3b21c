"""Webhooks over the real API: signed, once, by expression; and flows that follow the ends of others."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
from sqlalchemy import func, select

from platform_api.database.tables.flows import RunRow
from platform_api.flow_api.services import FlowServices
from platform_api.flow_api.webhook_signatures import new_secret, sign
from tests.integration.platform_api.test_flows_and_runs import until_final
from tests.support.platform import Platform, running_platform

HOOKED = """
flow: hooked
spec: 1
inputs: {text: {type: string, maxLength: 20}}
triggers:
  - id: made
    type: webhook
    verify: hmac
    when: ${{ body.kind == "new" && headers["x-shop"] == "main" }}
    dedupe_key: ${{ body.id }}
    inputs: {text: "${{ body.text }}"}
nodes:
  say: {type: template, with: {template: "got {{ t }}", vars: {t: "${{ inputs.text }}"}}}
outputs: {said: "${{ nodes.say.output.text }}"}
"""
FOLLOWS = """
flow: follows
spec: 1
inputs: {text: {type: string}}
triggers:
  - id: after
    type: run_completed
    flow: hooked
    when: body.status == "succeeded"
    inputs: {text: "${{ body.outputs.said }}"}
nodes:
  say: {type: template, with: {template: "then {{ t }}", vars: {t: "${{ inputs.text }}"}}}
outputs: {said: "${{ nodes.say.output.text }}"}
"""


@pytest.fixture
async def platform(database_url: str, tmp_path: Path) -> AsyncIterator[Platform]:
    async with running_platform(database_url, tmp_path / "home") as running:
        yield running


async def hook(platform: Platform) -> tuple[str, str]:
    """The published webhook's address and secret."""
    await platform.publish(HOOKED)
    (trigger,) = (await platform.client.get("/api/triggers")).json()
    assert (trigger["kind"], trigger["has_secret"], trigger["paused"]) == ("webhook", False, False)
    made = await platform.client.post(f"/api/triggers/{trigger['id']}/secret")
    assert made.status_code == 200, made.text
    return made.json()["url"], made.json()["secret"]


async def send(platform: Platform, url: str, secret: str, **changed: Any) -> httpx.Response:
    body = json.dumps(
        {"id": changed.pop("id", 1), "kind": changed.pop("kind", "new"), "text": changed.pop("text", "hi")}
    )
    at = datetime.now(UTC) + changed.pop("away", timedelta())
    raw = changed.pop("raw", body.encode())
    message_id = changed.pop("message_id", "m1")
    headers = {
        "authorization": "",
        "webhook-id": message_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": sign(secret, message_id=message_id, at=at, body=raw),
        "x-shop": "main",
        **changed,
    }
    return await platform.client.post(url, content=raw, headers=headers)


async def n_runs(platform: Platform, flow: str) -> int:
    async with platform.database.system().read() as db:
        return await db.scalar(select(func.count()).select_from(RunRow).where(RunRow.flow == flow)) or 0


async def test_a_signed_delivery_starts_a_run_with_inputs_from_its_body(platform: Platform) -> None:
    url, secret = await hook(platform)

    answer = await send(platform, url, secret)

    assert (answer.status_code, answer.json()["outcome"]) == (202, "started")
    run = await until_final(platform, answer.json()["run_id"])
    assert (run["outputs"], run["trigger"]) == ({"said": "got hi"}, "webhook")


async def test_fifty_deliveries_at_once_give_one_run(platform: Platform) -> None:
    url, secret = await hook(platform)

    answers = await asyncio.gather(*(send(platform, url, secret, message_id=f"m{n}") for n in range(50)))

    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["run_id"] for answer in answers}) == 1
    assert sorted(answer.json()["outcome"] for answer in answers) == ["repeated"] * 49 + ["started"]
    assert await n_runs(platform, "hooked") == 1
    assert (await send(platform, url, secret, id=2)).json()["outcome"] == "started"


async def test_deliveries_that_are_not_rightly_signed_start_nothing(platform: Platform) -> None:
    url, secret = await hook(platform)

    refused = [
        await send(platform, url, new_secret()),
        await send(platform, url, secret, away=timedelta(minutes=-6)),
        await send(platform, url, secret, away=timedelta(days=3650)),
        await send(platform, url, secret, **{"webhook-signature": ""}),
        await send(platform, url, secret, **{"webhook-id": "another"}),
    ]

    assert [(one.status_code, one.json()["code"]) for one in refused] == [(401, "bad_signature")] * 5
    assert await n_runs(platform, "hooked") == 0


async def test_what_does_not_fit_is_filtered_or_refused_with_the_reason(platform: Platform) -> None:
    url, secret = await hook(platform)

    filtered = await send(platform, url, secret, kind="old")
    long = await send(platform, url, secret, text="x" * 21)
    number = await send(platform, url, secret, raw=b'{"kind": "new", "id": 1}')
    no_json = await send(platform, url, secret, raw=b"<xml/>")
    elsewhere = await send(platform, url.replace("made", "other"), secret)
    nobody = await send(platform, url.replace("/hooks/", "/hooks/x"), secret)

    assert (filtered.status_code, filtered.json()) == (202, {"outcome": "filtered", "run_id": None})
    assert (long.status_code, long.json()["code"]) == (422, "invalid_inputs")
    assert (number.status_code, number.json()["code"]) == (422, "invalid_delivery")
    assert (no_json.status_code, elsewhere.status_code, nobody.status_code) == (400, 404, 404)
    assert await n_runs(platform, "hooked") == 0


async def test_a_new_secret_leaves_the_old_one_a_day_and_a_pause_refuses_all(platform: Platform) -> None:
    url, first = await hook(platform)
    (trigger,) = (await platform.client.get("/api/triggers")).json()
    made = (await platform.client.post(f"/api/triggers/{trigger['id']}/secret")).json()

    by_old, by_new = await send(platform, url, first), await send(platform, url, made["secret"])
    again = (await platform.client.post(f"/api/triggers/{trigger['id']}/secret")).json()
    by_oldest = await send(platform, url, first, id=3)
    await platform.client.patch(f"/api/triggers/{trigger['id']}", json={"paused": True})
    paused = await send(platform, url, again["secret"], id=4)
    await platform.publish(HOOKED + "# a new version\n")

    assert made["previous_valid_until"] is not None
    assert (by_old.json()["outcome"], by_new.json()["outcome"]) == ("started", "repeated")
    assert (by_oldest.status_code, paused.status_code) == (401, 404)
    (kept,) = (await platform.client.get("/api/triggers")).json()
    assert (kept["paused"], kept["has_secret"], kept["id"]) == (True, True, trigger["id"])
    await platform.publish(HOOKED.split("triggers:", maxsplit=1)[0] + "nodes:" + HOOKED.split("nodes:")[1])
    assert (await platform.client.get("/api/triggers")).json() == []


async def test_a_flow_follows_the_ends_of_another_once_each(platform: Platform) -> None:
    url, secret = await hook(platform)
    await platform.publish(FOLLOWS)
    flows = cast("FlowServices", platform.app.state.flow_services)
    answer = await send(platform, url, secret)
    await until_final(platform, answer.json()["run_id"])

    await asyncio.gather(*(flows.ends.look() for _ in range(5)))
    looked_again = await flows.ends.look()

    followed = (await platform.client.get("/api/runs?flow=follows")).json()["items"]
    assert len(followed) == 1
    run = await until_final(platform, followed[0]["run_id"])
    assert (run["outputs"], run["trigger"], looked_again) == ({"said": "then got hi"}, "run_completed", 0)


async def test_a_circle_of_flows_ends(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform_api.flow_api.run_ends.MAX_DEPTH", 3)
    flows = cast("FlowServices", platform.app.state.flow_services)
    for name, other in (("one", "two"), ("two", "one")):
        trigger = f"triggers: [{{id: after, type: run_completed, flow: {other}}}]"
        await platform.publish(f"flow: {name}\nspec: 1\n{trigger}\nnodes: {{a: {{type: noop}}}}\n")
    await platform.run("one", {})

    for _ in range(5):
        await flows.ends.look()
        for item in (await platform.client.get("/api/runs")).json()["items"]:
            await until_final(platform, item["run_id"])

    assert await n_runs(platform, "one") + await n_runs(platform, "two") == 4
    assert await flows.ends.look() == 0
