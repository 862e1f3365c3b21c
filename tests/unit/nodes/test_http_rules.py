from datetime import UTC, datetime

import pytest

from bridge.errors import ErrorClass
from nodes.http_rules import Expected, error_class, is_expected, refused_headers, retry_after_s, status_error

NOW = datetime(2025, 1, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, "invalid_request"), (401, "auth"), (403, "auth"), (404, "invalid_request"), (408, "timeout"),
     (422, "invalid_request"), (429, "rate_limit"),
     (500, "unavailable"), (503, "unavailable"), (599, "unavailable"), (304, "invalid_request")],
)  # fmt: skip
def test_a_status_means_a_class(status: int, kind: ErrorClass) -> None:
    assert error_class(status) == kind


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("7", 7.0),
        (" 0 ", 0.0),
        ("Wed, 01 Jan 2025 12:00:30 GMT", 30.0),
        ("Wed, 01 Jan 2025 11:00:00 GMT", 0.0),
        ("soon", None),
        ("-5", None),
        ("99999999999999999999", 86_400.0),
    ],
)
def test_retry_after_is_read_as_seconds_or_date(header: str | None, seconds: float | None) -> None:
    assert retry_after_s(header, NOW) == seconds


def test_an_unexpected_status_carries_class_wait_and_the_beginning_of_the_answer() -> None:
    error = status_error(429, "api.example/x", "slow\n down " + "x" * 500, "12")

    assert (error.error_class, error.retry_after_s) == ("rate_limit", 12.0)
    assert str(error).startswith("http: api.example/x answered 429: slow down xxx")
    assert len(str(error)) < 250


@pytest.mark.parametrize(
    ("status", "expected", "is_met"),
    [
        (204, "2xx", True),
        (301, "2xx", False),
        (404, [200, 404], True),
        (404, ["2xx", "4xx"], True),
        (200, 201, False),
        (200, "200", True),
    ],
)
def test_expected_statuses_are_numbers_or_classes(
    status: int, expected: Expected | list[Expected], is_met: bool
) -> None:
    assert is_expected(status, expected) is is_met


@pytest.mark.parametrize(
    "headers",
    [{"Host": "a"}, {"content-length": "1"}, {"Transfer-Encoding": "chunked"}, {"Proxy-Authorization": "x"},
     {"a b": "c"}, {"": "c"}, {"x": "a\r\nevil: 1"}, {"x": "a\x00"}, {"x": "ümlaut"}],
)  # fmt: skip
def test_headers_that_break_or_redirect_the_request_are_refused(headers: dict[str, str]) -> None:
    assert refused_headers(headers)


def test_ordinary_headers_pass() -> None:
    assert refused_headers({"Authorization": "Bearer x", "X-Api-Key": "k", "Cookie": "a=b; c=d"}) is None
