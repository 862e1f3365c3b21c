"""What is known about a model: identity, window, capabilities, quality prior, price overrides."""

from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class PriceOverride:
    """Prices that replace those of genai-prices for one model. `origin`: the configuration, or the dated overrides."""

    model: str
    origin: str
    input_usd_per_mtok: Decimal
    output_usd_per_mtok: Decimal
    cache_read_usd_per_mtok: Decimal | None = None
    """None: cached tokens cost what input costs; the same for cache writes."""
    cache_write_usd_per_mtok: Decimal | None = None

    @property
    def row(self) -> str:
        """The row's id. It holds the prices, so that a cost recomputes when the configuration is long gone."""
        prices = (
            self.input_usd_per_mtok,
            self.output_usd_per_mtok,
            self.cache_read_usd_per_mtok,
            self.cache_write_usd_per_mtok,
        )
        return f"override|{self.model}|" + ";".join("-" if price is None else str(price) for price in prices)

    @classmethod
    def from_row(cls, row: str, origin: str) -> "PriceOverride | None":
        """The override whose `row` this is; None when it is none."""
        kind, _, rest = row.partition("|")
        model, _, prices = rest.rpartition("|")
        parts = prices.split(";")
        if kind != "override" or len(parts) != 4:
            return None
        given = [None if part == "-" else Decimal(part) for part in parts]
        if given[0] is None or given[1] is None:
            return None
        return cls(model, origin, given[0], given[1], given[2], given[3])


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """One model of one provider. None: unknown."""

    name: str
    """`provider/model`: the name callers use."""
    provider: str
    model_id: str
    """What the provider calls it."""
    capabilities: frozenset[str] = field(default_factory=frozenset[str])
    """Of bridge.config.Capability."""
    context_window: int | None = None
    """Tokens, input and output together."""
    max_output_tokens: int | None = None
    quality: float | None = None
    """Prior in [0, 1], used until own scores exist."""
    regions: frozenset[str] = field(default_factory=frozenset[str])
    """Empty: wherever the provider serves; the deployment's region decides."""
    input_usd_per_mtok: float | None = None
    """Listed price today, lowest tier, for people; cost is computed by Prices."""
    output_usd_per_mtok: float | None = None
    cache_read_usd_per_mtok: float | None = None
    deprecated_on: date | None = None
    tags: frozenset[str] = field(default_factory=frozenset[str])
    """Own words that aliases may ask for."""
    is_alias_default: bool = False
    """Is it a candidate of the built-in aliases?"""
    price_override: PriceOverride | None = None
    prices_of: str | None = None
    """The genai-prices provider whose prices apply; None: nothing but an override prices it."""
    is_free: bool = False
    """Runs on this machine or is a mock: its cost is known and 0."""
