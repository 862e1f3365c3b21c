import asyncio
from typing import Any

import pytest
from uuid_utils.compat import uuid7

from platform_api.auth.sign_in import reset_password
from platform_api.database.tables.identity import MembershipRow, UserRow
from platform_api.errors import ConflictError, InvalidError
from platform_api.organizations import service
from platform_api.security.credentials import Passwords
from tests.support.api import PASSWORD, Api, bearer

MEMBERS = "/api/organizations/current/members"


async def join(api: Api, owner: dict[str, Any], role: str, email: str) -> dict[str, Any]:
    """The tokens of another member of the owner's organisation."""
    now = api.clock.now()
    password_hash = await api.identity.passwords.hash(PASSWORD)
    async with api.database.system()() as db:
        user = UserRow(id=uuid7(), email=email, name=role, password_hash=password_hash, created_at=now)
        db.add(user)
        await db.flush()
        org_id = owner["organization"]["id"]
        db.add(MembershipRow(id=uuid7(), org_id=org_id, user_id=user.id, role=role, created_at=now))
    return dict((await api.client.post("/api/auth/login", json={"email": email, "password": PASSWORD})).json())


async def give(api: Api, who: dict[str, Any], whom: dict[str, Any], role: str) -> int:
    path = f"{MEMBERS}/{whom['user']['id']}"
    return (await api.client.patch(path, json={"role": role}, headers=bearer(who))).status_code


async def test_only_an_owner_makes_or_changes_an_owner(api: Api) -> None:
    owner = await api.register()
    admin = await join(api, owner, "Admin", "admin@example.com")
    member = await join(api, owner, "Member", "member@example.com")

    assert await give(api, admin, admin, "Owner") == 403
    assert await give(api, admin, owner, "Viewer") == 403
    assert await give(api, member, member, "Admin") == 403
    assert await give(api, admin, member, "Admin") == 204
    assert await give(api, owner, admin, "Owner") == 204


async def test_a_new_role_counts_from_the_next_request(api: Api) -> None:
    owner = await api.register()
    member = await join(api, owner, "Member", "member@example.com")
    assert (await api.client.get("/api/auth/me", headers=bearer(member))).json()["role"] == "Member"

    await give(api, owner, member, "Viewer")

    assert (await api.client.get("/api/auth/me", headers=bearer(member))).json()["role"] == "Viewer"


async def test_the_last_owner_stays(api: Api) -> None:
    owner = await api.register()

    assert await give(api, owner, owner, "Admin") == 409
    gone = await api.client.delete(f"{MEMBERS}/{owner['user']['id']}", headers=bearer(owner))
    assert (gone.status_code, gone.json()["code"]) == (409, "last_owner")


async def test_two_owners_who_leave_at_once_do_not_both_go(api: Api) -> None:
    first = await api.register()
    second = await join(api, first, "Owner", "second@example.com")
    for who in (first, second):
        await api.client.get("/api/auth/me", headers=bearer(who))

    statuses = await asyncio.gather(give(api, first, first, "Admin"), give(api, second, second, "Admin"))

    assert sorted(statuses) == [204, 409]


async def test_removing_a_member_ends_their_keys_and_sessions(api: Api) -> None:
    owner = await api.register()
    member = await join(api, owner, "Member", "member@example.com")
    key = await api.make_key(member)
    for secret in (member, key["key"]):
        assert (await api.client.get("/api/auth/me", headers=bearer(secret))).status_code == 200

    gone = await api.client.delete(f"{MEMBERS}/{member['user']['id']}", headers=bearer(owner))

    assert gone.status_code == 204
    for secret in (member, key["key"]):
        assert (await api.client.get("/api/auth/me", headers=bearer(secret))).status_code == 401


async def test_members_of_another_organisation_do_not_exist(api: Api) -> None:
    owner = await api.register()
    other = await api.register("bob@example.com", "Other")

    assert await give(api, owner, other, "Viewer") == 404
    listed = (await api.client.get(MEMBERS, headers=bearer(owner))).json()["items"]
    assert [row["email"] for row in listed] == ["ann@example.com"]


async def test_the_name_changes_and_nothing_else_can(api: Api) -> None:
    owner = await api.register()
    path = "/api/organizations/current"

    changed = await api.client.patch(path, json={"name": "Acme & Sons"}, headers=bearer(owner))
    refused = await api.client.patch(path, json={"name": "x", "plan": "enterprise"}, headers=bearer(owner))

    assert (changed.json()["name"], changed.json()["slug"]) == ("Acme & Sons", "acme")
    assert refused.status_code == 422


async def test_the_local_owner_is_made_once_and_can_sign_in(api: Api) -> None:
    passwords, now = Passwords(), api.clock.now()

    made = await service.ensure_local_owner(api.database, passwords, now=now)
    again = await service.ensure_local_owner(api.database, passwords, now=now)

    assert made is not None
    assert again is None
    login = await api.client.post("/api/auth/login", json={"email": made.email, "password": made.password})
    assert login.json()["organization"]["slug"] == "local"
    me = await api.client.get("/api/auth/me", headers=bearer(made.api_key))
    assert "flow:run" in me.json()["permissions"]


async def test_processes_that_start_at_once_share_one_local_organisation(api: Api) -> None:
    now = api.clock.now()

    found = await asyncio.gather(*(service.ensure_local_organization(api.database, now=now) for _ in range(5)))

    assert len(set(found)) == 1


async def test_nobody_registers_into_the_local_organisation(api: Api) -> None:
    tokens = await api.register(organization="Local")

    assert tokens["organization"]["slug"].startswith("local-")


async def test_an_operator_makes_an_organisation_with_its_owner(api: Api) -> None:
    passwords, now = Passwords(), api.clock.now()

    made = await service.create_organization(
        api.database, passwords, name="Beta", owner_email="Beth@Example.com", now=now
    )

    login = await api.client.post("/api/auth/login", json={"email": "beth@example.com", "password": made.password})
    assert login.json()["organization"]["slug"] == "beta"
    with pytest.raises(ConflictError):
        await service.create_organization(
            api.database, passwords, name="Gamma", owner_email="beth@example.com", now=now
        )


async def test_a_reset_password_ends_every_session_of_the_user(api: Api) -> None:
    tokens = await api.register()
    assert (await api.client.get("/api/auth/me", headers=bearer(tokens))).status_code == 200

    assert await reset_password(api.identity, "ANN@example.com", "another horse entirely")

    assert (await api.client.get("/api/auth/me", headers=bearer(tokens))).status_code == 401
    new = {"email": "ann@example.com", "password": "another horse entirely"}
    assert (await api.client.post("/api/auth/login", json=new)).status_code == 200
    assert not await reset_password(api.identity, "nobody@example.com", "another horse entirely")
    with pytest.raises(InvalidError):
        await reset_password(api.identity, "ann@example.com", "short")
