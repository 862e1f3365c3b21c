from datetime import UTC, datetime

import pytest

from platform_api.limits.errors import LimitExceededError
from platform_api.limits.headers import anthropic_headers, draft_headers, duration, openai_headers
from platform_api.limits.windows import DAY_S, Room, Verdict, Window

MINUTE = Window("key-requests-minute", "o", "requests", 60)
DAY = Window("org-requests-day", "o", "requests", 1000, DAY_S)
TOKENS = Window("key-tokens-minute", "o", "tokens", 5000)
ROOMS = (Room(MINUTE, 12, 7.9, 58.2), Room(DAY, 10, 4000.0, 80_000.0), Room(TOKENS, 4999, 1.0, 61.0))


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0s"), (0.02, "1s"), (59.5, "1m0s"), (362, "6m2s"), (3723, "1h2m3s")]
)
def test_durations_read_as_openai_writes_them(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_openai_is_told_the_window_with_the_least_left_of_each_unit() -> None:
    told = {name.decode(): value.decode() for name, value in openai_headers(ROOMS)}

    assert told == {
        "x-ratelimit-limit-requests": "1000",
        "x-ratelimit-remaining-requests": "10",
        "x-ratelimit-reset-requests": "22h13m20s",
        "x-ratelimit-limit-tokens": "5000",
        "x-ratelimit-remaining-tokens": "4999",
        "x-ratelimit-reset-tokens": "1m1s",
    }


def test_anthropic_is_told_a_moment() -> None:
    told = {name.decode(): value.decode() for name, value in anthropic_headers(ROOMS)}
    reset = datetime.fromisoformat(told["anthropic-ratelimit-tokens-reset"])

    assert told["anthropic-ratelimit-requests-remaining"] == "10"
    assert told["anthropic-ratelimit-tokens-limit"] == "5000"
    assert 55 < (reset - datetime.now(UTC)).total_seconds() < 65


def test_the_draft_lists_all_policies_and_the_one_that_binds_most() -> None:
    assert draft_headers(ROOMS) == {
        "ratelimit-policy": '"key-requests-minute";q=60;w=60, "org-requests-day";q=1000;w=86400, '
        '"key-tokens-minute";q=5000;w=60;qu="tokens"',
        "ratelimit": '"org-requests-day";r=10;t=4000',
    }
    assert draft_headers(()) == {}


def test_who_is_refused_is_never_told_to_come_back_before_room_does() -> None:
    full = (Room(MINUTE, 0, 6.4, 58.2),)
    error = LimitExceededError(Verdict(full, None, (MINUTE,), 6.4))

    assert (error.headers["retry-after"], error.headers["ratelimit"]) == ("7", '"key-requests-minute";r=0;t=6')
    assert str(error) == "the limit of 60 requests a minute of this key is used up; try again in 7 s"
