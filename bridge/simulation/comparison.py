"""Runs a scenario under each of its policies, side by side on the processors there are, and judges its bounds."""

import multiprocessing
import os
import signal
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from ctypes import Array, c_double
from dataclasses import asdict, dataclass, replace
from typing import Literal

from bridge.simulation.contenders import Contender
from bridge.simulation.figures import Figures
from bridge.simulation.runner import OnProgress, simulated_day
from bridge.simulation.scenario import Bound, Scenario

Watch = Callable[[dict[str, float]], None]
"""Is told how far each policy has come, in [0, 1]."""
Outcome = Literal["met", "missed", "not run"]
REFERENCE = "best"
WATCH_EVERY_S = 0.2
STOP = 1.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one bound. `value` is None when its policy was not run, or the figure could not be measured."""

    policy: str
    figure: str
    at_least: float | None
    at_most: float | None
    value: float | None
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Comparison:
    """A scenario's figures under each policy, and what became of its bounds."""

    scenario: Scenario
    seed: int
    figures: dict[str, Figures]
    verdicts: tuple[Verdict, ...]

    @property
    def is_missed(self) -> bool:
        """Was any bound missed?"""
        return any(verdict.outcome == "missed" for verdict in self.verdicts)

    @property
    def calls(self) -> int:
        """Calls of all policies together."""
        return sum(figures.calls for figures in self.figures.values())

    def to_json(self) -> dict[str, object]:
        """For programs. The same scenario and seed give the same bytes."""
        return {
            "scenario": self.scenario.name,
            "seed": self.seed,
            "hours": self.scenario.hours,
            "policies": {name: figures.to_json() for name, figures in self.figures.items()},
            "expect": [asdict(verdict) for verdict in self.verdicts],
        }


def compared(
    scenario: Scenario,
    entrants: Sequence[Contender],
    *,
    seed: int | None = None,
    watch: Watch | None = None,
    processes: int | None = None,
) -> Comparison:
    """Every contender's day. `processes`: at most so many at a time; None: as many as there are processors."""
    chosen = scenario.seed if seed is None else seed
    at_once = min(processes or os.cpu_count() or 1, len(entrants))
    days = _in_turn if at_once == 1 else _side_by_side
    found = days(scenario, entrants, chosen, watch or _nobody, at_once)
    figures = {name: _against(found.get(REFERENCE), one) for name, one in found.items()}
    verdicts = tuple(_verdict(bound, figures) for bound in scenario.expect)
    return Comparison(scenario, chosen, figures, verdicts)


def _in_turn(
    scenario: Scenario, entrants: Sequence[Contender], seed: int, watch: Watch, at_once: int
) -> dict[str, Figures]:
    del at_once
    done = dict.fromkeys((one.name for one in entrants), 0.0)

    def progress_of(name: str) -> OnProgress:
        def on_progress(share: float) -> None:
            done[name] = share
            watch(done)

        return on_progress

    return {one.name: simulated_day(scenario, one, seed=seed, on_progress=progress_of(one.name)) for one in entrants}


def _side_by_side(
    scenario: Scenario, entrants: Sequence[Contender], seed: int, watch: Watch, at_once: int
) -> dict[str, Figures]:
    context = multiprocessing.get_context("spawn")
    shares = context.RawArray(c_double, len(entrants) + 1)
    with ProcessPoolExecutor(at_once, mp_context=context, initializer=_share_progress, initargs=(shares,)) as pool:
        try:  # also around the start: a Ctrl-C that was held back comes at its end
            with _ctrl_c_held_back():
                futures = [pool.submit(_day_of_child, scenario, one, seed, n) for n, one in enumerate(entrants)]
            _watched(futures, entrants, shares, watch)
        except BaseException:
            shares[-1] = STOP
            pool.shutdown(cancel_futures=True)
            raise
        return {one.name: future.result() for one, future in zip(entrants, futures, strict=True)}


@contextmanager
def _ctrl_c_held_back() -> Generator[None, None, None]:
    """What is started meanwhile never sees Ctrl-C, which reaches a whole group: its parent alone answers."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _watched(
    futures: Sequence[Future[Figures]], entrants: Sequence[Contender], shares: "Array[c_double]", watch: Watch
) -> None:
    """Tell how far the children are, until they are done or one has failed."""
    left: set[Future[Figures]] = set(futures)
    while left:
        done, left = wait(left, timeout=WATCH_EVERY_S)
        for future in done:
            future.result()
        watch({one.name: shares[n] for n, one in enumerate(entrants)})


class _Child:
    """What a child process holds: where it writes how far it has come, and at the end reads whether to stop."""

    shares: "Array[c_double]"


def _share_progress(shares: "Array[c_double]") -> None:
    _Child.shares = shares


def _day_of_child(scenario: Scenario, contender: Contender, seed: int, number: int) -> Figures:
    def on_progress(share: float) -> None:
        _Child.shares[number] = share
        if _Child.shares[-1] == STOP:
            raise InterruptedError("the simulation was interrupted")

    return simulated_day(scenario, contender, seed=seed, on_progress=on_progress)


def _against(reference: Figures | None, own: Figures) -> Figures:
    """The figures with what was saved against always asking the best model."""
    if reference is None or not reference.usd_per_1000_answers or own.usd_per_1000_answers is None:
        return own
    return replace(own, saving_against_best=1 - own.usd_per_1000_answers / reference.usd_per_1000_answers)


def _verdict(bound: Bound, figures: dict[str, Figures]) -> Verdict:
    own = figures.get(bound.policy)
    value = None if own is None else own.value(bound.figure)
    needs_reference = bound.figure == "saving_against_best" and REFERENCE not in figures
    outcome: Outcome = "met" if value is not None and _holds(bound, value) else "missed"
    if own is None or needs_reference:
        outcome = "not run"
    return Verdict(bound.policy, bound.figure, bound.at_least, bound.at_most, value, outcome)


def _holds(bound: Bound, value: float) -> bool:
    is_low = bound.at_least is not None and value < bound.at_least
    is_high = bound.at_most is not None and value > bound.at_most
    return not is_low and not is_high


def _nobody(done: dict[str, float]) -> None:
    del done
