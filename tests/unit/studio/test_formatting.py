from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from studio.formatting import (
    UNKNOWN,
    duration,
    exact_time,
    money,
    percent,
    plain,
    relative_time,
    short_id,
    tokens,
)

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("usd", "written"),
    [
        (Decimal("0.0042"), "$0.0042"),
        (Decimal("0.000034"), "$0.000034"),
        (Decimal("0.0000001"), "<$0.000001"),
        (Decimal("0.0099999"), "$0.01"),
        (Decimal("12.344"), "$12.34"),
        (Decimal(1234), "$1.2k"),
        (Decimal(3_400_000), "$3.4M"),
        (Decimal(0), "$0.00"),
        (Decimal("-0.5"), "-$0.50"),
        (0.0042, "$0.0042"),
    ],
)
def test_money_keeps_two_meaningful_digits_under_a_cent(usd: Decimal | float, written: str) -> None:
    assert money(usd) == written


@pytest.mark.parametrize(
    ("ms", "written"),
    [
        (0, "<1 ms"),
        (1, "1 ms"),
        (380, "380 ms"),
        (999.6, "1.0 s"),
        (2345, "2.3 s"),
        (59_960, "1 m 00 s"),
        (252_000, "4 m 12 s"),
        (3_780_000, "1 h 03 m"),
        (93_600_000, "1 d 02 h"),
    ],
)
def test_durations_use_the_largest_two_units(ms: float, written: str) -> None:
    assert duration(ms).replace("\N{NO-BREAK SPACE}", " ") == written


def test_what_is_unknown_is_an_em_dash_and_never_zero() -> None:
    told = [money(None), tokens(None), duration(None), percent(None), relative_time(None, NOW), exact_time(None)]

    assert told == [UNKNOWN] * 6


@pytest.mark.parametrize(("count", "written"), [(870, "870"), (1900, "1.9k"), (999_960, "1.0M"), (2_400_000, "2.4M")])
def test_tokens_are_rounded_from_a_thousand_on(count: int, written: str) -> None:
    assert tokens(count) == written


@pytest.mark.parametrize(("share", "written"), [(1, "100 %"), (0, "0 %"), (0.9345, "93.5 %"), (0.9999, "100.0 %")])
def test_shares_have_one_decimal_unless_exact(share: float, written: str) -> None:
    assert percent(share).replace("\N{NO-BREAK SPACE}", " ") == written


@pytest.mark.parametrize(
    ("ago", "written"),
    [
        (timedelta(seconds=2), "just now"),
        (timedelta(minutes=5), "5 min ago"),
        (timedelta(hours=-7), "in 7 h"),
        (timedelta(days=3, hours=2), "3 d ago"),
        (timedelta(days=45), "15 Jan 2026"),
    ],
)
def test_times_are_told_from_now(ago: timedelta, written: str) -> None:
    assert relative_time(NOW - ago, NOW).replace("\N{NO-BREAK SPACE}", " ") == written


def test_exact_times_are_utc() -> None:
    assert exact_time(datetime.fromisoformat("2026-03-01T15:05:09+01:00")) == "2026-03-01 14:05:09 UTC"


def test_short_ids_come_from_the_tail_because_uuid7_heads_are_alike() -> None:
    assert short_id("0195a000-0000-7000-8000-00000000abcd") == "0000abcd"


@given(st.text(max_size=60))
def test_plain_text_leaves_no_character_that_markdown_reads(text: str) -> None:
    escaped = plain(text)
    bare = [char for index, char in enumerate(escaped) if char in "`*_[]()<>#!|~$:" and escaped[index - 1] != "\\"]

    assert bare == []
    assert "\n" not in escaped
