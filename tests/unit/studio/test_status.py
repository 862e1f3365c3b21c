import tomllib
from pathlib import Path

import pytest

import studio
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


def test_badges_are_readable_on_their_tinted_ground() -> None:
    config = tomllib.loads((Path(studio.__path__[0]) / ".streamlit" / "config.toml").read_text(encoding="utf-8"))
    for scheme, page, tint in (("light", LIGHT_PAGE, 0.12), ("dark", DARK_PAGE, 0.2)):
        theme = config["theme"][scheme]
        for name in ("green", "blue", "yellow", "orange", "red", "gray"):
            ground = mixed(theme[f"{name}Color"], page, tint)
            assert contrast(theme[f"{name}TextColor"], ground) >= 4.5, (scheme, name)


def mixed(color: str, page: str, share: float) -> str:
    pairs = [(int(color[index : index + 2], 16), int(page[index : index + 2], 16)) for index in (1, 3, 5)]
    return "#" + "".join(f"{round(over * share + under * (1 - share)):02x}" for over, under in pairs)
