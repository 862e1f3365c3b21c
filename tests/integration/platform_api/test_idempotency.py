import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import pytest
from fastapi import APIRouter, Depends, Request
from fastapi.responses import StreamingResponse
from sqlalchemy import select

from platform_api.auth.caller import require
from platform_api.auth.principals import Caller
from platform_api.database.tables.operations import IdempotencyRow
from platform_api.errors import ConflictError
from tests.support.api import Api, bearer, running_api

Runner = Annotated[Caller, Depends(require("flow:run"))]


class Effects:
    """Endpoints that count how often they were executed."""

    def __init__(self) -> None:
        self.count = 0
        self.release = asyncio.Event()
        self.fails_with: Exception | None = None
        self.router = APIRouter()
        self.router.post("/api/effects", status_code=201)(self.run)
        self.router.post("/api/effects/slow")(self.slow)
        self.router.post("/api/effects/stream")(self.stream)

    async def run(self, request: Request, caller: Runner) -> dict[str, Any]:
        body = await request.json()
        if self.fails_with is not None:
            raise self.fails_with
        self.count += 1
        return {"n": self.count, "body": body, "org": str(caller.org_id)}

    async def slow(self, caller: Runner) -> dict[str, int]:
        self.count += 1
        await self.release.wait()
        return {"n": self.count}

    async def stream(self, caller: Runner) -> StreamingResponse:
        self.count += 1

        async def events() -> AsyncIterator[str]:
            yield "data: 1\n\n"

        return StreamingResponse(events(), media_type="text/event-stream")


@pytest.fixture
def effects() -> Effects:
    return Effects()


@pytest.fixture
async def api(database_url: str, tmp_path: Path, effects: Effects) -> AsyncIterator[Api]:
    async with running_api(database_url, tmp_path, effects.router) as running:
        yield running


def signed(tokens: dict[str, Any] | str, key: str = "once") -> dict[str, str]:
    return {**bearer(tokens), "idempotency-key": key}


async def test_the_same_request_twice_has_one_effect_and_one_answer(api: Api, effects: Effects) -> None:
    tokens = await api.register()

    first = await api.client.post("/api/effects", json={"a": 1}, headers=signed(tokens))
    second = await api.client.post("/api/effects", json={"a": 1}, headers=signed(tokens))
    other_key = await api.client.post("/api/effects", json={"a": 1}, headers=signed(tokens, "twice"))

    assert (first.status_code, second.status_code) == (201, 201)
    assert first.content == second.content
    assert "idempotency-replayed" not in first.headers
    assert second.headers["idempotency-replayed"] == "true"
    assert (effects.count, other_key.json()["n"]) == (2, 2)


async def test_another_body_or_query_or_caller_under_the_key_is_refused(api: Api, effects: Effects) -> None:
    tokens = await api.register()
    key = await api.make_key(tokens)
    await api.client.post("/api/effects", json={"a": 1}, headers=signed(tokens))

    answers = [
        await api.client.post("/api/effects", json={"a": 2}, headers=signed(tokens)),
        await api.client.post("/api/effects?wait=3", json={"a": 1}, headers=signed(tokens)),
        await api.client.post("/api/effects", json={"a": 1}, headers=signed(key["key"])),
    ]

    assert [answer.status_code for answer in answers] == [422, 422, 422]
    assert {answer.json()["code"] for answer in answers} == {"idempotency_key_reused"}
    assert effects.count == 1


async def test_two_organisations_do_not_share_a_key(api: Api, effects: Effects) -> None:
    first, second = await api.register(), await api.register("bob@example.com", "Other")

    for tokens in (first, second):
        answer = await api.client.post("/api/effects", json={}, headers=signed(tokens))
        assert answer.json()["org"] == tokens["organization"]["id"]

    assert effects.count == 2


async def test_while_the_first_is_in_flight_the_second_is_told_so(api: Api, effects: Effects) -> None:
    tokens = await api.register()
    first = asyncio.create_task(api.client.post("/api/effects/slow", headers=signed(tokens)))
    while effects.count == 0:
        await asyncio.sleep(0.01)

    during = await api.client.post("/api/effects/slow", headers=signed(tokens))
    effects.release.set()
    answered = await first
    after = await api.client.post("/api/effects/slow", headers=signed(tokens))

    assert (during.status_code, during.json()["code"]) == (409, "in_flight")
    assert (answered.status_code, after.content, effects.count) == (200, answered.content, 1)


async def test_many_parallel_requests_have_one_effect(api: Api, effects: Effects) -> None:
    tokens = await api.register()

    answers = await asyncio.gather(
        *(api.client.post("/api/effects", json={}, headers=signed(tokens)) for _ in range(20))
    )

    assert effects.count == 1
    assert {answer.status_code for answer in answers} <= {201, 409}


@pytest.mark.parametrize("error", [RuntimeError("broken"), ConflictError("not now")])
async def test_what_failed_may_be_tried_again(api: Api, effects: Effects, error: Exception) -> None:
    tokens = await api.register()
    effects.fails_with = error
    failed = await api.client.post("/api/effects", json={}, headers=signed(tokens))
    effects.fails_with = None

    again = await api.client.post("/api/effects", json={}, headers=signed(tokens))

    assert failed.status_code in (409, 500)
    assert (again.status_code, effects.count) == (201, 1)


async def test_a_client_that_goes_away_gives_the_key_back(api: Api, effects: Effects) -> None:
    tokens = await api.register()
    first = asyncio.create_task(api.client.post("/api/effects/slow", headers=signed(tokens)))
    while effects.count == 0:
        await asyncio.sleep(0.01)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    effects.release.set()

    assert (await api.client.post("/api/effects/slow", headers=signed(tokens))).status_code == 200


async def test_a_stream_passes_through_and_is_not_kept(api: Api, effects: Effects) -> None:
    tokens = await api.register()
    for turn in (1, 2):
        answer = await api.client.post("/api/effects/stream", headers=signed(tokens))
        assert (answer.text, effects.count) == ("data: 1\n\n", turn)


async def test_after_a_day_the_key_is_free(api: Api, effects: Effects) -> None:
    tokens = await api.register()
    key = await api.make_key(tokens)
    await api.client.post("/api/effects", json={}, headers=signed(key["key"]))
    api.clock.advance(86_401)

    answer = await api.client.post("/api/effects", json={}, headers=signed(key["key"]))

    assert answer.json()["n"] == 2


async def test_without_a_caller_the_route_itself_answers(api: Api, effects: Effects) -> None:
    answer = await api.client.post("/api/effects", json={}, headers={"idempotency-key": "k"})

    assert (answer.status_code, effects.count) == (401, 0)


@pytest.mark.parametrize("key", ["x" * 256, ""])
async def test_an_unusable_key_is_refused(api: Api, effects: Effects, key: str) -> None:
    tokens = await api.register()

    answer = await api.client.post("/api/effects", json={}, headers=signed(tokens, key))

    assert (answer.status_code, effects.count) == (400, 0)


async def test_a_new_api_key_does_not_lie_open_in_the_stored_answer(api: Api) -> None:
    tokens = await api.register()
    made = await api.client.post("/api/auth/api-keys", json={"name": "k"}, headers=signed(tokens))
    again = await api.client.post("/api/auth/api-keys", json={"name": "k"}, headers=signed(tokens))

    secret = made.json()["key"]
    assert again.json()["key"] == secret
    async with api.database.for_org(UUID(tokens["organization"]["id"])).read() as db:
        row = (await db.scalars(select(IdempotencyRow))).one()
    assert secret.encode() not in (row.sealed_response or b"")
