from datetime import UTC, datetime, timedelta, timezone

import pytest

from bridge.budget_periods import Period, window_start


@pytest.mark.parametrize(
    ("period", "start"),
    [
        ("day", datetime(2026, 3, 1, tzinfo=UTC)),
        ("week", datetime(2026, 2, 23, tzinfo=UTC)),
        ("month", datetime(2026, 3, 1, tzinfo=UTC)),
        ("total", datetime(1970, 1, 1, tzinfo=UTC)),
    ],
)
def test_windows_follow_the_utc_calendar_and_weeks_begin_on_monday(period: Period, start: datetime) -> None:
    assert window_start(period, datetime(2026, 3, 1, 23, 59, 59, tzinfo=UTC)) == start


def test_the_day_is_the_utc_day_wherever_the_caller_is() -> None:
    tokyo = timezone(timedelta(hours=9))

    assert window_start("day", datetime(2026, 3, 2, 8, 0, tzinfo=tokyo)) == datetime(2026, 3, 1, tzinfo=UTC)
