import pytest

from studio.status import ACTIVE_RUN, FINAL_RUN, STATUSES, is_active, style

LIGHT_PAGE, DARK_PAGE = "#ffffff", "#0b0f17"


def luminance(color: str) -> float:
    parts = [int(color[index : index + 2], 16) / 255 for index in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("status", STATUSES)
def test_every_status_is_readable_on_both_pages(status: str) -> None:
    tone = style(status).tone

    assert contrast(tone.light, LIGHT_PAGE) >= 4.5
    assert contrast(tone.dark, DARK_PAGE) >= 4.5


def test_every_status_has_a_word_and_an_icon_besides_its_colour() -> None:
    assert all(look.word and look.icon for look in STATUSES.values())


def test_an_unknown_status_is_shown_by_its_name() -> None:
    assert style("timed_out").word == "Timed out"


def test_a_run_is_either_active_or_final() -> None:
    assert all(is_active(status) for status in ACTIVE_RUN)
    assert not any(is_active(status) for status in FINAL_RUN)
