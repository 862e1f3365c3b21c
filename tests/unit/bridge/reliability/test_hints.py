import random
from dataclasses import replace
from datetime import UTC, datetime

from bridge.call_record import AttemptRecord
from bridge.chat import Usage
from bridge.clock import FrozenClock
from bridge.config import BreakerConfig
from bridge.reliability.health_book import HealthBook
from bridge.reliability.hints import LIST, BreakerHints
from bridge.state_store import MemoryStateStore, StateStore

SUCCEEDED = AttemptRecord(
    "a", "p/a", "p", "p/a", datetime(2026, 11, 24, tzinfo=UTC), 2000.0, 500.0, "succeeded", None, None, 200,
    Usage(10, 100), 0, None, None, False,
)  # fmt: skip
FAILED = replace(SUCCEEDED, outcome="failed", error_class="unavailable", usage=None)


class Process:
    """The part of a bridge that knows of circuits."""

    def __init__(self, store: StateStore, clock: FrozenClock) -> None:
        self.clock = clock
        self.health = HealthBook(BreakerConfig(), random.Random(1))
        self.hints = BreakerHints(store, self.health, clock)

    def sees(self, record: AttemptRecord, times: int = 1) -> None:
        for _ in range(times):
            self.health.observe(record, self.clock.monotonic())

    @property
    def circuit(self) -> str | None:
        found = self.health.all_states(self.clock.monotonic()).get("p/a")
        return None if found is None else found.circuit


def pair() -> tuple[Process, Process, FrozenClock]:
    clock = FrozenClock(datetime(2026, 11, 24, tzinfo=UTC))
    store = MemoryStateStore(clock)
    return Process(store, clock), Process(store, clock), clock


async def exchanged(*processes: Process) -> None:
    for one in processes:
        await one.hints.exchange()


async def test_a_circuit_that_opens_in_one_process_opens_in_the_other() -> None:
    one, two, clock = pair()
    two.sees(SUCCEEDED)
    clock.advance(1)
    one.sees(FAILED, times=5)
    await exchanged(one, two)

    assert (one.circuit, two.circuit) == ("open", "open")
    clock.advance(5)
    assert two.circuit == "half_open"
    assert two.health.begin("p/a", clock.monotonic()) is not None


async def test_who_was_answered_since_knows_better() -> None:
    one, two, clock = pair()
    one.sees(FAILED, times=5)
    clock.advance(0.2)
    two.sees(SUCCEEDED)
    await exchanged(one, two)

    assert (one.circuit, two.circuit) == ("open", "closed")


async def test_a_hint_is_not_passed_on() -> None:
    clock = FrozenClock(datetime(2026, 11, 24, tzinfo=UTC))
    store = MemoryStateStore(clock)
    one, two = Process(store, clock), Process(store, clock)
    one.sees(FAILED, times=5)
    await exchanged(one, two, one, two)

    assert two.circuit == "open"
    assert len((await store.tail(LIST, ""))[0]) == 1


async def test_a_hint_that_comes_after_the_pause_is_over_opens_nothing() -> None:
    one, two, clock = pair()
    one.sees(FAILED, times=5)
    await exchanged(one)
    clock.advance(6)
    await exchanged(two)

    assert two.circuit in (None, "closed")
