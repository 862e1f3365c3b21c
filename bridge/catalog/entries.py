"""What is known about a model: identity, window, capabilities, quality prior, price overrides."""

from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class PriceOverride:
    """Prices that replace those of genai-prices for one model. `row` names the source: file or configuration."""

    input_usd_per_mtok: Decimal
    output_usd_per_mtok: Decimal
    row: str
    cache_read_usd_per_mtok: Decimal | None = None
    cache_write_usd_per_mtok: Decimal | None = None


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
    is_alias_default: bool = False
    """Is it a candidate of the built-in aliases?"""
    price_override: PriceOverride | None = None
    prices_of: str | None = None
    """The genai-prices provider whose prices apply; None: nothing but an override prices it."""
    is_free: bool = False
    """Runs on this machine or is a mock: its cost is known and 0."""
