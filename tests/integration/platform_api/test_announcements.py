"""A key that was revoked in one process is dead in the others long before they would have looked again."""

import asyncio
import time
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from sqlalchemy import text

from platform_api.auth.announcements import BROKEN, PostgresChannel, RedisChannel
from platform_api.auth.authenticator import EVERYTHING, KNOWN_S
from platform_api.database.session import Database
from tests.support.api import bearer
from tests.support.limits import Process, api_process
from tests.support.peers import redis_at
from tests.support.platform import new_owner

pytestmark = pytest.mark.peer
END_THE_LISTENER = """
select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()
"""


@pytest.fixture(params=["redis", "postgres"])
def places(request: pytest.FixtureRequest) -> tuple[str, str | None]:
    """A database, and a Redis or none."""
    if request.param == "postgres":
        return request.getfixturevalue("postgres_url"), None
    return request.getfixturevalue("sqlite_url"), request.getfixturevalue("redis_url")


@pytest.fixture
async def processes(places: tuple[str, str | None], tmp_path: Path) -> AsyncGenerator[tuple[Process, Process]]:
    """Two that share them."""
    url, redis_url = places
    async with (
        api_process(url, tmp_path / "one", redis_url=redis_url) as one,
        api_process(url, tmp_path / "two", redis_url=redis_url) as two,
    ):
        yield one, two


async def dead_after_s(process: Process, key: str) -> float:
    began = time.monotonic()
    while (await process.client.get("/api/v1/health", headers=bearer(key))).status_code != 401:
        assert time.monotonic() - began < KNOWN_S / 2
        await asyncio.sleep(0.01)
    return time.monotonic() - began


async def test_a_key_revoked_in_one_process_dies_in_the_other(processes: tuple[Process, Process]) -> None:
    one, two = processes
    tokens, _ = await new_owner(one.client, "ann@example.com", "Acme")
    made = (await one.client.post("/api/auth/api-keys", json={"name": "k"}, headers=bearer(tokens))).json()
    known = await two.client.get("/api/v1/health", headers=bearer(made["key"]))
    revoked = await one.client.delete(f"/api/auth/api-keys/{made['id']}", headers=bearer(tokens))
    here = await one.client.get("/api/v1/health", headers=bearer(made["key"]))

    assert (known.status_code, revoked.status_code, here.status_code) == (200, 204, 401)
    assert await dead_after_s(two, made["key"]) < KNOWN_S / 2


async def test_an_organisations_new_limit_holds_in_the_other_process(processes: tuple[Process, Process]) -> None:
    one, two = processes
    tokens, key = await new_owner(one.client, "ann@example.com", "Acme")
    assert (await two.client.get("/api/v1/health", headers=bearer(key))).headers.get("ratelimit") is None
    await one.client.put("/api/limits/organization", json={"requests_per_day": 1000}, headers=bearer(tokens))

    deadline = time.monotonic() + KNOWN_S / 2
    while "ratelimit" not in (await two.client.get("/api/v1/health", headers=bearer(key))).headers:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


async def test_a_redis_that_goes_away_is_an_error_and_not_silence(tmp_path: Path) -> None:
    address, heard = tmp_path / "r.sock", list[str]()
    channel = RedisChannel(f"unix://{address}")
    with redis_at(address):
        listening = asyncio.Event()
        first = asyncio.create_task(channel.listen(listening.set, heard.append))
        await asyncio.wait_for(listening.wait(), 10)
        assert await channel.announce("key:1")
        while not heard:
            await asyncio.sleep(0.01)
    with pytest.raises(BROKEN):
        await asyncio.wait_for(first, 10)
    await channel.aclose()

    assert heard == ["key:1"]


async def test_a_connection_that_postgresql_ends_is_an_error_and_not_silence(postgres_url: str) -> None:
    database, heard = Database(postgres_url, pool_size=2), list[str]()
    channel = PostgresChannel(database)
    listening = asyncio.Event()
    task = asyncio.create_task(channel.listen(listening.set, heard.append))
    await asyncio.wait_for(listening.wait(), 10)
    await channel.announce(EVERYTHING)
    while not heard:
        await asyncio.sleep(0.01)
    async with database.system()() as db:
        await db.execute(text(END_THE_LISTENER))
    with pytest.raises(BROKEN):
        await asyncio.wait_for(task, 10)
    await channel.aclose()
    await database.aclose()

    assert heard == [EVERYTHING]
