"""The choice that regret is measured against: made by somebody who knows the world at each moment.

It takes the cheapest model that is up and whose true quality at the task is within epsilon of the best one that is
up, and it pays once.
"""

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
        self._rates: dict[int, tuple[ModelEntry, float, float]] = {}

    def choice(self, call: Arrival) -> Choice:
        """What it would have chosen for a call."""
        up = [entry for entry in self._entries if self._is_up(entry, call.at_s)]
        if not up:
            return Choice(None)
        quality = {entry.name: self._conditions.quality(entry.name, call.task) for entry in up}
        enough = max(quality.values()) * (1 - self._epsilon)
        at = self._starts_at + timedelta(seconds=call.at_s)
        costs = [(self._cost_usd(entry, call, at), entry.name) for entry in up if quality[entry.name] >= enough]
        cost_usd, model = min(costs)
        return Choice(model, cost_usd, is_good=call.luck < quality[model])

    def _is_up(self, entry: ModelEntry, at_s: float) -> bool:
        condition = self._conditions.at(entry.name, at_s)
        return condition.is_up and condition.brown_out_share < HOPELESS_SHARE

    def _cost_usd(self, entry: ModelEntry, call: Arrival, at: datetime) -> float:
        """At the rates of the moment; a price nobody knows counts as infinite."""
        priced = self._prices.entry_at(entry, at)
        known = self._rates.get(id(priced))
        if known is None:
            rates = self._rate(priced, RATE_TOKENS, 0, at), self._rate(priced, 0, RATE_TOKENS, at)
            known = self._rates[id(priced)] = (priced, *rates)
        return known[1] * call.prompt_tokens + known[2] * call.output_tokens

    def _rate(self, entry: ModelEntry, input_tokens: int, output_tokens: int, at: datetime) -> float:
        """Dollars a token."""
        cost = self._prices.expected_nano_usd(entry, input_tokens, output_tokens, at)
        return float("inf") if cost is None else cost / 1e9 / RATE_TOKENS
