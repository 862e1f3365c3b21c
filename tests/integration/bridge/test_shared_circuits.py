"""A circuit that failures open in one process opens in the other, through a real Redis."""

import asyncio
import random
from datetime import UTC, datetime

import pytest

from bridge.call_record import AttemptRecord
from bridge.clock import SystemClock
from bridge.config import BreakerConfig
from bridge.identifiers import new_id
from bridge.redis_state_store import RedisStateStore
from bridge.reliability.health_book import HealthBook
from bridge.reliability.hints import BreakerHints

pytestmark = pytest.mark.peer


async def test_a_circuit_that_opens_in_one_process_opens_in_the_other(redis_url: str) -> None:
    name, clock = f"acme/{new_id()}", SystemClock()
    failed = AttemptRecord(
        "x", name, "acme", name, datetime(2026, 11, 24, tzinfo=UTC), 1.0, None, "failed", "unavailable",
        "no", 503, None, 0, None, None, False,
    )  # fmt: skip
    books = [HealthBook(BreakerConfig(open_s=60), random.Random(1)) for _ in range(2)]
    stores = [RedisStateStore(redis_url, answer_limit_s=5) for _ in range(2)]
    hints = [BreakerHints(store, book, clock) for store, book in zip(stores, books, strict=True)]
    running = [asyncio.create_task(one.run()) for one in hints]
    for _ in range(5):
        books[0].observe(failed, clock.monotonic())

    async with asyncio.timeout(20):
        while name not in books[1].all_states(clock.monotonic()):
            await asyncio.sleep(0.02)
    for task in running:
        task.cancel()
    await asyncio.gather(*running, *(store.aclose() for store in stores), return_exceptions=True)

    assert books[1].all_states(clock.monotonic())[name].circuit == "open"
