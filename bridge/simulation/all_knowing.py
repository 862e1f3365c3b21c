"""The choice that regret is measured against: made by somebody who knows the world at each moment.

It takes the cheapest model that is up and whose true quality at the task is within epsilon of the best one that is
up, and it pays once.
"""

import bisect
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from bridge.catalog.entries import ModelEntry
from bridge.simulation.conditions import Conditions
from bridge.simulation.price_schedule import PriceSchedule
from bridge.simulation.traffic import Arrival

RATE_TOKENS = 1_000_000
HOPELESS_SHARE = 0.5
"""A model that fails at least this share of its calls is not chosen."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What the all-knowing choice would have brought."""

    model: str | None
    """None: nobody could have answered."""
    cost_usd: float = 0.0
    is_good: bool = False


@dataclass(frozen=True, slots=True)
class _Able:
    """A model that is up and good enough, with its rates in dollars a token."""

    model: str
    quality: float
    input_usd: float
    output_usd: float


class AllKnowing:
    """Chooses with full knowledge of prices, quality and conditions."""

    def __init__(
        self,
        entries: Iterable[ModelEntry],
        conditions: Conditions,
        prices: PriceSchedule,
        *,
        starts_at: datetime,
        epsilon: float,
    ) -> None:
        self._entries = tuple(entries)
        self._conditions = conditions
        self._prices = prices
        self._starts_at = starts_at
        self._epsilon = epsilon
        timelines = [(*conditions.changes(one.name), *prices.changes(one)) for one in self._entries]
        self._changes = sorted({at_s for timeline in timelines for at_s in timeline})
        self._able: dict[tuple[int, str], tuple[_Able, ...]] = {}

    def choice(self, call: Arrival) -> Choice:
        """What it would have chosen for a call."""
        period = bisect.bisect_right(self._changes, call.at_s), call.task
        able = self._able.get(period)
        if able is None:
            able = self._able[period] = self._good_enough(call.task, call.at_s)
        if not able:
            return Choice(None)
        costs = [one.input_usd * call.prompt_tokens + one.output_usd * call.output_tokens for one in able]
        cost_usd = min(costs)
        chosen = able[costs.index(cost_usd)]
        return Choice(chosen.model, cost_usd, is_good=call.luck < chosen.quality)

    def _good_enough(self, task: str, at_s: float) -> tuple[_Able, ...]:
        """The models to choose from, until something changes."""
        up = [entry for entry in self._entries if self._is_up(entry, at_s)]
        quality = {entry.name: self._conditions.quality(entry.name, task) for entry in up}
        enough = max(quality.values(), default=0.0) * (1 - self._epsilon)
        at = self._starts_at + timedelta(seconds=at_s)
        return tuple(
            _Able(
                entry.name,
                quality[entry.name],
                self._rate(entry, RATE_TOKENS, 0, at),
                self._rate(entry, 0, RATE_TOKENS, at),
            )
            for entry in up
            if quality[entry.name] >= enough
        )

    def _is_up(self, entry: ModelEntry, at_s: float) -> bool:
        condition = self._conditions.at(entry.name, at_s)
        return condition.is_up and condition.brown_out_share < HOPELESS_SHARE

    def _rate(self, entry: ModelEntry, input_tokens: int, output_tokens: int, at: datetime) -> float:
        """Dollars a token at the prices of the moment; a price that nobody knows counts as infinite."""
        cost = self._prices.expected_nano_usd(entry, input_tokens, output_tokens, at)
        return float("inf") if cost is None else cost / 1e9 / RATE_TOKENS
