import asyncio
import logging
from collections.abc import Awaitable, Callable

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

from bridge.redis_link import RedisLink


class Server:
    """Answers, or fails in the way it is told to; counts who asks."""

    def __init__(self) -> None:
        self.failure: Exception | None = None
        self.is_silent = False
        self.n_asked = 0

    async def __call__(self) -> str:
        self.n_asked += 1
        if self.is_silent:
            await asyncio.sleep(60)
        if self.failure is not None:
            raise self.failure
        return "answer"


class Time:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def made(limit_s: float = 0.01) -> tuple[Callable[[Callable[[], Awaitable[str]]], Awaitable[str]], Time]:
    time = Time()
    link = RedisLink("redis://127.0.0.1:1/0", "tests", answer_limit_s=limit_s, pause_s=1.0, monotonic=time)

    async def asked(ask: Callable[[], Awaitable[str]]) -> str:
        return await link.asked(ask, "otherwise")

    return asked, time


@pytest.mark.parametrize("failure", [RedisConnectionError("refused"), ResponseError("OOM"), OSError("reset")])
async def test_while_it_is_away_one_call_a_second_tries(failure: Exception, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    (asked, time), server = made(), Server()
    assert await asked(server) == "answer"
    server.failure = failure

    assert [await asked(server) for _ in range(5)] == ["otherwise"] * 5
    assert server.n_asked == 2
    time.now_s = 1.0
    assert [await asked(server) for _ in range(5)] == ["otherwise"] * 5
    assert server.n_asked == 3
    server.failure = None
    time.now_s = 1.9
    assert await asked(server) == "otherwise"
    time.now_s = 2.0
    assert [await asked(server) for _ in range(2)] == ["answer", "answer"]
    assert (caplog.text.count("redis.away"), caplog.text.count("redis.back")) == (1, 1)


async def test_of_many_calls_after_the_pause_one_waits_and_the_others_go_on() -> None:
    (asked, time), server = made(), Server()
    server.is_silent = True
    assert await asked(server) == "otherwise"
    time.now_s = 1.0

    assert await asyncio.gather(*(asked(server) for _ in range(20))) == ["otherwise"] * 20
    assert server.n_asked == 2


async def test_a_caller_who_leaves_is_no_outage() -> None:
    (asked, _), server = made(limit_s=30), Server()
    server.is_silent = True
    task = asyncio.ensure_future(asked(server))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    server.is_silent = False

    assert await asked(server) == "answer"
