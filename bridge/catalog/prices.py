"""What usage costs: genai-prices plus overrides, exact, with the row that priced it.

An unknown price is None, never 0. Rounding happens once, here, to whole nano-dollars. Before a call there are two
numbers: the worst case, an upper bound that may be reserved, and the expected cost, a prediction.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from genai_prices.types import ModelPrice, TieredPrices
from genai_prices.types import Usage as PricedTokens

from bridge.call_record import PriceRef
from bridge.catalog import genai_data
from bridge.catalog.dearest_rates import (
    FREE,
    TOKENS_PER_MTOK,
    Ceiling,
    Rates,
    RateTable,
    rate_table,
    rates_of,
    reachable,
)
from bridge.catalog.deployments import Deployment
from bridge.catalog.entries import ModelEntry, PriceOverride
from bridge.chat import Usage
from bridge.money import Usd, to_nano_usd

HORIZON = timedelta(hours=1)
"""A call that starts now is billed at a price that holds within this time."""
RATES_LAST = timedelta(minutes=30)
"""How long the dearest rates are remembered: they already hold for the coming hour."""


@dataclass(frozen=True, slots=True)
class PricedUsage:
    """A cost and the row it was computed from. Both None: the price is unknown."""

    nano_usd: int | None
    ref: PriceRef | None


UNKNOWN = PricedUsage(nano_usd=None, ref=None)


@dataclass(frozen=True, slots=True)
class ExpectedRates:
    """Prices for predictions, as floating-point dollars: nothing is billed by them."""

    input_usd_per_mtok: float
    output_usd_per_mtok: float
    cache_read_usd_per_mtok: float | None = None
    """None: reading from the cache costs what input costs."""
    request_usd: float = 0.0
    tier_tokens: int | None = None
    """A request of more input tokens than this has other prices; None: one price for every size."""


class Prices:
    """Prices tokens. Stateless but for remembered look-ups."""

    def __init__(self) -> None:
        self._row_ids: dict[int, tuple[ModelPrice, str]] = {}
        self._dearest: dict[tuple[str, str, bool], RateTable] = {}
        self._overridden: dict[int, tuple[PriceOverride, Ceiling]] = {}

    def entry_at(self, priced: ModelEntry | Deployment, at: datetime) -> ModelEntry:
        """The model as it is priced at `at`: where prices change on their own, this is what they override."""
        del at
        return priced.entry if isinstance(priced, Deployment) else priced

    def cost(self, priced: ModelEntry | Deployment, usage: Usage, at: datetime) -> PricedUsage:
        """What `usage` costs at `at`, rounded half-even to one nano-dollar."""
        entry, usage = self.entry_at(priced, at), usage.billed
        if entry.price_override is not None:
            return _by_override(entry.price_override, usage)
        if entry.is_free:
            return PricedUsage(0, PriceRef(row=f"free|{entry.name}", data_version="free"))
        row = self._row(entry, at)
        if row is None or not _covers(row.prices, usage, row.model):
            return UNKNOWN
        amount = row.prices.calc_price(_tokens(usage))["total_price"]
        return PricedUsage(to_nano_usd(amount), PriceRef(self._id_of(row), genai_data.data_version()))

    def recompute(self, ref: PriceRef, usage: Usage) -> int | None:
        """The cost that `usage` had under a recorded price row; None when this version of the data lacks the row."""
        if ref.row.startswith("free|"):
            return 0
        usage = usage.billed
        override = PriceOverride.from_row(ref.row, ref.data_version)
        if override is not None:
            return _by_override(override, usage).nano_usd
        row = genai_data.find_row(ref.row)
        return None if row is None else to_nano_usd(row.prices.calc_price(_tokens(usage))["total_price"])

    def worst_case_nano_usd(
        self,
        priced: ModelEntry | Deployment,
        request_bytes: int,
        max_output_tokens: int,
        at: datetime,
        *,
        has_media: bool = True,
    ) -> int | None:
        """An upper bound of one attempt's cost: a token is at least one byte, at the dearest price that may apply.

        `request_bytes` already holds the allowances per message and image; without media their prices do not apply.
        Rounded up. None: the price is unknown.
        """
        ceiling = self._ceiling(self.entry_at(priced, at), request_bytes, at, has_media=has_media)
        return None if ceiling is None else ceiling.nano_usd(request_bytes, max_output_tokens)

    def affordable_output_tokens(
        self,
        priced: ModelEntry | Deployment,
        request_bytes: int,
        left_nano_usd: int,
        at: datetime,
        *,
        has_media: bool = True,
    ) -> int | None:
        """The most output tokens with which the worst case is still within what is left; negative: not even the input.

        None: the price is unknown, or output costs nothing.
        """
        ceiling = self._ceiling(self.entry_at(priced, at), request_bytes, at, has_media=has_media)
        return None if ceiling is None else ceiling.output_tokens(request_bytes, left_nano_usd)

    def expected_nano_usd(
        self, priced: ModelEntry | Deployment, input_tokens: int, output_tokens: int, at: datetime
    ) -> int | None:
        """A prediction: no cache hit, and as many tokens as said. Quick, since it is made for every candidate."""
        entry = self.entry_at(priced, at)
        if entry.price_override is not None:
            return _by_override(entry.price_override, Usage(input_tokens, output_tokens)).nano_usd
        if entry.is_free:
            return 0
        row = self._row(entry, at)
        if row is None or not _covers(row.prices, Usage(input_tokens, output_tokens), row.model):
            return None
        rates = rates_of(row.prices, input_tokens, input_keys=("input_mtok",), output_keys=("output_mtok",))
        amount = rates.input_usd * input_tokens + rates.output_usd * output_tokens + rates.request_usd
        return to_nano_usd(amount)

    def expected_rates(self, priced: ModelEntry | Deployment, input_tokens: int, at: datetime) -> ExpectedRates | None:
        """What a request of so many input tokens pays at `at`, for predictions; None: the price is unknown."""
        entry = self.entry_at(priced, at)
        if entry.price_override is not None:
            override = entry.price_override
            read = override.cache_read_usd_per_mtok
            full, out = float(override.input_usd_per_mtok), float(override.output_usd_per_mtok)
            return ExpectedRates(full, out, None if read is None else float(read))
        if entry.is_free:
            return ExpectedRates(0.0, 0.0)
        row = self._row(entry, at)
        if row is None or not _covers(row.prices, Usage(1, 1), row.model):
            return None
        prices = row.prices
        return ExpectedRates(
            float(reachable(prices.input_mtok, input_tokens)),
            float(reachable(prices.output_mtok, input_tokens)),
            None if prices.cache_read_mtok is None else float(reachable(prices.cache_read_mtok, input_tokens)),
            float(reachable(prices.requests_kcount, input_tokens)) / 1000,
            _first_tier(prices),
        )

    def _row(self, entry: ModelEntry, at: datetime) -> genai_data.PriceRow | None:
        if entry.prices_of is None:
            return None
        found = genai_data.find_model(entry.prices_of, entry.model_id)
        return None if found is None else genai_data.row_at(*found, at)

    def _id_of(self, row: genai_data.PriceRow) -> str:
        """The row's id; hashing the prices takes longer than pricing, so it is done once a row."""
        known = self._row_ids.get(id(row.prices))
        if known is None or known[0] is not row.prices:
            known = self._row_ids[id(row.prices)] = (row.prices, row.id)
        return known[1]

    def _ceiling(self, entry: ModelEntry, input_tokens: int, at: datetime, *, has_media: bool) -> Ceiling | None:
        if entry.price_override is not None:
            known = self._overridden.get(id(entry.price_override))
            if known is None or known[0] is not entry.price_override:
                known = entry.price_override, _override_ceiling(entry.price_override)
                self._overridden[id(entry.price_override)] = known
            return known[1]
        if entry.is_free:
            return FREE
        if entry.prices_of is None:
            return None
        key = (entry.prices_of, entry.model_id, has_media)
        table = self._dearest.get(key)
        if table is None or not table.good_from <= at < table.good_until:
            rows = [row for moment in (at, at + HORIZON) if (row := self._row(entry, moment)) is not None]
            if not rows or not all(_covers(row.prices, Usage(1, 1), row.model) for row in rows):
                return None
            prices = tuple(row.prices for row in rows)
            table = self._dearest[key] = rate_table(prices, at=at, lasts=RATES_LAST, has_media=has_media)
        return table.ceiling(input_tokens)


def _cache_parts(usage: Usage) -> tuple[int, int]:
    """Input tokens read from and written to the provider's cache. Parts larger than their whole are cut to it."""
    written = min(max(usage.cache_write_tokens, 0), max(usage.input_tokens, 0))
    return min(max(usage.cached_tokens, 0), max(usage.input_tokens, 0) - written), written


def _tokens(usage: Usage) -> PricedTokens:
    """The usage as genai-prices takes it."""
    read, written = _cache_parts(usage)
    return PricedTokens(
        input_tokens=max(usage.input_tokens, 0),
        cache_read_tokens=read or None,
        cache_write_tokens=written or None,
        output_tokens=max(usage.output_tokens, 0),
        output_reasoning_tokens=min(max(usage.reasoning_tokens, 0), max(usage.output_tokens, 0)) or None,
    )


def _covers(prices: ModelPrice, usage: Usage, model_id: str) -> bool:
    """Does the row price every kind of token that was used? A row without any price is known only when marked free."""
    if model_id.endswith(":free"):
        return True
    has_input, has_output = prices.input_mtok is not None, prices.output_mtok is not None
    return (has_input or usage.input_tokens == 0) and (has_output or usage.output_tokens == 0)


def _by_override(override: PriceOverride, usage: Usage) -> PricedUsage:
    read, written = _cache_parts(usage)
    plain = max(usage.input_tokens, 0) - read - written
    total = (
        override.input_usd_per_mtok * plain
        + _or(override.cache_read_usd_per_mtok, override.input_usd_per_mtok) * read
        + _or(override.cache_write_usd_per_mtok, override.input_usd_per_mtok) * written
        + override.output_usd_per_mtok * max(usage.output_tokens, 0)
    )
    return PricedUsage(to_nano_usd(total / TOKENS_PER_MTOK), PriceRef(override.row, override.origin))


def _override_ceiling(override: PriceOverride) -> Ceiling:
    dearest = max(
        override.input_usd_per_mtok,
        _or(override.cache_read_usd_per_mtok, Decimal(0)),
        _or(override.cache_write_usd_per_mtok, Decimal(0)),
    )
    return Ceiling.over(Rates(dearest / TOKENS_PER_MTOK, override.output_usd_per_mtok / TOKENS_PER_MTOK))


def _first_tier(prices: ModelPrice) -> int | None:
    tiered = [getattr(prices, key) for key in ("input_mtok", "output_mtok", "cache_read_mtok")]
    starts = [tier.start for price in tiered if isinstance(price, TieredPrices) for tier in price.tiers]
    return min(starts, default=None)


def _or(price: Usd | None, otherwise: Usd) -> Usd:
    return otherwise if price is None else price
