"""US dollars as Decimal in code, whole nano-dollars in storage, and the one place where they are rounded."""

from decimal import ROUND_HALF_EVEN, Decimal

Usd = Decimal

NANO_PER_USD = 1_000_000_000


def to_nano_usd(amount: Usd) -> int:
    """Whole nano-dollars, rounded half to even: an attempt's cost is rounded here once, totals are sums of it."""
    return int((amount * NANO_PER_USD).quantize(Decimal(1), rounding=ROUND_HALF_EVEN))


def from_nano_usd(nano_usd: int) -> Usd:
    """The exact dollar amount of `nano_usd`."""
    return Decimal(nano_usd) / NANO_PER_USD


def usd_number(nano_usd: int | None) -> float | None:
    """Dollars as the JSON number that goes on the wire, at most 9 decimals. Unknown is None, never 0."""
    return None if nano_usd is None else round(nano_usd / NANO_PER_USD, 9)
