"""How the studio writes numbers and times. Unknown is an em dash, never 0."""

from datetime import UTC, datetime
from decimal import Decimal

UNKNOWN = "\N{EM DASH}"
THIN_SPACE = "\N{NO-BREAK SPACE}"


def money(usd: Decimal | float | None) -> str:
    """`$0.0042` under one cent, `$12.34`, `$1.2k`, `$3.4M`."""
    if usd is None:
        return UNKNOWN
    amount = Decimal(str(usd))
    sign, size = ("-" if amount < 0 else ""), abs(amount)
    if size == 0:
        return "$0.00"
    if size < Decimal("0.0000005"):
        return f"{sign}<$0.000001"
    small = _two_digits(size)
    if small < Decimal("0.01"):
        return f"{sign}${small:f}"
    if size < 1000:
        return f"{sign}${size:.2f}"
    return f"{sign}${_compact(float(size))}"


def tokens(count: float | None) -> str:
    """`870`, `1.9k`, `2.4M`."""
    if count is None:
        return UNKNOWN
    return str(round(count)) if abs(count) < 1000 else _compact(count)


def duration(ms: float | None) -> str:
    """`<1 ms`, `380 ms`, `2.3 s`, `4 m 12 s`, `1 h 03 m`, `3 d 04 h`."""
    if ms is None:
        return UNKNOWN
    if ms < 999.5:
        return f"{round(ms) if ms >= 1 else '<1'}{THIN_SPACE}ms"
    seconds = ms / 1000
    if seconds < 59.95:
        return f"{seconds:.1f}{THIN_SPACE}s"
    whole = round(seconds)
    if whole < 3600:
        return _pair(whole // 60, "m", whole % 60, "s")
    if whole < 86_400:
        return _pair(whole // 3600, "h", whole % 3600 // 60, "m")
    return _pair(whole // 86_400, "d", whole % 86_400 // 3600, "h")


def percent(share: float | None) -> str:
    """A share in [0, 1] as `99.3 %`; whole when it is exactly all or nothing."""
    if share is None:
        return UNKNOWN
    digits = 0 if share in (0, 1) else 1
    return f"{share * 100:.{digits}f}{THIN_SPACE}%"


def relative_time(moment: datetime | None, now: datetime) -> str:
    """`just now`, `5 min ago`, `in 2 h`, `3 d ago`; a date beyond 30 days."""
    if moment is None:
        return UNKNOWN
    seconds = (now - moment).total_seconds()
    distance = abs(seconds)
    if distance < 5:
        return "just now"
    if distance >= 30 * 86_400:
        return moment.astimezone(UTC).strftime("%d %b %Y")
    text = _distance(distance)
    return f"{text} ago" if seconds > 0 else f"in {text}"


def exact_time(moment: datetime | None) -> str:
    """`2026-03-01 14:05:09 UTC`."""
    return UNKNOWN if moment is None else moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def short_id(run_id: str) -> str:
    """The tail of an id, enough to tell neighbours apart: UUIDv7 ids share their head."""
    return run_id[-8:]


def plain(text: str) -> str:
    """Text for a place that renders Markdown: every character stands for itself, line breaks become spaces."""
    one_line = " ".join(text.split())
    return "".join(f"\\{char}" if char in "\\`*_{}[]()<>#+-.!|~$:&@" else char for char in one_line)


def _distance(seconds: float) -> str:
    for limit, size, unit in ((60, 1, "s"), (3600, 60, "min"), (86_400, 3600, "h")):
        if seconds < limit:
            return f"{int(seconds // size)}{THIN_SPACE}{unit}"
    return f"{int(seconds // 86_400)}{THIN_SPACE}d"


def _pair(big: int, big_unit: str, small: int, small_unit: str) -> str:
    return THIN_SPACE.join((str(big), big_unit, f"{small:02d}", small_unit))


def _two_digits(size: Decimal) -> Decimal:
    """Rounded to two significant digits."""
    return size.quantize(Decimal(1).scaleb(size.adjusted() - 1))


def _compact(number: float) -> str:
    for limit, size, unit in ((999_950, 1e3, "k"), (999_950_000, 1e6, "M")):
        if abs(number) < limit:
            return f"{number / size:.1f}{unit}"
    return f"{number / 1e9:.1f}B"
