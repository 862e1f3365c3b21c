import pytest

from flows.schedules import cron_problem


@pytest.mark.parametrize(
    "cron", ["0 7 * * 1-5", "*/15 * * * *", "0 0 1,15 jan-mar *", "5 4 * * sun", "0 0-6/2 * * 7", "59 23 31 12 0"]
)
def test_a_cron_of_five_right_fields_is_accepted(cron: str) -> None:
    assert cron_problem(cron) is None


@pytest.mark.parametrize(
    ("cron", "fragment"),
    [
        ("0 7 * *", "5 fields"),
        ("60 * * * *", "minute (0 to 59)"),
        ("0 24 * * *", "hour"),
        ("0 0 0 * *", "day of month"),
        ("0 0 * 13 *", "month"),
        ("0 0 * * 8", "day of week"),
        ("0 0 * * mon-", "no day of week"),
        ("*/0 * * * *", "step of 0"),
        ("5-1 * * * *", "backwards"),
        ("@daily", "5 fields"),
        ("a b c d e", "`a` is no minute"),
    ],
)
def test_a_wrong_cron_says_which_field(cron: str, fragment: str) -> None:
    assert fragment in (cron_problem(cron) or "")
