"""The UTC calendar of budgets."""

from datetime import UTC, datetime, timedelta
from typing import Literal, assert_never

Period = Literal["day", "week", "month", "total"]

_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


def window_start(period: Period, at: datetime) -> datetime:
    """When the window that holds `at` began: midnight, Monday, the first of the month, or the beginning of time."""
    if period == "total":
        return _BEGINNING
    midnight = at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    match period:
        case "day":
            return midnight
        case "week":
            return midnight - timedelta(days=midnight.weekday())
        case "month":
            return midnight.replace(day=1)
        case _:
            assert_never(period)
