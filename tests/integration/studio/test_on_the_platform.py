"""The studio in front of the real platform: every shape it reads, and the pages drawn from them."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from starlette.applications import Starlette
from starlette.testclient import TestClient
from streamlit.testing.v1 import AppTest

from studio.api_client import ApiError, SignedOutError, StudioApi, open_http
from studio.server import ENTRY
from studio.session_routes import SessionRoutes, split_cookie
from tests.support.api import PASSWORD
from tests.support.platform import running_platform
from tests.support.served import served

pytestmark = pytest.mark.peer

EMAIL = "ann@example.com"
FLOW = """flow: greet
spec: 1
description: Draft a greeting, for each name.
inputs:
  names: {type: array, items: {type: string}, default: [Ada, Grace]}
  style: {enum: [short, long], default: short}
nodes:
  draft:
    type: llm
    with: {model: cheap, prompt: "Write a {{ style }} greeting.", vars: {style: "${{ inputs.style }}"}}
  each:
    type: template
    foreach: {items: "${{ inputs.names }}", as: name}
    with: {template: "{{ draft }} {{ who }}", vars: {draft: "${{ nodes.draft.output.text }}", who: "${{ name }}"}}
  longer:
    type: noop
    when: ${{ inputs.style == "long" }}
    needs: [draft]
outputs: {all: "${{ nodes.each.output }}"}
finally:
  - {id: last, type: noop}
"""


@dataclass
class Ready:
    """A platform with one flow that ran once, and a studio session on it."""

    address: str
    token: str
    run_id: str

    @property
    def api(self) -> StudioApi:
        return StudioApi(open_http(self.address), self.token)

    def open_page(self, page: str, **query: str) -> AppTest:
        st.cache_resource.clear()
        studio = AppTest.from_file(str(ENTRY), default_timeout=30)
        studio.secrets["api_url"] = self.address
        studio.session_state["token"] = self.token
        studio.run()
        studio.switch_page(f"pages_/{page}.py")
        for name, value in query.items():
            studio.query_params[name] = value
        return studio.run()


def sign_in(address: str) -> str:
    """The token, by way of the password form's code and the cookie route."""
    code = StudioApi(open_http(address), None).session_code(EMAIL, PASSWORD)
    browser = TestClient(Starlette(routes=SessionRoutes(address, secure=False).routes()), base_url="http://studio.test")
    started = browser.post("/session/start", json={"code": code}, headers={"Origin": "http://studio.test"})
    assert started.status_code == 204, started.text
    return split_cookie(started.cookies["mb_session"].strip('"'))[1]


@pytest.fixture
async def ready(sqlite_url: str, tmp_path: Path) -> AsyncIterator[Ready]:
    async with (
        running_platform(sqlite_url, tmp_path / "home", email=EMAIL) as platform,
        served(platform.app) as address,
    ):
        await platform.publish(FLOW)
        ran = await platform.run("greet", {})
        assert ran.json()["status"] == "succeeded", ran.text
        token = await asyncio.to_thread(sign_in, address)
        yield Ready(address, token, str(ran.json()["run_id"]))


async def test_every_shape_is_read_with_its_facts(ready: Ready) -> None:
    def read() -> None:
        api = ready.api
        flow = api.flows().items[0]
        assert (flow.name, flow.published_version, len(flow.last_runs), flow.runs_24h) == ("greet", 1, 1, 1)
        detail = api.flow("greet")
        assert [node.id for node in detail.graph.nodes] == ["draft", "each", "longer", "last"]
        assert detail.graph.nodes[-1].section == "finally"
        assert {(edge.source, edge.target) for edge in detail.graph.edges} == {("draft", "each"), ("draft", "longer")}
        assert list(detail.inputs_schema["properties"]) == ["names", "style"]  # pyright: ignore[reportArgumentType]  # a map
        assert [run.run_id for run in api.runs(flow="greet", status="succeeded").items] == [ready.run_id]
        run = api.run(ready.run_id)
        assert run.steps["longer"].status == "skipped"
        assert {"each[0]", "each[1]"} <= set(run.steps)
        call = api.call(run.steps["draft"].call_ids[0])
        assert call.decision is not None
        assert [candidate.deployment for candidate in call.decision.candidates] == ["mock/echo"]
        assert call.attempts[0].usage is not None
        assert api.me()["user"]["name"] == "Ann"  # pyright: ignore[reportIndexIssue, reportCallIssue, reportArgumentType, reportOptionalSubscript]  # a map

    await asyncio.to_thread(read)


@pytest.mark.parametrize(
    ("page", "query", "told"),
    [
        ("flows", {}, "Flows"),
        ("flow", {"flow": "greet"}, "greet"),
        ("runs", {"window": "1h"}, "Runs"),
        ("run", {"node": "draft"}, "greet"),
        ("run", {"node": "each"}, "greet"),
        ("run", {"node": "each[1]"}, "greet"),
    ],
)
async def test_every_page_draws_what_the_platform_tells(
    ready: Ready, page: str, query: dict[str, str], told: str
) -> None:
    if page == "run":
        query = {**query, "run": ready.run_id}
    studio: Any = await asyncio.to_thread(ready.open_page, page, **query)

    assert not studio.exception
    assert [title.value.replace("\\", "") for title in studio.title] == [told]
    assert not any(button.label == "Try again" for button in studio.button)


async def test_a_run_started_in_the_studio_is_one_run_however_often_it_is_sent(ready: Ready) -> None:
    def start() -> tuple[str, str]:
        first = ready.api.start_run("greet", {"style": "long"}, version=1, idempotency_key="studio-1")
        again = ready.api.start_run("greet", {"style": "long"}, version=1, idempotency_key="studio-1")
        return first.run_id, again.run_id

    first, again = await asyncio.to_thread(start)

    assert first == again


async def test_inputs_that_are_not_valid_name_their_field(ready: Ready) -> None:
    def start() -> None:
        ready.api.start_run("greet", {"style": "huge"}, version=1, idempotency_key="studio-2")

    with pytest.raises(ApiError) as caught:
        await asyncio.to_thread(start)

    assert caught.value.status == 422
    assert any("style" in problem.pointer for problem in caught.value.problems)


async def test_signing_out_ends_the_session_at_once(ready: Ready) -> None:
    def leave() -> None:
        session_id = str(ready.api.me()["session_id"])
        browser = TestClient(
            Starlette(routes=SessionRoutes(ready.address, secure=False).routes()), base_url="http://studio.test"
        )
        browser.cookies.set("mb_session", f"{session_id}:{ready.token}")
        assert browser.post("/session/end", headers={"Origin": "http://studio.test"}).status_code == 204
        ready.api.me()

    with pytest.raises(SignedOutError):
        await asyncio.to_thread(leave)
