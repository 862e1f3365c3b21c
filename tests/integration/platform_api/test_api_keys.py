from typing import Any

import pytest
from sqlalchemy import event, select
from uuid_utils.compat import uuid7

from platform_api.auth.permissions import MEMBER, NOT_FOR_KEYS, ROLES, VIEWER
from platform_api.database.tables.identity import ApiKeyRow, AuditEventRow, MembershipRow, UserRow
from platform_api.database.tables.usage import BudgetRow
from platform_api.security.credentials import KEY_PATTERN, make_api_key
from tests.support.api import PASSWORD, Api, bearer

KEYS = "/api/auth/api-keys"


async def set_role(api: Api, role: str) -> None:
    async with api.database.system()() as db:
        member = (await db.scalars(select(MembershipRow))).one()
        member.role = role
    api.clock.advance(31)


async def join(api: Api, org_id: str, role: str, email: str) -> dict[str, Any]:
    """The tokens of another member of that organisation."""
    now = api.clock.now()
    password_hash = await api.identity.passwords.hash(PASSWORD)
    async with api.database.system()() as db:
        user = UserRow(id=uuid7(), email=email, name=role, password_hash=password_hash, created_at=now)
        db.add(user)
        await db.flush()
        db.add(MembershipRow(id=uuid7(), org_id=org_id, user_id=user.id, role=role, created_at=now))
    return dict((await api.client.post("/api/auth/login", json={"email": email, "password": PASSWORD})).json())


async def test_a_new_key_is_shown_once_and_stored_only_as_a_hash(api: Api) -> None:
    tokens = await api.register()

    made = await api.make_key(tokens, budget_usd=1.25, models=["balanced"])

    listed = (await api.client.get(KEYS, headers=bearer(tokens))).json()["items"]
    assert KEY_PATTERN.fullmatch(made["key"])
    assert (made["prefix"], made["last_four"]) == (made["key"][:14], made["key"][-4:])
    assert [row["id"] for row in listed] == [made["id"]]
    assert "key" not in listed[0]
    assert (listed[0]["budget_usd"], listed[0]["models"]) == (1.25, ["balanced"])
    async with api.database.system().read() as db:
        row = (await db.scalars(select(ApiKeyRow))).one()
        budget = (await db.scalars(select(BudgetRow))).one()
        audits = (await db.scalars(select(AuditEventRow))).all()
    assert (budget.kind, budget.scope_id, budget.period) == ("key", made["id"], "total")
    assert budget.limit_nano_usd == 1_250_000_000
    everything = str([vars(row), [vars(audit) for audit in audits]])
    assert made["key"] not in everything


async def test_a_key_signs_requests_in_either_header(api: Api) -> None:
    made = await api.make_key(await api.register())

    for headers in (bearer(made["key"]), {"x-api-key": made["key"]}):
        me = await api.client.get("/api/auth/me", headers=headers)
        assert (me.status_code, me.json()["via"], me.json()["key_id"]) == (200, "key", made["id"])


async def test_without_scopes_a_key_gets_all_that_its_creator_has_and_a_key_can_carry(api: Api) -> None:
    made = await api.make_key(await api.register())

    assert set(made["scopes"]) == ROLES["Owner"] - NOT_FOR_KEYS


async def test_a_key_never_gets_more_than_its_creator_has(api: Api) -> None:
    tokens = await api.register()
    await set_role(api, MEMBER)

    denied = await api.client.post(KEYS, json={"name": "k", "scopes": ["budget:write"]}, headers=bearer(tokens))
    whole = await api.make_key(tokens, scopes=["*"])

    assert (denied.status_code, denied.json()["code"]) == (403, "scope_not_held")
    assert set(whole["scopes"]) == ROLES[MEMBER] - NOT_FOR_KEYS


async def test_a_key_loses_what_its_creator_lost(api: Api) -> None:
    tokens = await api.register()
    made = await api.make_key(tokens)
    await set_role(api, VIEWER)

    me = await api.client.get("/api/auth/me", headers=bearer(made["key"]))

    assert set(me.json()["permissions"]) == ROLES[VIEWER] - NOT_FOR_KEYS


async def test_a_key_cannot_make_keys(api: Api) -> None:
    tokens = await api.register()
    made = await api.make_key(tokens)

    by_key = await api.client.post(KEYS, json={"name": "child"}, headers=bearer(made["key"]))
    asked = await api.client.post(KEYS, json={"name": "k", "scopes": ["key:write"]}, headers=bearer(tokens))

    assert (by_key.status_code, asked.status_code) == (403, 403)


async def test_an_unknown_scope_is_named_with_the_one_that_was_meant(api: Api) -> None:
    tokens = await api.register()

    answer = await api.client.post(KEYS, json={"name": "k", "scopes": ["flow:rum"]}, headers=bearer(tokens))

    assert answer.status_code == 422
    assert answer.json()["errors"] == [
        {"pointer": "/scopes/0", "message": "unknown scope 'flow:rum'; did you mean 'flow:run'?"}
    ]


async def test_a_revoked_key_stops_at_once_and_keeps_its_row(api: Api) -> None:
    tokens = await api.register()
    made = await api.make_key(tokens)
    assert (await api.client.get("/api/auth/me", headers=bearer(made["key"]))).status_code == 200

    revoked = await api.client.delete(f"{KEYS}/{made['id']}", headers=bearer(tokens))
    api.clock.advance(5)
    again = await api.client.delete(f"{KEYS}/{made['id']}", headers=bearer(tokens))

    assert (revoked.status_code, again.status_code) == (204, 204)
    assert (await api.client.get("/api/auth/me", headers=bearer(made["key"]))).status_code == 401
    row = (await api.client.get(f"{KEYS}/{made['id']}", headers=bearer(tokens))).json()
    assert row["revoked_at"].startswith("2026-11-23T12:00:00")


async def test_a_rotated_key_works_beside_its_successor_until_the_grace_is_over(api: Api) -> None:
    tokens = await api.register()
    old = await api.make_key(tokens, scopes=["run:read"])

    answer = await api.client.post(f"{KEYS}/{old['id']}/rotate", json={"grace_hours": 1}, headers=bearer(tokens))
    new = answer.json()

    assert (answer.status_code, new["rotated_from"], new["scopes"]) == (201, old["id"], ["run:read"])
    assert (await api.client.get("/api/auth/me", headers=bearer(old["key"]))).status_code == 200
    api.clock.advance(3600)
    assert (await api.client.get("/api/auth/me", headers=bearer(old["key"]))).status_code == 401
    assert (await api.client.get("/api/auth/me", headers=bearer(new["key"]))).status_code == 200


async def test_rotating_a_key_does_not_renew_its_budget(api: Api) -> None:
    tokens = await api.register()
    first = await api.make_key(tokens, budget_usd=2)
    second = (await api.client.post(f"{KEYS}/{first['id']}/rotate", headers=bearer(tokens))).json()
    third = (await api.client.post(f"{KEYS}/{second['id']}/rotate", headers=bearer(tokens))).json()

    callers = [await api.identity.authenticator.authenticate(None, made["key"]) for made in (first, second, third)]

    assert {str(caller.key_id) for caller in callers} == {first["id"]}
    assert [str(caller.credential_id) for caller in callers] == [made["id"] for made in (first, second, third)]
    assert (third["budget_usd"], third["rotated_from"]) == (2, first["id"])
    async with api.database.system().read() as db:
        assert [row.scope_id for row in (await db.scalars(select(BudgetRow))).all()] == [first["id"]]


async def test_a_known_key_outlives_an_outage_of_the_database_for_a_quarter_of_an_hour(api: Api) -> None:
    made = await api.make_key(await api.register())
    authenticator = api.identity.authenticator
    assert await authenticator.authenticate(None, made["key"])

    def fail(*_arguments: Any) -> None:
        raise ConnectionRefusedError("the database is gone")

    event.listen(api.database.engine.sync_engine, "do_connect", fail)
    event.listen(api.database.engine.sync_engine, "before_cursor_execute", fail)
    api.clock.advance(60)
    assert await authenticator.authenticate(None, made["key"])
    with pytest.raises(OSError, match="gone"):
        await authenticator.authenticate(None, make_api_key().text)
    api.clock.advance(900)
    with pytest.raises(OSError, match="gone"):
        await authenticator.authenticate(None, made["key"])
    event.remove(api.database.engine.sync_engine, "do_connect", fail)
    event.remove(api.database.engine.sync_engine, "before_cursor_execute", fail)


async def test_a_key_expires_on_its_day(api: Api) -> None:
    made = await api.make_key(await api.register(), expires_in_days=1)
    assert (await api.client.get("/api/auth/me", headers=bearer(made["key"]))).status_code == 200
    api.clock.advance(86_400)

    assert (await api.client.get("/api/auth/me", headers=bearer(made["key"]))).status_code == 401


async def test_changing_a_key_changes_only_what_the_body_names(api: Api) -> None:
    tokens = await api.register()
    made = await api.make_key(tokens, models=["balanced"], budget_usd=2)

    changed = await api.client.patch(
        f"{KEYS}/{made['id']}", json={"name": "new", "budget_usd": 3}, headers=bearer(tokens)
    )
    refused = await api.client.patch(f"{KEYS}/{made['id']}", json={"org_id": made["id"]}, headers=bearer(tokens))

    body = changed.json()
    assert (body["name"], body["models"], body["budget_usd"]) == ("new", ["balanced"], 3)
    assert (body["scopes"], body["expires_at"]) == (made["scopes"], made["expires_at"])
    assert refused.status_code == 422


async def test_another_organisations_key_does_not_exist(api: Api) -> None:
    made = await api.make_key(await api.register())
    other = await api.register("bob@example.com", "Other")
    unknown = str(uuid7())
    for method, path in (("GET", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/rotate")):
        answers = [
            await api.client.request(
                method,
                f"{KEYS}/{key_id}{path}",
                headers=bearer(other),
                json={} if method in ("PATCH", "POST") else None,
            )
            for key_id in (made["id"], unknown)
        ]
        foreign, missing = (
            (answer.status_code, answer.json()["detail"].replace(made["id"], unknown)) for answer in answers
        )
        assert foreign == missing
        assert foreign[0] == 404


async def test_a_member_changes_only_their_own_keys_and_an_admin_any(api: Api) -> None:
    owner = await api.register()
    made = await api.make_key(owner)
    member = await join(api, owner["organization"]["id"], "Member", "m@example.com")
    admin = await join(api, owner["organization"]["id"], "Admin", "a@example.com")
    viewer = await join(api, owner["organization"]["id"], "Viewer", "v@example.com")

    statuses = [
        (await api.client.patch(f"{KEYS}/{made['id']}", json={"name": "x"}, headers=bearer(who))).status_code
        for who in (member, admin, viewer)
    ]

    assert statuses == [403, 200, 403]


async def test_keys_with_a_wrong_checksum_reach_no_database(api: Api) -> None:
    await api.register()
    queries: list[str] = []

    def note(*arguments: Any) -> None:
        queries.append(str(arguments[2]))

    event.listen(api.database.engine.sync_engine, "before_cursor_execute", note)
    for _ in range(50):
        text = make_api_key().text
        wrong = text[:-1] + ("a" if text[-1] != "a" else "b")
        assert (await api.client.get("/api/auth/me", headers=bearer(wrong))).status_code == 401

    assert queries == []
    assert api.identity.authenticator.refused_by_checksum == 50


async def test_a_well_formed_unknown_key_asks_the_database_once_in_five_seconds(api: Api) -> None:
    queries: list[str] = []

    def note(*arguments: Any) -> None:
        if "api_keys" in str(arguments[2]):
            queries.append(str(arguments[2]))

    event.listen(api.database.engine.sync_engine, "before_cursor_execute", note)
    key = make_api_key().text
    for _ in range(20):
        assert (await api.client.get("/api/auth/me", headers=bearer(key))).status_code == 401

    assert len(queries) == 1


async def test_the_last_use_of_a_key_is_stored_without_a_write_per_request(api: Api) -> None:
    tokens = await api.register()
    made = await api.make_key(tokens)
    api.clock.advance(60)
    await api.client.get("/api/auth/me", headers=bearer(made["key"]))

    await api.identity.authenticator.write_uses()

    row = (await api.client.get(f"{KEYS}/{made['id']}", headers=bearer(tokens))).json()
    assert row["last_used_at"].startswith("2026-11-23T12:01:00")


async def test_keys_come_in_pages_newest_first(api: Api) -> None:
    tokens = await api.register()
    made = [(await api.make_key(tokens, name=f"k{turn}"))["id"] for turn in range(5)]

    first = (await api.client.get(f"{KEYS}?limit=3", headers=bearer(tokens))).json()
    second = (await api.client.get(f"{KEYS}?limit=3&cursor={first['next_cursor']}", headers=bearer(tokens))).json()
    broken = await api.client.get(f"{KEYS}?cursor=nonsense", headers=bearer(tokens))

    assert [row["id"] for row in first["items"] + second["items"]] == made[::-1]
    assert second["next_cursor"] is None
    assert broken.status_code == 422
