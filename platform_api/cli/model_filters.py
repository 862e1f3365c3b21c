"""Which models of the catalogue `modelbridge models` shows."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bridge.catalog.entries import ModelEntry


@dataclass(frozen=True, slots=True)
class ModelFilter:
    """All that is set must hold. What is not known of a model does not meet a condition on it."""

    names: frozenset[str] | None = None
    provider: str | None = None
    capabilities: frozenset[str] = frozenset()
    region: str | None = None
    min_context: int | None = None
    max_input_usd_per_mtok: float | None = None
    max_output_usd_per_mtok: float | None = None
    today: date | None = None
    """Models whose last day is before it are left out; None: they stay."""

    def of(self, entries: "Iterable[ModelEntry]") -> "list[ModelEntry]":
        """Those that meet every condition, in their order."""
        return [entry for entry in entries if self._holds(entry)]

    def _holds(self, entry: "ModelEntry") -> bool:
        checks = (
            self.names is None or entry.name in self.names,
            self.provider is None or entry.provider == self.provider,
            self.capabilities <= entry.capabilities,
            self.region is None or self.region in entry.regions,
            self.min_context is None or (entry.context_window or 0) >= self.min_context,
            _is_within(entry.input_usd_per_mtok, self.max_input_usd_per_mtok, is_free=entry.is_free),
            _is_within(entry.output_usd_per_mtok, self.max_output_usd_per_mtok, is_free=entry.is_free),
            self.today is None or entry.deprecated_on is None or entry.deprecated_on >= self.today,
        )
        return all(checks)


def _is_within(price: float | None, limit: float | None, *, is_free: bool) -> bool:
    """An unknown price is not within any limit."""
    return limit is None or is_free or (price is not None and price <= limit)
