"""A second target is asked when the first is slower than it usually is; whoever answers first is taken."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from bridge.config import HedgeConfig
from bridge.errors import ProviderError
from bridge.reliability.retry_budget import RetryBudget

AnswerT = TypeVar("AnswerT")


class HedgeBudgets:
    """How many more hedges each alias may make: a share of its calls, by a bucket of tokens."""

    def __init__(self) -> None:
        self._budgets: dict[str, RetryBudget] = {}

    def of(self, alias: str, config: HedgeConfig) -> RetryBudget:
        """The alias's budget, one more call counted."""
        budget = self._budgets.get(alias)
        if budget is None:
            budget = self._budgets[alias] = RetryBudget(share=config.max_share, burst=config.burst)
        budget.call_made()
        return budget


async def hedged(
    first: Callable[[], Coroutine[Any, Any, AnswerT | None]],
    second: Callable[[], Coroutine[Any, Any, AnswerT | None]],
    *,
    after_s: float,
    discard: Callable[[AnswerT], Awaitable[None]],
) -> AnswerT | None:
    """The answer of whichever has one first; None is no answer. `second` begins after `after_s`.

    The loser is cancelled, and an answer that it had already is discarded. When neither has one, `first` decides
    what is returned or raised; when it ends before `second` has begun, `second` never does.
    """
    runs: list[asyncio.Task[AnswerT | None]] = [asyncio.create_task(first())]
    winner: asyncio.Task[AnswerT | None] | None = None
    try:
        await asyncio.wait(runs, timeout=after_s)
        if not runs[0].done():
            runs.append(asyncio.create_task(second()))
        winner = await _first_success(runs)
        return (winner or runs[0]).result()
    finally:
        await _dropped(runs, winner, discard)


async def _first_success(runs: list[asyncio.Task[AnswerT | None]]) -> asyncio.Task[AnswerT | None] | None:
    """The first run with an answer; None when all failed. Raises what is no provider's error."""
    pending = set(runs)
    while pending:
        done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
        for run in (one for one in runs if one in done):
            error = run.exception()
            if error is not None and not isinstance(error, ProviderError):
                raise error
            if error is None and run.result() is not None:
                return run
    return None


async def _dropped(
    runs: list[asyncio.Task[AnswerT | None]],
    winner: asyncio.Task[AnswerT | None] | None,
    discard: Callable[[AnswerT], Awaitable[None]],
) -> None:
    """Stop whoever lost, and wait until it has stopped: its record must be there before the call's."""
    losers = [run for run in runs if run is not winner]
    for run in losers:
        run.cancel()
    if losers:
        await asyncio.wait(losers)
    for run in losers:
        answer = None if run.cancelled() or run.exception() is not None else run.result()
        if answer is not None:
            await discard(answer)
