"""Money over HTTP: budgets refuse, usage adds up, nothing is paid twice."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.api import bearer
from tests.support.platform import Platform, new_owner, running_platform
from tests.support.upstream import CALL_NANO_USD, Upstream, running_upstream

CALL_USD = CALL_NANO_USD / 1e9
BODY: dict[str, Any] = {"model": "acme/paid", "max_tokens": 100, "messages": [{"role": "user", "content": "hi"}]}
FLOW = """
flow: each
spec: 1
inputs: {names: {type: array, items: {type: string}}}
budget: {usd: 0.009, on_exceed: stop}
nodes:
  greet:
    type: llm
    foreach: {items: "${{ inputs.names }}", max_parallel: 4}
    with: {model: acme/paid, prompt: "Hello {{ name }}", vars: {name: "${{ item }}"}, max_tokens: 100}
"""


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    async with running_upstream() as running:
        yield running


@pytest.fixture
async def platform(database_url: str, tmp_path: Path, upstream: Upstream) -> AsyncIterator[Platform]:
    async with running_platform(database_url, tmp_path / "home", upstream=upstream.url) as running:
        yield running


async def chat(platform: Platform, **more: Any) -> httpx.Response:
    return await platform.client.post("/v1/chat/completions", json={**BODY, **more})


async def budget(platform: Platform, limit_usd: float, **more: Any) -> dict[str, Any]:
    body = {"scope": "organization", "limit_usd": limit_usd, "period": "month", **more}
    made = await platform.client.post("/api/budgets", json=body)
    assert made.status_code == 201, made.text
    return dict(made.json())


async def test_what_was_used_adds_up_to_the_nano_dollar(platform: Platform) -> None:
    answers = [await chat(platform) for _ in range(3)]
    usage = (await platform.client.get("/api/billing/usage")).json()

    assert {answer.headers["x-modelbridge-cost-usd"] for answer in answers} == {f"{CALL_USD:.9f}"}
    assert (usage["requests"], usage["input_tokens"], usage["output_tokens"]) == (3, 300, 150)
    assert usage["cost_usd"] == pytest.approx(3 * CALL_USD, abs=1e-12)
    assert [(each["model"], each["requests"]) for each in usage["by_model"]] == [("acme/paid", 3)]
    assert usage["by_day"][0]["cost_usd"] == usage["cost_usd"]


async def test_a_call_over_the_budget_is_refused_with_402_and_not_made(platform: Platform, upstream: Upstream) -> None:
    await budget(platform, 0.0001)
    refused = await chat(platform)

    assert refused.status_code == 402
    assert refused.json()["error"]["code"] == "budget_exceeded"
    assert upstream.bodies == []
    short = {"model": "acme/paid", "prompt": "hi", "max_tokens": 100}
    native = await platform.client.post("/api/v1/generate", json=short)
    assert (native.status_code, native.json()["code"]) == (402, "budget_exceeded")


async def test_a_call_without_a_limit_is_sent_what_is_left_buys(platform: Platform, upstream: Upstream) -> None:
    await budget(platform, 0.0005)
    body = {name: value for name, value in BODY.items() if name != "max_tokens"}
    answer = await platform.client.post("/v1/chat/completions", json=body)

    assert answer.status_code == 200
    sent = {"max_tokens": 0, **upstream.bodies[0]}
    assert 16 <= int(sent.get("max_completion_tokens", sent["max_tokens"])) < 1024


async def test_without_the_database_calls_go_on_inside_leases_and_beyond_them_get_503(
    sqlite_url: str, tmp_path: Path, upstream: Upstream
) -> None:
    async with running_platform(sqlite_url, tmp_path / "home", upstream=upstream.url) as platform:
        await budget(platform, 0.2)
        assert (await chat(platform)).status_code == 200
        with closing(sqlite3.connect(sqlite_url.removeprefix("sqlite+aiosqlite:///"), isolation_level=None)) as other:
            other.execute("begin immediate")
            inside = [(await chat(platform)).status_code for _ in range(5)]
            beyond = await chat(platform, max_tokens=4000)
            other.execute("rollback")
        again = await chat(platform, max_tokens=4000)

    assert inside == [200] * 5, beyond.text
    assert (beyond.status_code, beyond.json()["error"]["code"]) == (503, "budget_unavailable")
    assert again.status_code == 200


async def test_two_hundred_calls_at_once_never_spend_more_than_the_budget(
    platform: Platform, upstream: Upstream
) -> None:
    upstream.delay_s = 0.05
    await budget(platform, 0.002)
    answers = await asyncio.gather(*(chat(platform) for _ in range(200)))
    (shown,) = (await platform.client.get("/api/budgets")).json()["items"]
    usage = (await platform.client.get("/api/billing/usage")).json()
    paid = sum(answer.status_code == 200 for answer in answers)

    assert {answer.status_code for answer in answers} == {200, 402}
    assert 0 < paid == len(upstream.bodies)
    assert usage["cost_usd"] == pytest.approx(paid * CALL_USD, abs=1e-12)
    assert (shown["spent_usd"], shown["held_usd"]) == (usage["cost_usd"], 0)
    assert shown["spent_usd"] <= 0.002


async def test_raising_a_limit_takes_effect_at_once_and_lifting_it_too(platform: Platform) -> None:
    small = await budget(platform, 0.0001)
    assert (await chat(platform)).status_code == 402
    raised = await budget(platform, 1)
    assert (await chat(platform)).status_code == 200
    await budget(platform, 0.0001)
    assert (await chat(platform)).status_code == 402
    lifted = await platform.client.delete(f"/api/budgets/{small['budget_id']}")
    assert lifted.status_code == 204
    assert (await chat(platform)).status_code == 200

    assert raised["budget_id"] == small["budget_id"]


async def test_a_new_budget_counts_what_its_window_has_seen(platform: Platform) -> None:
    await chat(platform)
    await platform.client.get("/api/billing/usage")
    made = await budget(platform, 1)

    assert made["spent_usd"] == pytest.approx(CALL_USD, abs=1e-12)


async def test_a_run_stops_at_its_own_budget_and_costs_what_the_ledger_says(
    platform: Platform, upstream: Upstream
) -> None:
    flow = await platform.publish(FLOW)
    answer = (await platform.run(flow, {"names": [f"n{number}" for number in range(60)]})).json()
    run = (await platform.client.get(f"/api/runs/{answer['run_id']}")).json()
    usage = (await platform.client.get("/api/billing/usage")).json()

    assert answer["status"] == "failed"
    assert answer["errors"][0]["class"] == "budget"
    assert 0 < usage["cost_usd"] <= 0.009
    assert run["cost_usd"] == usage["cost_usd"] == pytest.approx(len(upstream.bodies) * CALL_USD, abs=1e-12)


async def test_the_cap_of_a_key_just_made_binds_its_first_call_and_only_its_calls(platform: Platform) -> None:
    tokens, wide = await new_owner(platform.client, "bob@example.com", "Bob")
    assert (await chat_as(platform, wide)).status_code == 200
    made = await platform.client.post(
        "/api/auth/api-keys", json={"name": "tight", "budget_usd": 0.0001}, headers=bearer(tokens)
    )
    refused = await chat_as(platform, str(made.json()["key"]))

    assert (refused.status_code, refused.json()["error"]["code"]) == (402, "budget_exceeded")
    assert (await chat_as(platform, wide)).status_code == 200


async def chat_as(platform: Platform, key: str) -> httpx.Response:
    return await platform.client.post("/v1/chat/completions", json=BODY, headers=bearer(key))


async def test_a_stream_is_billed_like_a_whole_answer(platform: Platform) -> None:
    await budget(platform, 1)
    streamed = await chat(platform, stream=True, stream_options={"include_usage": True})
    call_id = streamed.headers["x-modelbridge-call-id"]
    call = (await platform.client.get(f"/api/calls/{call_id}")).json()
    (shown,) = (await platform.client.get("/api/budgets")).json()["items"]

    assert '"cost_usd":0.0002' in streamed.text
    assert (call["status"], call["cost_usd"], call["is_stream"]) == ("succeeded", CALL_USD, True)
    assert (shown["spent_usd"], shown["held_usd"]) == (CALL_USD, 0)


async def test_a_budget_names_a_scope_that_can_exist(platform: Platform) -> None:
    for wrong in ({"scope": "alias"}, {"scope": "key", "id": "x"}, {"scope": "planet"}, {"limit_usd": -1}):
        body = {"scope": "organization", "limit_usd": 1, "period": "day", **wrong}
        assert (await platform.client.post("/api/budgets", json=body)).status_code == 422, wrong


async def test_usage_of_a_span(platform: Platform) -> None:
    await chat(platform)
    past = (await platform.client.get("/api/billing/usage", params={"from": "2020-01-01", "to": "2020-01-31"})).json()
    wrong = await platform.client.get("/api/billing/usage", params={"from": "yesterday"})
    upside_down = await platform.client.get("/api/billing/usage", params={"from": "2021-01-01", "to": "2020-01-31"})

    assert (past["requests"], past["cost_usd"], past["by_day"]) == (0, 0, [])
    assert wrong.status_code == upside_down.status_code == 422
