"""Redis stops, is killed and comes back while calls go on: answers stay bounded in time, limits go on, metrics tell."""

import asyncio
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.limits import Process, api_process
from tests.support.peers import redis_at
from tests.support.platform import new_owner

pytestmark = pytest.mark.peer

LONGEST_S = 5.0
"""Of one answer on a busy machine; without a limit on Redis's answers it would never come."""
ALIASES = {"cached": {"policy": "priority", "candidates": ["mock/echo"], "cache": "exact"}}


async def asked(process: Process, key: str, count: int = 8) -> list[int]:
    """The statuses of calls at once and one after another, each of which came in time."""
    began = time.monotonic()
    answers = await asyncio.gather(*(process.chat(key, f"{n}", model="cached", max_tokens=5) for n in range(count)))
    assert time.monotonic() - began < LONGEST_S
    for n in range(count):
        began = time.monotonic()
        answers.append(await process.chat(key, f"{n}", model="cached", max_tokens=5))
        assert time.monotonic() - began < LONGEST_S
    return [one.status_code for one in answers]


def up(process: Process, purpose: str = "tenant limits") -> float | None:
    value: float | None = process.app.state.metrics.registry.get_sample_value(
        "modelbridge_redis_up", {"purpose": purpose}
    )
    return value


def fallbacks(process: Process) -> float:
    registry = process.app.state.metrics.registry
    return float(registry.get_sample_value("modelbridge_redis_fallbacks_total", {"purpose": "tenant limits"}))


async def until(holds: Callable[[], bool], process: Process, key: str) -> None:
    async with asyncio.timeout(20):
        while not holds():
            await process.chat(key, "again", model="cached", max_tokens=5)
            await asyncio.sleep(0.05)


async def test_calls_go_on_while_redis_stands_still_or_is_gone_and_use_it_again_afterwards(
    sqlite_url: str, tmp_path: Path
) -> None:
    address, limits = tmp_path / "r.sock", {"key": {"requests_per_minute": 100_000}}
    with redis_at(address) as redis:
        redis_url = f"unix://{address}"
        async with api_process(sqlite_url, tmp_path / "home", limits, redis_url=redis_url, aliases=ALIASES) as process:
            _, key = await new_owner(process.client, "ann@example.com", "Acme")
            assert set(await asked(process, key)) == {200}
            assert (up(process), fallbacks(process)) == (1, 0)

            redis.send_signal(signal.SIGSTOP)
            assert set(await asked(process, key)) == {200}
            assert up(process) == 0
            assert fallbacks(process) > 0
            redis.send_signal(signal.SIGCONT)
            await until(lambda: up(process) == 1, process, key)

            redis.kill()
            redis.wait(timeout=10)
            assert set(await asked(process, key)) == {200}
            assert up(process) == 0
            address.unlink(missing_ok=True)
            with redis_at(address):
                await until(lambda: up(process) == 1, process, key)
                shared_again = fallbacks(process)
                assert set(await asked(process, key)) == {200}
                assert fallbacks(process) == shared_again


async def test_the_limit_goes_on_in_this_process(sqlite_url: str, tmp_path: Path) -> None:
    address, limits = tmp_path / "r.sock", {"key": {"requests_per_day": 20}, "replicas": 2}
    with redis_at(address) as redis:
        redis_url = f"unix://{address}"
        async with api_process(sqlite_url, tmp_path / "home", limits, redis_url=redis_url) as process:
            _, key = await new_owner(process.client, "ann@example.com", "Acme")
            before = [(await process.chat(key, max_tokens=1)).status_code for _ in range(4)]
            redis.kill()
            redis.wait(timeout=10)
            alone = [(await process.chat(key, max_tokens=1)).status_code for _ in range(8)]

    assert before == [200] * 4
    assert alone == [200] * 6 + [429] * 2


async def test_who_would_rather_refuse_answers_503_in_the_dialects_shape(sqlite_url: str, tmp_path: Path) -> None:
    limits = {"key": {"requests_per_minute": 10}, "when_redis_is_down": "refuse"}
    async with api_process(sqlite_url, tmp_path / "home", limits, redis_url="redis://127.0.0.1:1/0") as process:
        _, key = await new_owner(process.client, "ann@example.com", "Acme")
        answer = await process.chat(key)
        ready = await process.client.get("/readyz")

    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "limits_unavailable")
    assert ready.status_code == 503


async def test_a_process_without_traffic_shows_that_redis_is_away(sqlite_url: str, tmp_path: Path) -> None:
    address = tmp_path / "r.sock"
    with redis_at(address) as redis:
        async with api_process(sqlite_url, tmp_path / "home", redis_url=f"unix://{address}") as process:
            redis.send_signal(signal.SIGSTOP)
            async with asyncio.timeout(20):
                while up(process, "announcements") == 1:
                    await asyncio.sleep(0.05)
            redis.send_signal(signal.SIGCONT)
            async with asyncio.timeout(20):
                while up(process, "announcements") == 0:
                    await asyncio.sleep(0.05)
