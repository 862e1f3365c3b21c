"""Two attempts at once, on virtual time."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from bridge.config import HedgeConfig
from bridge.errors import ConfigurationError, UnavailableError
from bridge.reliability.hedging import HedgeBudgets, hedged
from bridge.simulation.virtual_time import VirtualTimeLoop, run_virtual

Run = Callable[[], Any]


class Race:
    """What two runs did, and when it was over."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.result: str | None = None
        self.error: BaseException | None = None
        self.over_s = 0.0

    def runs(self, name: str, seconds: float, error: Exception | None = None, *, is_empty: bool = False) -> Run:
        async def run() -> str | None:
            self.events.append(f"{name} begins")
            try:
                await asyncio.sleep(seconds)
            except asyncio.CancelledError:
                self.events.append(f"{name} is cancelled")
                raise
            if error is not None:
                raise error
            return None if is_empty else name

        return run

    def held(self, first: Run, second: Run, after_s: float = 1.0) -> "Race":
        async def discard(answer: str) -> None:
            self.events.append(f"{answer} is discarded")

        async def main(loop: VirtualTimeLoop) -> None:
            try:
                self.result = await hedged(first, second, after_s=after_s, discard=discard)
            except Exception as error:  # noqa: BLE001  # it is looked at by the test
                self.error = error
            self.over_s = loop.time()
            assert len(asyncio.all_tasks()) == 1

        run_virtual(main)
        return self


def test_a_first_that_is_as_fast_as_ever_is_alone() -> None:
    race = Race()
    race.held(race.runs("a", 0.5), race.runs("b", 1))

    assert (race.result, race.events, race.over_s) == ("a", ["a begins"], 0.5)


def test_the_faster_one_wins_and_the_other_is_cancelled() -> None:
    race = Race()
    race.held(race.runs("a", 10), race.runs("b", 1))

    assert (race.result, race.over_s) == ("b", 2.0)
    assert race.events == ["a begins", "b begins", "a is cancelled"]


def test_the_first_may_still_win() -> None:
    race = Race()
    race.held(race.runs("a", 1.5), race.runs("b", 1))

    assert race.result == "a"
    assert race.events[-1] == "b is cancelled"


def test_an_answer_that_comes_second_in_the_same_moment_is_discarded() -> None:
    race = Race()
    race.held(race.runs("a", 2), race.runs("b", 1))

    assert race.result == "a"
    assert race.events[-1] == "b is discarded"


def test_a_failure_before_the_second_begins_is_raised_at_once() -> None:
    race = Race()
    race.held(race.runs("a", 0.5, UnavailableError("a", deployment="a")), race.runs("b", 1))

    assert str(race.error) == "a"
    assert race.over_s == 0.5


@pytest.mark.parametrize(("first_s", "second_s"), [(2, 5), (5, 1)])
def test_one_that_fails_leaves_it_to_the_other(first_s: float, second_s: float) -> None:
    for failing in ("a", "b"):
        race = Race()
        errors = {failing: UnavailableError("down", deployment=failing)}
        race.held(race.runs("a", first_s, errors.get("a")), race.runs("b", second_s, errors.get("b")))

        assert race.result == ("b" if failing == "a" else "a")


def test_when_both_fail_the_first_ones_error_is_raised() -> None:
    race = Race()
    race.held(
        race.runs("a", 5, UnavailableError("a", deployment="a")),
        race.runs("b", 1, UnavailableError("b", deployment="b")),
    )

    assert str(race.error) == "a"


def test_a_second_that_could_not_begin_changes_nothing() -> None:
    race = Race()
    race.held(race.runs("a", 5), race.runs("b", 0, is_empty=True))

    assert (race.result, race.over_s) == ("a", 5.0)


def test_what_is_no_providers_error_ends_both() -> None:
    race = Race()
    race.held(race.runs("a", 5), race.runs("b", 1, ConfigurationError("b")))

    assert isinstance(race.error, ConfigurationError)
    assert race.events[-1] == "a is cancelled"


def test_who_is_cancelled_leaves_nothing_running() -> None:
    race = Race()

    async def discard(answer: str) -> None:
        raise AssertionError(answer)

    async def main(_: VirtualTimeLoop) -> None:
        waiting: Awaitable[str | None] = hedged(race.runs("a", 10), race.runs("b", 10), after_s=1, discard=discard)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(waiting, 3)
        assert len(asyncio.all_tasks()) == 1

    run_virtual(main)
    assert sorted(race.events[2:]) == ["a is cancelled", "b is cancelled"]


def test_an_alias_hedges_at_most_its_share_of_calls() -> None:
    budgets, config = HedgeBudgets(), HedgeConfig(max_share=0.05, burst=5)
    hedges = sum(budgets.of("smart", config).take() for _ in range(1000))

    assert 45 <= hedges <= 56
    assert budgets.of("other", config).take()
