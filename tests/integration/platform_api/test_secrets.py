"""Secrets: written by people, shown to nobody, read by flows, and in no row and no log."""

import json
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import cast

import pytest
from sqlalchemy import text

from platform_api.database.schema import metadata
from platform_api.database.session import Database
from platform_api.migrations.runner import upgrade_database
from platform_api.secrets.endpoints import router
from platform_api.secrets.service import secrets_of
from tests.support.api import PASSWORD, Api, bearer, running_api, settings_for
from tests.support.http_server import http_server
from tests.support.platform import running_platform

CANARY = "canary-48151623-key"
FLOW = """
flow: keyed
spec: 1
inputs: {url: {type: string}}
nodes:
  ask:
    type: http
    timeout: 10s
    with:
      url: ${{ inputs.url }}
      headers: {x-token: "${{ secrets.TOKEN }}"}
      auth: {basic: {username: me, password: "${{ secrets.TOKEN }}"}}
      expect: [200, 500]
  refused:
    type: http
    timeout: 10s
    needs: [ask]
    on_error: continue
    with: {url: "${{ inputs.url }}", headers: {x-token: "${{ secrets.TOKEN }}"}, expect: [204]}
outputs: {seen: "${{ nodes.ask.output.json }}", error: "${{ nodes.refused.error.message }}"}
"""


@pytest.fixture
async def api(database_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with running_api(database_url, tmp_path, router) as running:
        yield running


async def everything_stored(database: Database) -> str:
    """All rows of all tables as text."""
    async with database.engine.connect() as connection:
        rows = [
            [bytes(cast("memoryview[int]", v)) if isinstance(v, memoryview) else v for v in row]
            for table in metadata().sorted_tables
            for row in await connection.execute(text(f'select * from "{table.name}"'))
        ]
    return repr(rows)


async def test_a_secret_is_written_listed_by_name_replaced_and_removed(api: Api) -> None:
    tokens = await api.register()
    headers = bearer(tokens)

    made = await api.client.put("/api/secrets/TOKEN", json={"value": CANARY}, headers=headers)
    replaced = await api.client.put("/api/secrets/TOKEN", json={"value": f"{CANARY}-2"}, headers=headers)
    listed = await api.client.get("/api/secrets", headers=headers)
    removed = await api.client.delete("/api/secrets/TOKEN", headers=headers)
    gone = await api.client.delete("/api/secrets/TOKEN", headers=headers)

    assert (made.status_code, replaced.status_code, removed.status_code, gone.status_code) == (200, 200, 204, 404)
    assert [one["name"] for one in listed.json()] == ["TOKEN"]
    assert set(listed.json()[0]) == {"name", "created_at", "updated_at", "updated_by"}
    assert CANARY not in made.text + replaced.text + listed.text


async def test_a_value_is_encrypted_at_rest_and_opens_for_its_own_organisation_only(api: Api, tmp_path: Path) -> None:
    ann, bob = await api.register(), await api.register("bob@example.com", "Other")
    await api.client.put("/api/secrets/TOKEN", json={"value": CANARY}, headers=bearer(ann))
    others = await api.client.get("/api/secrets", headers=bearer(bob))
    foreign = await api.client.delete("/api/secrets/TOKEN", headers=bearer(bob))
    secrets = secrets_of(settings_for("sqlite:///unused.db", tmp_path), api.database)
    orgs = [(await api.client.get("/api/auth/me", headers=bearer(who))).json() for who in (ann, bob)]
    found = [await secrets.of(str(one["organization"]["id"]), ["TOKEN", "NONE"]) for one in orgs]

    assert CANARY not in await everything_stored(api.database)
    assert (others.json(), foreign.status_code) == ([], 404)
    assert found == [{"TOKEN": CANARY}, {}]


async def test_a_key_cannot_write_secrets_nor_a_name_or_value_be_out_of_shape(api: Api) -> None:
    tokens = await api.register()
    key = await api.make_key(tokens)

    by_key = await api.client.put("/api/secrets/TOKEN", json={"value": "x"}, headers=bearer(str(key["key"])))
    bad = [
        await api.client.put(f"/api/secrets/{name}", json=body, headers=bearer(tokens))
        for name, body in (
            ("lower", {"value": "x"}),
            ("TOKEN", {"value": ""}),
            ("TOKEN", {"value": CANARY * 1000}),
            ("TOKEN", {"value": CANARY, "org_id": "x"}),
        )
    ]

    assert by_key.status_code == 403
    assert [one.status_code for one in bad] == [422] * 4
    assert not any(CANARY in one.text for one in bad)


async def test_a_flow_sends_a_secret_and_no_row_no_answer_and_no_log_shows_it(
    database_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.INFO, logger="aiosqlite")
    server_says = {"content-type": "application/json"}
    async with (
        http_server(lambda asked: (200, server_says, json.dumps(dict(asked.headers)).encode())) as server,
        running_platform(
            database_url, tmp_path / "home", MODELBRIDGE_HTTP_ALLOW_HOSTS=f"127.0.0.1:{server.port}"
        ) as platform,
    ):
        login = {"email": "ann@example.com", "password": PASSWORD}
        tokens = (await platform.client.post("/api/auth/login", json=login)).json()
        await platform.client.put("/api/secrets/TOKEN", json={"value": CANARY}, headers=bearer(tokens))
        flow = await platform.publish(FLOW)
        run = await platform.run(flow, {"url": server.url("/")})
        shown = await platform.client.get(f"/api/runs/{run.json()['run_id']}")
        stored = await everything_stored(platform.database)

    sent = server.asked[0].headers
    assert sent["x-token"] == CANARY
    assert run.json()["status"] == "partial", run.text
    assert run.json()["outputs"]["seen"]["x-token"] == "***"
    assert run.json()["outputs"]["seen"]["authorization"] == "Basic ***"
    assert "***" in run.json()["outputs"]["error"]
    for where in (run.text, shown.text, stored, caplog.text):
        assert CANARY not in where
        assert sent["authorization"].removeprefix("Basic ") not in where


async def test_the_command_line_reads_secrets_of_the_environment_before_those_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "modelbridge.yaml").write_text("secrets: {TOKEN: from-the-file, OTHER: only-there}\n")
    settings = settings_for(f"sqlite:///{tmp_path}/m.db", tmp_path, MODELBRIDGE_SECRET_TOKEN="from-the-environment")
    own = settings.model_copy(update={"gives_own_secrets": True})
    database = Database(settings.database_url)
    await upgrade_database(database)
    org_id, names = "018f0000-0000-7000-8000-000000000000", ["TOKEN", "OTHER", "NONE"]

    found = await secrets_of(own, database).of(org_id, names)
    on_the_platform = await secrets_of(settings, database).of(org_id, names)
    await database.aclose()

    assert found == {"TOKEN": "from-the-environment", "OTHER": "only-there"}
    assert on_the_platform == {}
    assert "from-the" not in repr(settings) + settings.model_dump_json()
