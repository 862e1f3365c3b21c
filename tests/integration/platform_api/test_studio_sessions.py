from datetime import timedelta
from typing import Any

from tests.support.api import PASSWORD, Api, bearer

CODES = "/api/auth/session-codes"


async def opened(api: Api) -> dict[str, Any]:
    code = await api.client.post(CODES, json={"email": "ann@example.com", "password": PASSWORD})
    session = await api.client.post(f"{CODES}/exchange", json=code.json())
    assert session.status_code == 422  # expires_in is no member of the exchange
    session = await api.client.post(f"{CODES}/exchange", json={"code": code.json()["code"]})
    assert session.status_code == 201, session.text
    return dict(session.json())


async def works(api: Api, token: str) -> bool:
    return (await api.client.get("/api/auth/me", headers=bearer(token))).status_code == 200


async def test_a_code_becomes_a_session_that_is_marked_as_the_studios(api: Api) -> None:
    await api.register()

    session = await opened(api)

    me = (await api.client.get("/api/auth/me", headers=bearer(session["token"]))).json()
    assert (me["via"], me["session_id"], me["user"]["email"]) == ("studio", session["session_id"], "ann@example.com")


async def test_a_code_works_once_and_for_thirty_seconds(api: Api) -> None:
    await api.register()
    sign_in = {"email": "ann@example.com", "password": PASSWORD}
    used = (await api.client.post(CODES, json=sign_in)).json()["code"]
    assert (await api.client.post(f"{CODES}/exchange", json={"code": used})).status_code == 201
    late = (await api.client.post(CODES, json=sign_in)).json()["code"]
    api.clock.advance(31)

    for code in (used, late, "mbc_unknown"):
        assert (await api.client.post(f"{CODES}/exchange", json={"code": code})).status_code == 401


async def test_a_wrong_password_makes_no_code(api: Api) -> None:
    await api.register()

    answer = await api.client.post(CODES, json={"email": "ann@example.com", "password": "wrong horse"})

    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_credentials")


async def test_a_session_slides_with_use_and_ends_after_thirty_days(api: Api) -> None:
    await api.register()
    token = (await opened(api))["token"]
    for _ in range(4):
        api.clock.advance(timedelta(days=6).total_seconds())
        assert await works(api, token)
        await api.identity.authenticator.write_uses()
    api.clock.advance(timedelta(days=6, seconds=1).total_seconds())

    assert not await works(api, token)


async def test_an_unused_session_ends_after_a_week(api: Api) -> None:
    await api.register()
    token = (await opened(api))["token"]
    api.clock.advance(timedelta(days=7).total_seconds())

    assert not await works(api, token)


async def test_ending_one_session_leaves_the_other_tab_signed_in(api: Api) -> None:
    await api.register()
    first, second = await opened(api), await opened(api)
    assert await works(api, first["token"])

    gone = await api.client.delete(f"/api/auth/sessions/{first['session_id']}", headers=bearer(second["token"]))

    assert gone.status_code == 204
    assert not await works(api, first["token"])
    assert await works(api, second["token"])


async def test_nobody_ends_a_session_of_somebody_else(api: Api) -> None:
    await api.register()
    session = await opened(api)
    other = await api.register("bob@example.com", "Other")

    answer = await api.client.delete(f"/api/auth/sessions/{session['session_id']}", headers=bearer(other))

    assert answer.status_code == 404
    assert await works(api, session["token"])


async def test_a_key_cannot_end_sessions(api: Api) -> None:
    tokens = await api.register()
    session, key = await opened(api), await api.make_key(tokens)

    answer = await api.client.delete(f"/api/auth/sessions/{session['session_id']}", headers=bearer(key["key"]))

    assert answer.status_code == 403


async def test_signing_out_of_the_studio_ends_its_session(api: Api) -> None:
    await api.register()
    token = (await opened(api))["token"]

    assert (await api.client.post("/api/auth/logout", headers=bearer(token))).status_code == 204
    assert not await works(api, token)
