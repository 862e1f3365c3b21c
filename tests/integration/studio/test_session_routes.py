"""The cookie's life: set from a code, read by nobody but the server, ended everywhere."""

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from studio.session_routes import SessionRoutes, split_cookie
from tests.support.studio_api import FakePlatform

pytestmark = pytest.mark.peer

ORIGIN = {"Origin": "http://studio.example"}


def studio(platform: FakePlatform, *, secure: bool = False, scheme: str = "http") -> TestClient:
    routes = SessionRoutes(platform.url, secure=secure).routes()
    return TestClient(Starlette(routes=routes), base_url=f"{scheme}://studio.example")


def with_code(platform: FakePlatform) -> dict[str, str]:
    platform.codes.add("code-1")
    return {"code": "code-1"}


def test_a_code_becomes_a_cookie_that_scripts_cannot_read(platform: FakePlatform) -> None:
    reply = studio(platform).post("/session/start", json=with_code(platform), headers=ORIGIN)
    cookie = reply.headers["set-cookie"]

    assert reply.status_code == 204
    assert cookie.startswith("mb_session=")
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert split_cookie(reply.cookies["mb_session"].strip('"'))[1] in platform.tokens


def test_over_https_the_cookie_is_secure_and_bound_to_the_host(platform: FakePlatform) -> None:
    client = studio(platform, secure=True, scheme="https")
    reply = client.post("/session/start", json=with_code(platform), headers={"Origin": "https://studio.example"})
    cookie = reply.headers["set-cookie"]

    assert cookie.startswith("__Host-mb_session=")
    assert "Secure" in cookie
    assert "Path=/" in cookie
    assert "Domain" not in cookie


def test_a_code_works_once(platform: FakePlatform) -> None:
    client, body = studio(platform), with_code(platform)
    client.post("/session/start", json=body, headers=ORIGIN)
    again = client.post("/session/start", json=body, headers=ORIGIN)

    assert again.status_code == 401
    assert "set-cookie" not in again.headers


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {**ORIGIN, "Sec-Fetch-Site": "cross-site"},
    ],
)
@pytest.mark.parametrize("path", ["/session/start", "/session/end"])
def test_other_sites_can_sign_nobody_in_or_out(platform: FakePlatform, path: str, headers: dict[str, str]) -> None:
    reply = studio(platform).post(path, json=with_code(platform), headers=headers)

    assert reply.status_code == 403
    assert "set-cookie" not in reply.headers
    assert platform.codes == {"code-1"}


def test_signing_out_ends_the_session_on_the_platform_and_clears_the_cookie(platform: FakePlatform) -> None:
    client = studio(platform)
    started = client.post("/session/start", json=with_code(platform), headers=ORIGIN)
    token = split_cookie(started.cookies["mb_session"].strip('"'))[1]
    ended = client.post("/session/end", headers=ORIGIN)

    assert ended.status_code == 204
    assert token not in platform.tokens
    assert "mb_session" not in client.cookies


def test_signing_out_works_while_the_platform_is_down() -> None:
    client = studio(FakePlatform(url="http://127.0.0.1:9"))
    client.cookies.set("mb_session", "id:token")

    assert client.post("/session/end", headers=ORIGIN).status_code == 204


def test_a_platform_that_is_down_is_said_in_one_sentence() -> None:
    reply = studio(FakePlatform(url="http://127.0.0.1:9")).post("/session/start", json={"code": "x"}, headers=ORIGIN)

    assert reply.status_code == 502
    assert "could not be asked" in reply.json()["detail"]


def test_a_body_without_a_code_is_refused(platform: FakePlatform) -> None:
    assert studio(platform).post("/session/start", json={}, headers=ORIGIN).status_code == 400
