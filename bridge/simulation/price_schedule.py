"""Prices that change during the day: the product's own, with the scenario's price events laid over them in time."""

import bisect
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from bridge.catalog.deployments import Deployment
from bridge.catalog.entries import ModelEntry, PriceOverride
from bridge.catalog.prices import Prices
from bridge.simulation.conditions import events_at
from bridge.simulation.scenario import WorldEvent


class PriceSchedule(Prices):
    """Prices everything at the moment that is asked for."""

    def __init__(self, events: Sequence[WorldEvent], starts_at: datetime) -> None:
        super().__init__()
        self._events = tuple(event for event in events if event.kind == "price")
        self._starts_at = starts_at
        self._changes: dict[str, list[float]] = {}
        self._entries: dict[tuple[str, int], tuple[ModelEntry, ModelEntry]] = {}

    def changes(self, entry: ModelEntry) -> list[float]:
        """Seconds of the scenario at which the model's price changes, sorted."""
        known = self._changes.get(entry.name)
        if known is None:
            mine = events_at(self._events, entry.name)
            known = self._changes[entry.name] = sorted({at_s for one in mine for at_s in (one.from_s, one.until_s)})
        return known

    def entry_at(self, priced: ModelEntry | Deployment, at: datetime) -> ModelEntry:
        """The model with the price that holds at `at`."""
        entry = priced.entry if isinstance(priced, Deployment) else priced
        changes = self.changes(entry)
        if not changes:
            return entry
        at_s = (at - self._starts_at).total_seconds()
        period = bisect.bisect_right(changes, at_s)
        known = self._entries.get((entry.name, period))
        if known is None or known[0] is not entry:
            known = self._entries[entry.name, period] = (entry, self._repriced(entry, at_s))
        return known[1]

    def _repriced(self, entry: ModelEntry, at_s: float) -> ModelEntry:
        under_way = [one for one in events_at(self._events, entry.name) if one.from_s <= at_s < one.until_s]
        if not under_way:
            return entry
        event = under_way[-1]
        override = PriceOverride(
            model=entry.name,
            origin="scenario",
            input_usd_per_mtok=Decimal(repr(event.input_usd_per_mtok)),
            output_usd_per_mtok=Decimal(repr(event.output_usd_per_mtok)),
        )
        return replace(
            entry,
            price_override=override,
            input_usd_per_mtok=event.input_usd_per_mtok,
            output_usd_per_mtok=event.output_usd_per_mtok,
        )
