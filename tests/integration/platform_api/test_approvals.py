"""Steps that ask people: who may answer, what an answer does, what the audit trail keeps."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from sqlalchemy import select, update

from platform_api.auth import accounts
from platform_api.database.tables.flows import RunRow
from platform_api.database.tables.identity import AuditEventRow, UserRow
from tests.integration.platform_api.test_flows_and_runs import until_final
from tests.support.api import PASSWORD, bearer
from tests.support.platform import Platform, running_platform

REVIEW = """
flow: review
spec: 1
nodes:
  draft: {type: llm, with: {model: mock/draft, prompt: hi, max_tokens: 5}}
  ask:
    type: approve
    needs: [draft]
    with: {form: {reply: {type: string, default: Dear}, refund: {type: number, maximum: 10}}, WITH}
  send: {type: template, needs: [ask], with: {template: "{{ r }}", vars: {r: "${{ nodes.ask.output.values.reply }}"}}}
outputs: {text: "${{ nodes.send.output.text }}", decision: "${{ nodes.ask.output.decision }}"}
"""


@pytest.fixture
async def platform(database_url: str, tmp_path: Path) -> AsyncIterator[Platform]:
    async with running_platform(database_url, tmp_path / "home") as running:
        yield running


async def asked(platform: Platform, options: str = "expires: 4h") -> str:
    answer = await platform.run(await platform.publish(REVIEW.replace("WITH", options)), {})
    assert answer.json()["status"] == "waiting", answer.text
    return str(answer.json()["run_id"])


async def say(client: httpx.AsyncClient, run_id: str, decision: str = "approve", **fields: Any) -> httpx.Response:
    headers = fields.pop("headers", None)
    values: dict[str, Any] = {} if decision == "reject" else {"refund": 2}
    body = {"decision": decision, "values": values, **fields}
    return await client.post(f"/api/runs/{run_id}/approvals/ask", json=body, headers=headers)


async def colleague(platform: Platform, email: str, role: str) -> dict[str, str]:
    """Another member, signed in; the headers of their calls."""
    registered = {"email": email, "password": PASSWORD, "name": "B", "organization": f"of {email}"}
    made = await platform.client.post("/api/auth/register", json=registered)
    assert made.status_code == 201, made.text
    org_id = UUID(platform.org_id)
    async with platform.database.system()() as db:
        user = await db.scalar(select(UserRow).where(UserRow.email == email))
        assert user is not None
        joined = await accounts.membership_of(db, user.id)
        assert joined is not None
        await db.delete(joined[0])
        await db.flush()
        await accounts.add_member(db, org_id, user.id, role, now=datetime.now(UTC))
    signed_in = await platform.client.post("/api/auth/login", json={"email": email, "password": PASSWORD})
    return bearer(signed_in.json())


async def test_an_approval_lets_the_run_go_on_with_the_values(platform: Platform) -> None:
    run_id = await asked(platform)
    listed = (await platform.client.get("/api/approvals")).json()

    taken = await say(platform.client, run_id, values={"reply": "Hello", "refund": 2}, comment="fine")
    ended = await until_final(platform, run_id)

    assert [(one["run_id"], one["path"], one["quorum"], one["approved_by"]) for one in listed] == [
        (run_id, "ask", 1, [])
    ]
    assert taken.status_code == 200
    assert ended["outputs"] == {"text": "Hello", "decision": "approved"}
    assert ended["steps"]["ask"]["output"] == {
        "decision": "approved",
        "by": ["ann@example.com"],
        "values": {"reply": "Hello", "refund": 2.0},
        "comment": "fine",
    }
    assert ended["steps"]["draft"]["attempts"] == 1
    assert (await platform.client.get("/api/approvals")).json() == []
    async with platform.database.system().read() as db:
        events = (await db.scalars(select(AuditEventRow).where(AuditEventRow.action == "run.approved"))).all()
    assert [(event.target, event.detail) for event in events] == [(f"{run_id}/ask", {"flow": "review"})]


async def test_a_rejection_ends_the_question(platform: Platform) -> None:
    run_id = await asked(platform, "quorum: 3")

    await say(platform.client, run_id, "reject", comment="no")

    assert (await until_final(platform, run_id))["outputs"]["decision"] == "rejected"


async def test_values_are_checked_by_the_form(platform: Platform) -> None:
    run_id = await asked(platform)

    refused = await say(platform.client, run_id, values={"refund": 11, "colour": "red"})
    missing = await say(platform.client, run_id, values={})

    assert (refused.status_code, refused.json()["code"]) == (422, "invalid_values")
    assert {one["pointer"] for one in refused.json()["errors"]} == {"/values/refund", "/values/colour"}
    assert [one["pointer"] for one in missing.json()["errors"]] == ["/values/refund"]


async def test_a_quorum_needs_different_people(platform: Platform) -> None:
    run_id = await asked(platform, "quorum: 2")
    bob = await colleague(platform, "bob@example.com", "Member")

    first = await say(platform.client, run_id)
    again = await say(platform.client, run_id)
    during = (await platform.client.get("/api/approvals")).json()
    second = await say(platform.client, run_id, headers=bob)
    ended = await until_final(platform, run_id)

    assert (first.status_code, again.status_code, again.json()["code"]) == (200, 409, "already_answered")
    assert [one["run_id"] for one in during] in ([run_id], [])
    assert second.status_code == 200
    assert ended["steps"]["ask"]["output"]["by"] == ["ann@example.com", "bob@example.com"]


async def test_only_those_it_is_meant_for_may_answer(platform: Platform) -> None:
    bob = await colleague(platform, "bob@example.com", "Member")
    eve = await colleague(platform, "eve@example.com", "Viewer")
    run_id = await asked(platform, "assignees: [role:admin, user:cy@example.com]")

    by_member = await say(platform.client, run_id, headers=bob)
    by_viewer = await say(platform.client, run_id, headers=eve)
    by_owner = await say(platform.client, run_id)

    assert (by_member.status_code, by_member.json()["code"]) == (403, "not_assigned")
    assert by_viewer.status_code == 403
    assert by_owner.status_code == 200
    assert (await until_final(platform, run_id))["status"] == "succeeded"


async def test_four_eyes_keep_the_starter_out(platform: Platform) -> None:
    bob = await colleague(platform, "bob@example.com", "Member")
    run_id = await asked(platform, "four_eyes: true")

    own = await say(platform.client, run_id)
    other = await say(platform.client, run_id, headers=bob)

    assert (own.status_code, own.json()["code"]) == (403, "four_eyes")
    assert other.status_code == 200


async def test_it_expires_by_itself_and_then_nobody_may_answer(platform: Platform) -> None:
    run_id = await asked(platform, "expires: 1s")

    ended = await until_final(platform, run_id)
    late = await say(platform.client, run_id)

    assert ended["outputs"] == {"text": "Dear", "decision": "expired"}
    assert (late.status_code, late.json()["code"]) == (409, "not_waiting")


async def test_an_answer_that_comes_while_others_still_run_is_not_lost(platform: Platform) -> None:
    run_id = await asked(platform)
    store = platform.app.state.flow_services.store
    held = await store.acquire(run_id, "somebody")
    assert held is not None
    run = await store.load(run_id)

    await say(platform.client, run_id)
    await store.save_run(held, run)
    async with platform.database.system().read() as db:
        row = await db.scalar(select(RunRow).where(RunRow.id == UUID(run_id)))

    assert row is not None
    assert row.wake_at is not None
    assert (await until_final(platform, run_id))["status"] == "succeeded"


async def test_another_organisation_sees_and_answers_nothing(platform: Platform) -> None:
    run_id = await asked(platform)
    body = {"email": "mal@example.com", "password": PASSWORD, "name": "M", "organization": "Other"}
    other = bearer((await platform.client.post("/api/auth/register", json=body)).json())

    listed = await platform.client.get("/api/approvals", headers=other)
    answered = await say(platform.client, run_id, headers=other)

    assert (listed.json(), answered.status_code) == ([], 404)


async def test_a_cancelled_question_is_closed(platform: Platform) -> None:
    run_id = await asked(platform)

    await platform.client.post(f"/api/runs/{run_id}/cancel")
    ended = await until_final(platform, run_id)

    assert (ended["status"], ended["steps"]["ask"]["status"]) == ("cancelled", "cancelled")
    async with platform.database.system()() as db:
        await db.execute(update(RunRow).where(RunRow.id == UUID(run_id)).values(wake_at=None))
    assert (await say(platform.client, run_id)).json()["code"] == "not_waiting"
