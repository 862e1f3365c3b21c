from datetime import UTC, datetime

import pytest

from platform_api.errors import InvalidError
from platform_api.flow_api.schedule_times import next_times

WINTER = datetime(2026, 3, 27, 12, tzinfo=UTC)


def test_times_keep_their_local_hour_when_the_clocks_change() -> None:
    times = next_times("0 7 * * *", "Europe/Berlin", after=WINTER, count=3)

    assert [moment.hour for moment in times] == [6, 5, 5]
    assert [moment.day for moment in times] == [28, 29, 30]


@pytest.mark.parametrize(("cron", "zone"), [("* * * *", "UTC"), ("61 * * * *", "UTC"), ("0 7 * * *", "Mars/Base")])
def test_what_is_no_schedule_is_refused_with_a_pointer(cron: str, zone: str) -> None:
    with pytest.raises(InvalidError) as caught:
        next_times(cron, zone, after=WINTER, count=1)

    assert caught.value.problems[0].pointer in ("/cron", "/timezone")
