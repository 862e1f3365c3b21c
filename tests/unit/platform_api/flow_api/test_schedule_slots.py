from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from platform_api.flow_api.schedule_slots import MAX_MADE_UP, is_slot, slots_between, to_make_up

NOW = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")
SPRING, AUTUMN = datetime(2026, 3, 28, 12, tzinfo=UTC), datetime(2026, 10, 24, 12, tzinfo=UTC)


def local(cron: str, after: datetime, hours: int = 24) -> list[str]:
    """The slots of the next hours by the clock on the wall, with its distance from UTC."""
    slots = slots_between(cron, "Europe/Berlin", after, after + timedelta(hours=hours), limit=100)
    return [at.astimezone(BERLIN).strftime("%H:%M%z") for at in slots]


def test_a_time_that_the_clocks_skip_comes_right_after_the_jump() -> None:
    assert local("30 2 * * *", SPRING) == ["03:00+0200"]


def test_a_fixed_time_that_comes_twice_runs_the_first_time() -> None:
    assert local("30 2 * * *", AUTUMN) == ["02:30+0200"]


def test_every_hour_means_every_hour_also_when_one_comes_twice_or_never() -> None:
    assert local("0 * * * *", AUTUMN + timedelta(hours=11), 4) == [
        "02:00+0200",
        "02:00+0100",
        "03:00+0100",
        "04:00+0100",
    ]
    assert local("0 * * * *", SPRING + timedelta(hours=11), 4) == [
        "01:00+0100",
        "03:00+0200",
        "04:00+0200",
        "05:00+0200",
    ]


def test_a_time_that_prefect_would_fire_an_hour_early_is_no_slot() -> None:
    early = datetime(2026, 3, 29, 0, 30, tzinfo=UTC)

    assert not is_slot("30 2 * * *", "Europe/Berlin", early)
    assert is_slot("30 2 * * *", "Europe/Berlin", early + timedelta(minutes=30))


def test_slots_begin_after_the_first_time_and_include_the_last() -> None:
    hours = slots_between("0 * * * *", "UTC", NOW - timedelta(hours=3), NOW, limit=10)

    assert hours == [NOW - timedelta(hours=2), NOW - timedelta(hours=1), NOW]
    assert slots_between("* * * * *", "UTC", NOW - timedelta(days=2), NOW, limit=3) == [
        NOW - timedelta(minutes=2), NOW - timedelta(minutes=1), NOW,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("misfire", "missed_hours", "late_minutes", "expected"),
    [
        ("none", [3, 2, 1], [], []),
        ("last", [3, 2, 1], [], [60]),
        ("all", [3, 2, 1], [], [180, 120, 60]),
        ("none", [3], [5], [5]),
        ("last", [3], [5], [5]),
        ("all", [3], [5], [180, 5]),
        ("last", [], [], []),
    ],
)
def test_the_policy_decides_what_missed_slots_become(
    misfire: str, missed_hours: list[int], late_minutes: list[int], expected: list[int]
) -> None:
    missed = [NOW - timedelta(hours=hours) for hours in missed_hours]
    missed += [NOW - timedelta(minutes=minutes) for minutes in late_minutes]

    assert to_make_up(missed, misfire, now=NOW) == [NOW - timedelta(minutes=minutes) for minutes in expected]


def test_of_very_many_missed_slots_the_newest_are_made_up_for() -> None:
    missed = [NOW - timedelta(hours=hours) for hours in range(500, 0, -1)]

    assert to_make_up(missed, "all", now=NOW) == missed[-MAX_MADE_UP:]
