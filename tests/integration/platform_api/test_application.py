import asyncio
import io
import json
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any

import httpx
import pytest
from fastapi import APIRouter, Depends
from sqlalchemy import text
from starlette.types import Message

from bridge.errors import BudgetExceededError, RateLimitedError
from platform_api.app import UndeclaredRouteError, create_app
from platform_api.auth.caller import PUBLIC, Db, Sessions, require
from platform_api.auth.principals import Caller
from platform_api.database.session import Database
from platform_api.settings import SettingsError
from platform_api.structured_logging import close_access_log, configure_logging
from tests.support.api import PASSWORD, Api, bearer, running_api, settings_for

Reader = Annotated[Caller, Depends(require("run:read"))]
router = APIRouter()


@router.get("/api/test/broken", dependencies=[PUBLIC])
async def broken() -> None:
    raise RuntimeError("the secret recipe")


@router.get("/api/test/budget", dependencies=[PUBLIC])
async def over_budget() -> None:
    raise BudgetExceededError("does not fit", scope="org", limit_nano_usd=1, left_nano_usd=0)


@router.get("/api/test/limited", dependencies=[PUBLIC])
async def limited() -> None:
    raise RateLimitedError("slow down", deployment="openai/x", retry_after_s=7.2)


@router.post("/api/test/echo", dependencies=[PUBLIC])
async def echo(body: dict[str, Any]) -> int:
    return len(str(body))


@router.post("/api/test/waits")
async def waits(caller: Reader, sessions: Sessions) -> int:
    async with sessions.read() as db:
        found = (await db.execute(text("select 1"))).scalar_one()
    await asyncio.sleep(0.3)
    async with sessions.read() as db:
        return int(found) + (await db.execute(text("select 1"))).scalar_one()


@router.post("/api/test/late")
async def fails_late(caller: Reader, db: Db) -> str:
    await db.execute(text("update organizations set name = 'half done'"))
    raise RuntimeError("after the write")


@pytest.fixture
async def api(database_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with running_api(database_url, tmp_path, router) as running:
        yield running


async def test_an_unexpected_error_tells_the_client_its_request_id_and_nothing_else(api: Api) -> None:
    answer = await api.client.get("/api/test/broken")

    assert answer.status_code == 500
    assert answer.json()["request_id"] == answer.headers["x-request-id"]
    assert "secret" not in answer.text


async def test_errors_of_the_bridge_get_their_statuses(api: Api) -> None:
    budget = await api.client.get("/api/test/budget")
    limited = await api.client.get("/api/test/limited")

    assert (budget.status_code, budget.json()["code"]) == (402, "budget_exceeded")
    assert (limited.status_code, limited.headers["retry-after"]) == (429, "7")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/nope", 404), ("PUT", "/api/auth/login", 405), ("GET", "/api/auth/api-keys/not-an-id", 401)],
)
async def test_every_error_is_a_problem(api: Api, method: str, path: str, status: int) -> None:
    answer = await api.client.request(method, path)

    body = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    assert {"type", "title", "status", "detail", "request_id", "code"} <= set(body)
    assert answer.status_code == body["status"] == status


async def test_a_plain_request_id_of_the_client_is_kept_and_a_strange_one_is_not(api: Api) -> None:
    kept = await api.client.get("/healthz", headers={"x-request-id": "job-17.a_b"})
    replaced = await api.client.get("/healthz", headers={"x-request-id": "x" * 65})

    assert kept.headers["x-request-id"] == "job-17.a_b"
    assert replaced.headers["x-request-id"] != "x" * 65


async def test_a_body_over_ten_mebibytes_is_refused_announced_or_not(api: Api) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(11):
            yield b" " * 1024 * 1024

    announced = await api.client.post("/api/test/echo", content=b" " * (10 * 1024 * 1024 + 1))
    streamed = await api.client.post("/api/test/echo", content=chunks(), headers={"content-type": "application/json"})

    assert [answer.status_code for answer in (announced, streamed)] == [413, 413]
    assert streamed.json()["code"] == "too_large"


async def test_an_endless_body_is_not_read_to_its_end(api: Api) -> None:
    asked = 0
    sent: list[Message] = []

    async def receive() -> Message:
        nonlocal asked
        asked += 1
        return {"type": "http.request", "body": b"x" * 1024 * 1024, "more_body": True}

    async def send(message: Message) -> None:
        sent.append(message)

    headers = [(b"content-type", b"application/json"), (b"content-length", b"10")]
    scope = {
        "type": "http", "method": "POST", "path": "/api/test/echo", "raw_path": b"/api/test/echo", "headers": headers,
        "query_string": b"", "http_version": "1.1", "scheme": "http", "client": ("127.0.0.1", 1),
        "server": ("api.test", 80), "root_path": "", "asgi": {"version": "3.0"},
    }  # fmt: skip
    await asyncio.wait_for(api.app(scope, receive, send), 10)

    assert sent[0]["status"] == 413
    assert asked <= 12


async def test_two_hundred_waiting_requests_share_a_small_pool(api: Api) -> None:
    tokens = await api.register()

    answers = await asyncio.gather(*(api.client.post("/api/test/waits", headers=bearer(tokens)) for _ in range(200)))

    assert {answer.status_code for answer in answers} == {200}


async def test_a_request_that_fails_after_a_write_leaves_nothing(api: Api) -> None:
    tokens = await api.register(organization="Acme")

    answer = await api.client.post("/api/test/late", headers=bearer(tokens))

    assert answer.status_code == 500
    me = (await api.client.get("/api/auth/me", headers=bearer(tokens))).json()
    assert me["organization"]["name"] == "Acme"


async def test_readiness_names_each_part_and_the_durable_lane_does_not_fail_it(api: Api) -> None:
    api.app.state.readiness.durable_lane = "starting"
    ready = await api.client.get("/readyz")
    api.app.state.readiness.redis_url = "redis://127.0.0.1:1/0"
    without_redis = await api.client.get("/readyz")
    api.app.state.readiness.needs_redis = True
    needing_redis = await api.client.get("/readyz")
    api.app.state.readiness.needs_redis = False

    assert ready.status_code == 200
    assert ready.json() == {"status": "ready", "database": "ok", "migrations": "ok", "durable_lane": "starting"}
    assert without_redis.status_code == 200
    assert without_redis.json()["redis"].startswith("does not answer")
    assert needing_redis.status_code == 503
    assert (await api.client.get("/healthz")).json() == {"status": "ok"}


async def test_a_database_without_migrations_is_not_ready(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'empty.db'}")
    app = create_app(settings_for("sqlite:///unused.db", tmp_path), database)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://t") as client:
        answer = await client.get("/readyz")
    await database.aclose()

    assert answer.status_code == 503
    assert "db upgrade" in answer.json()["migrations"]


async def test_metrics_count_by_route_template_and_name_no_tenant(api: Api) -> None:
    tokens = await api.register()
    await api.client.get(f"/api/auth/api-keys/{tokens['user']['id']}", headers=bearer(tokens))

    shown = (await api.client.get("/metrics")).text

    assert 'route="/api/auth/api-keys/{key_id}",status="404"' in shown
    assert tokens["user"]["id"] not in shown
    assert tokens["organization"]["id"] not in shown


async def test_no_secret_reaches_the_logs(api: Api) -> None:
    root, stream = logging.getLogger(), io.StringIO()
    before = (root.handlers[:], root.level)
    configure_logging("DEBUG", stream)
    try:
        tokens = await api.register()
        key = await api.make_key(tokens)
        await api.client.get("/api/test/broken", headers=bearer(key["key"]))
        await api.client.post("/api/auth/login", json={"email": "ann@example.com", "password": PASSWORD + "!"})
        await api.client.post("/api/auth/refresh", json={"refresh_token": tokens["refresh_token"]})
        await api.client.get(f"/api/auth/me?key={key['key']}", headers=bearer(tokens))
    finally:
        close_access_log()
        root.handlers[:], root.level = before[0], before[1]

    written = stream.getvalue()
    for secret in (key["key"], tokens["access_token"], tokens["refresh_token"], PASSWORD, "ann@example.com"):
        assert secret not in written
    entries = [json.loads(line) for line in written.splitlines()]
    requests = [entry for entry in entries if entry["event"] == "request"]
    assert {"request_id", "method", "route", "status", "duration_ms"} <= set(requests[0])
    assert any(entry.get("org_id") == tokens["organization"]["id"] for entry in requests)
    assert any(entry["event"] == "request_failed" and "RuntimeError" in entry["exception"] for entry in entries)


async def test_a_route_that_declares_no_permission_stops_the_start(tmp_path: Path) -> None:
    silent = APIRouter()

    @silent.get("/api/silent")
    async def says_nothing() -> None: ...

    database = Database(f"sqlite:///{tmp_path / 'unused.db'}")
    with pytest.raises(UndeclaredRouteError, match="/api/silent"):
        create_app(settings_for("sqlite:///unused.db", tmp_path), database, routers=[silent])
    await database.aclose()


async def test_a_root_secret_is_made_once_on_loopback_and_demanded_elsewhere(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'unused.db'}")
    create_app(settings_for("sqlite:///unused.db", tmp_path, JWT_SECRET_KEY=""), database)
    made = (tmp_path / "secret").read_text()
    create_app(settings_for("sqlite:///unused.db", tmp_path, JWT_SECRET_KEY=""), database)

    assert (tmp_path / "secret").read_text() == made
    assert len(made) >= 32
    assert (tmp_path / "secret").stat().st_mode & 0o777 == 0o600
    with pytest.raises(SettingsError, match="needs 32"):
        create_app(settings_for("sqlite:///unused.db", tmp_path, JWT_SECRET_KEY="short"), database)
    (tmp_path / "secret").unlink()
    with pytest.raises(SettingsError, match="JWT_SECRET_KEY is not set"):
        create_app(
            settings_for("sqlite:///unused.db", tmp_path, JWT_SECRET_KEY="", MODELBRIDGE_HOST="0.0.0.0"), database
        )
    await database.aclose()
