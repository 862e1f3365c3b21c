"""The dearest prices that may apply to an attempt, by how long its input may get. Remembered, since every call asks."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_CEILING, Decimal

from genai_prices.types import ModelPrice, TieredPrices

from bridge.money import NANO_PER_USD, Usd

TOKENS_PER_MTOK = 1_000_000
ATTO_PER_NANO = 1_000_000_000
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


@dataclass(frozen=True, slots=True)
class Ceiling:
    """Rates as whole numbers of 10^-18 dollars, rounded up: an upper bound is wanted for every call, and quickly."""

    input_atto_usd: int
    output_atto_usd: int
    request_atto_usd: int

    @classmethod
    def over(cls, rates: Rates) -> "Ceiling":
        """The least whole numbers that are not under the rates."""
        return cls(_atto(rates.input_usd), _atto(rates.output_usd), _atto(rates.request_usd))

    def nano_usd(self, input_tokens: int, output_tokens: int) -> int:
        """What so many tokens cost at most, in whole nano-dollars."""
        total = self.request_atto_usd + self.input_atto_usd * input_tokens + self.output_atto_usd * output_tokens
        return -(-total // ATTO_PER_NANO)

    def output_tokens(self, input_tokens: int, left_nano_usd: int) -> int | None:
        """The longest answer that so much buys; negative: not even the input. None: output costs nothing."""
        if self.output_atto_usd == 0:
            return None
        left = left_nano_usd * ATTO_PER_NANO - self.request_atto_usd - self.input_atto_usd * input_tokens
        return left // self.output_atto_usd


FREE = Ceiling(0, 0, 0)


@dataclass(frozen=True, slots=True)
class RateTable:
    """Rates by input length: a request that may have more input tokens than `start` can come to pay them."""

    tiers: tuple[tuple[int, Ceiling], ...]
    """Ascending; the first one starts below any request."""
    good_from: datetime
    good_until: datetime

    def ceiling(self, input_tokens: int) -> Ceiling:
        """The dearest for at most `input_tokens`."""
        chosen = self.tiers[0][1]
        for start, ceiling in self.tiers:
            if start >= input_tokens:
                break
            chosen = ceiling
        return chosen


def rate_table(prices: tuple[ModelPrice, ...], *, at: datetime, lasts: timedelta, has_media: bool) -> RateTable:
    """The table over all of `prices`, any of which may be the one that is billed."""
    keys = (*INPUT_KEYS, *MEDIA_KEYS) if has_media else INPUT_KEYS
    starts = sorted({-1, *(start for one in prices for start in _tier_starts(one))})
    return RateTable(
        tuple((start, Ceiling.over(_dearest(prices, start + 1, keys))) for start in starts), at, at + lasts
    )


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


def _atto(usd: Usd) -> int:
    return int((usd * ATTO_PER_NANO * NANO_PER_USD).to_integral_value(rounding=ROUND_CEILING))


def _highest(prices: ModelPrice, keys: tuple[str, ...], input_tokens: int) -> Usd:
    return max((reachable(getattr(prices, key), input_tokens) for key in keys), default=Decimal(0))


def _tier_starts(prices: ModelPrice) -> list[int]:
    tiered = [getattr(prices, key) for key in (*INPUT_KEYS, *MEDIA_KEYS, *OUTPUT_KEYS, *REQUEST_KEYS)]
    return [tier.start for price in tiered if isinstance(price, TieredPrices) for tier in price.tiers]
