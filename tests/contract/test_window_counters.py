"""The memory and the Redis counter keep the same contract; over Redis, processes are one."""

import json
import subprocess
import sys
import time
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from bridge.identifiers import new_id
from platform_api.limits.redis_windows import RedisCounter
from platform_api.limits.windows import MemoryCounter, WindowCounter
from platform_api.rates import LimitsSection
from tests.contract.window_counter_suite import WindowCounterSuite, granted, said, window
from tests.support.peers import redis_at

ASKERS = 150
"""Of each of two processes."""
LIMIT = 100


class TestMemoryCounter(WindowCounterSuite):
    @pytest.fixture
    def counter(self) -> WindowCounter:
        return MemoryCounter()


@pytest.mark.peer
class TestRedisCounter(WindowCounterSuite):
    @pytest.fixture
    async def counter(self, redis_url: str) -> AsyncGenerator[WindowCounter]:
        counter = RedisCounter(redis_url, LimitsSection(), answer_limit_s=10)
        yield counter
        await counter.aclose()

    async def test_room_comes_back_when_the_window_has_gone_by(self, redis_url: str, counter: WindowCounter) -> None:
        """A window of a second, on Redis's clock."""
        own = window("tokens", 100, window_s=1)
        await counter.settle(await granted(counter, [own], 60), 90)
        assert (await said(counter, [own], 20)).taken is None
        deadline = time.monotonic() + 10
        while (await said(counter, [own], 100)).taken is None:
            assert time.monotonic() < deadline


@pytest.mark.peer
def test_two_processes_admit_together_exactly_what_the_limit_says(redis_url: str) -> None:
    """300 requests at once, 150 from each."""
    owner = f"{{org:{new_id()}}}"
    command = [sys.executable, "-m", "tests.support.limit_asker", redis_url, owner, str(LIMIT), str(ASKERS)]
    asking = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in range(2)]
    try:
        for one in asking:
            assert one.stdout is not None
            assert one.stdout.readline() == b"ready\n"
        for one in asking:
            assert one.stdin is not None
            one.stdin.write(b"go\n")
            one.stdin.flush()
        told = [json.loads(one.communicate(timeout=60)[0]) for one in asking]
    finally:
        for one in asking:
            one.kill()

    assert sum(one["admitted"] for one in told) == LIMIT
    assert sum(one["refused"] for one in told) == 2 * ASKERS - LIMIT


async def test_without_redis_a_process_admits_its_share_and_remembers_what_it_had_used(tmp_path: Path) -> None:
    address = tmp_path / "r.sock"
    counter = RedisCounter(f"unix://{address}", LimitsSection(replicas=2), answer_limit_s=5)
    own = window(amount=10)
    with redis_at(address):
        assert [(await said(counter, [own])).taken is not None for _ in range(3)] == [True] * 3
    alone = [(await said(counter, [own])).taken is not None for _ in range(4)]
    await counter.aclose()

    assert alone == [True, True, False, False]
    assert not counter.link.is_up


async def test_tokens_that_were_taken_alone_are_not_given_back_to_redis(tmp_path: Path) -> None:
    address = tmp_path / "r.sock"
    counter = RedisCounter(f"unix://{address}", LimitsSection(), answer_limit_s=5)
    own = window("tokens", 100)
    alone = await granted(counter, [own], 80)
    with redis_at(address):
        counter.link.ask_again()
        await granted(counter, [own], 60)
        await counter.settle(alone, 0)
        left = (await said(counter, [own], 1)).rooms[0].left
        await counter.aclose()

    assert left == 39


async def test_who_wants_no_local_share_is_told_that_nobody_can_say() -> None:
    counter = RedisCounter("redis://127.0.0.1:1/0", LimitsSection(when_redis_is_down="refuse"))

    assert await counter.take([window()], 0) is None
    await counter.aclose()
