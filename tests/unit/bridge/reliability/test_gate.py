import asyncio
import random
from datetime import UTC, datetime

import pytest

from bridge.call_record import AttemptRecord
from bridge.clock import FrozenClock
from bridge.config import BreakerConfig
from bridge.errors import RateLimitedError
from bridge.rate_limits import Grant, settled
from bridge.reliability.gate import Gate, Passage
from bridge.reliability.health_book import HealthBook
from tests.support.wire import deployment

TARGET = deployment()
FAILED = AttemptRecord(
    "x", TARGET.name, "acme", TARGET.model, datetime(2026, 11, 24, tzinfo=UTC), 1.0, None, "failed", "unavailable",
    "no", 503, None, 0, None, None, False,
)  # fmt: skip
BUSY = deployment(in_flight_limit=1)


class Bucket:
    """A throttle of `room` tokens, which comes back after ten seconds."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.full = room

    def wait_s(self, deployment: str, tokens: int, now_s: float) -> float:
        return 0.0 if self.room >= tokens or now_s >= 10 else 10 - now_s

    async def take(self, deployment: str, tokens: int, now_s: float) -> Grant | None:
        if self.wait_s(deployment, tokens, now_s) > 0:
            return None
        self.room = (self.full if now_s >= 10 else self.room) - tokens
        return Grant(tokens=tokens)

    async def settle(self, grant: Grant, used: int, now_s: float) -> None:
        self.room -= round(settled(grant, used))


class Rig:
    def __init__(self, room: int = 100) -> None:
        self.clock = FrozenClock(datetime(2026, 11, 24, tzinfo=UTC))
        self.health = HealthBook(BreakerConfig(), random.Random(1))
        self.bucket = Bucket(room)
        self.gate = Gate(self.health, self.clock, self.bucket)


async def test_who_comes_through_holds_its_tokens_until_it_has_ended() -> None:
    rig = Rig()
    flight = await rig.gate.enter(Passage(TARGET, tokens=60))
    assert flight is not None
    await rig.gate.settle(flight)
    assert rig.bucket.room == 40

    flight.used_tokens = 25
    rig.health.dropped(flight)
    for _ in range(2):
        await rig.gate.settle(flight)
    assert rig.bucket.room == 75


async def test_without_room_another_target_is_asked_and_the_last_one_is_waited_for() -> None:
    rig = Rig(room=50)
    assert await rig.gate.enter(Passage(TARGET, tokens=60)) is None
    assert rig.clock.monotonic() == 0

    assert await rig.gate.enter(Passage(TARGET, tokens=40)) is not None
    assert await rig.gate.enter(Passage(TARGET, tokens=40, patience_s=30, is_last=True)) is not None
    assert rig.clock.monotonic() == 10


async def test_a_wait_longer_than_there_is_time_for_is_a_rate_limit() -> None:
    rig = Rig(room=50)
    await rig.gate.enter(Passage(TARGET, tokens=40))
    with pytest.raises(RateLimitedError) as caught:
        await rig.gate.enter(Passage(TARGET, tokens=40, patience_s=5, is_last=True))

    assert caught.value.retry_after_s == 10
    assert rig.clock.monotonic() == 0


async def test_what_the_circuit_refuses_takes_nothing() -> None:
    rig = Rig()
    for _ in range(5):
        rig.health.observe(FAILED, 0)

    assert await rig.gate.enter(Passage(TARGET, tokens=60)) is None
    assert rig.bucket.room == 100


async def test_no_more_calls_at_a_time_than_the_provider_allows() -> None:
    rig = Rig()
    first = await rig.gate.enter(Passage(BUSY))
    assert first is not None
    assert await rig.gate.enter(Passage(BUSY)) is None

    waiting = asyncio.create_task(rig.gate.enter(Passage(BUSY, patience_s=60, is_last=True)))
    await asyncio.sleep(0)
    assert not waiting.done()
    rig.health.dropped(first)
    assert await waiting is not None
    assert rig.health.in_flight(BUSY.name) == 1


async def test_a_place_that_does_not_become_free_in_time_is_a_rate_limit() -> None:
    rig = Rig()
    await rig.gate.enter(Passage(BUSY))

    with pytest.raises(RateLimitedError, match="busy with 1 calls"):
        await rig.gate.enter(Passage(BUSY, patience_s=0.001, is_last=True))
