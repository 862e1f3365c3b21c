"""The dearest prices that may apply to an attempt, by how long its input may get. Remembered, since every call asks."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from genai_prices.types import ModelPrice, TieredPrices

from bridge.money import Usd

TOKENS_PER_MTOK = 1_000_000
INPUT_KEYS = ("input_mtok", "cache_read_mtok", "cache_write_mtok")
MEDIA_KEYS = ("input_image_mtok", "input_audio_mtok", "input_video_mtok")
OUTPUT_KEYS = ("output_mtok", "output_reasoning_mtok", "output_citation_mtok")
REQUEST_KEYS = ("requests_kcount",)


@dataclass(frozen=True, slots=True)
class Rates:
    """Dollars per token and per request."""

    input_usd: Usd
    output_usd: Usd
    request_usd: Usd = Decimal(0)


FREE = Rates(Decimal(0), Decimal(0))


@dataclass(frozen=True, slots=True)
class RateTable:
    """Rates by input length: a request that may have more input tokens than `start` can come to pay them."""

    tiers: tuple[tuple[int, Rates], ...]
    """Ascending; the first one starts below any request."""
    good_from: datetime
    good_until: datetime

    def rates(self, input_tokens: int) -> Rates:
        """The dearest for at most `input_tokens`."""
        chosen = self.tiers[0][1]
        for start, rates in self.tiers[1:]:
            if start >= input_tokens:
                break
            chosen = rates
        return chosen


def rate_table(prices: tuple[ModelPrice, ...], *, at: datetime, lasts: timedelta, has_media: bool) -> RateTable:
    """The table over all of `prices`, any of which may be the one that is billed."""
    keys = (*INPUT_KEYS, *MEDIA_KEYS) if has_media else INPUT_KEYS
    starts = sorted({-1, *(start for one in prices for start in _tier_starts(one))})
    return RateTable(tuple((start, _dearest(prices, start + 1, keys)) for start in starts), at, at + lasts)


def rates_of(
    prices: ModelPrice,
    input_tokens: int,
    *,
    input_keys: tuple[str, ...] = INPUT_KEYS,
    output_keys: tuple[str, ...] = OUTPUT_KEYS,
) -> Rates:
    """The dearest of one price list for a request of at most `input_tokens`."""
    return Rates(
        _highest(prices, input_keys, input_tokens) / TOKENS_PER_MTOK,
        _highest(prices, output_keys, input_tokens) / TOKENS_PER_MTOK,
        _highest(prices, REQUEST_KEYS, input_tokens) / 1000,
    )


def reachable(price: Decimal | TieredPrices | None, input_tokens: int) -> Usd:
    """The dearest tier that a request of at most `input_tokens` can come to."""
    if price is None:
        return Decimal(0)
    if isinstance(price, TieredPrices):
        return max([price.base, *(tier.price for tier in price.tiers if tier.start < input_tokens)])
    return price


def _dearest(prices: tuple[ModelPrice, ...], input_tokens: int, input_keys: tuple[str, ...]) -> Rates:
    found = [rates_of(one, input_tokens, input_keys=input_keys) for one in prices]
    return Rates(
        max(rates.input_usd for rates in found),
        max(rates.output_usd for rates in found),
        max(rates.request_usd for rates in found),
    )


def _highest(prices: ModelPrice, keys: tuple[str, ...], input_tokens: int) -> Usd:
    return max((reachable(getattr(prices, key), input_tokens) for key in keys), default=Decimal(0))


def _tier_starts(prices: ModelPrice) -> list[int]:
    tiered = [getattr(prices, key) for key in (*INPUT_KEYS, *MEDIA_KEYS, *OUTPUT_KEYS, *REQUEST_KEYS)]
    return [tier.start for price in tiered if isinstance(price, TieredPrices) for tier in price.tiers]
