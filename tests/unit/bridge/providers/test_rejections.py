import json
from typing import Any

import pytest

from bridge.errors import (
    ContentFilterError,
    ContextLengthError,
    CredentialError,
    MalformedReplyError,
    NotServedError,
    ProviderError,
    RateLimitedError,
    RejectedError,
    UnavailableError,
    UnsupportedHereError,
)
from bridge.providers.rejections import MAX_MESSAGE_CHARS, decoded_reply, in_band_error, masked, retry_after_s, to_error
from tests.support.wire import deployment

TARGET = deployment()


def error(status: int, body: object = None, **headers: str) -> ProviderError:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return to_error(status, {name.replace("_", "-"): value for name, value in headers.items()}, raw, TARGET)


def openai(code: str | None = None, message: str = "no") -> dict[str, Any]:
    return {"error": {"message": message, "type": "t", "code": code}}


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, openai(), RejectedError),
        (400, openai("context_length_exceeded"), ContextLengthError),
        (400, openai(message="This model's maximum context length is 8192 tokens"), ContextLengthError),
        (400, openai(message="prompt too long; exceeded max context length by 5 tokens"), ContextLengthError),
        (400, {"error": {"code": 400, "type": "exceed_context_size_error", "message": "x"}}, ContextLengthError),
        (413, openai(message="Request too large"), ContextLengthError),
        (400, openai("content_policy_violation"), ContentFilterError),
        (400, openai("content_filter"), ContentFilterError),
        (403, openai(message="requires moderation and your input was flagged for violence"), ContentFilterError),
        (400, openai(message="API key not valid. Please pass a valid API key."), CredentialError),
        (401, openai(), CredentialError),
        (402, openai(), CredentialError),
        (403, openai(), CredentialError),
        (404, openai("model_not_found"), NotServedError),
        (400, openai("model_decommissioned"), NotServedError),
        (400, openai("unsupported_value"), UnsupportedHereError),
        (404, b"<html>not here</html>", NotServedError),
        (301, b"", NotServedError),
        (408, openai(), UnavailableError),
        (422, {"detail": [{"msg": "field required"}]}, RejectedError),
        (429, openai(), RateLimitedError),
        (429, openai("insufficient_quota"), CredentialError),
        (400, openai("tool_use_failed"), MalformedReplyError),
        (500, openai(), UnavailableError),
        (503, b"upstream connect error", UnavailableError),
        (529, openai(), UnavailableError),
    ],
)
def test_a_refusal_becomes_the_error_that_tells_what_to_do(
    status: int, body: object, kind: type[ProviderError]
) -> None:
    found = error(status, body)

    assert type(found) is kind
    assert found.status == status
    assert found.deployment == "acme/m"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"error": {"message": "why"}}, "why"),
        ({"error": "why"}, "why"),
        ({"detail": "why"}, "why"),
        ({"detail": [{"msg": "why"}]}, "why"),
        ({"object": "error", "message": "why"}, "why"),
        ([{"error": {"message": "why"}}], "why"),
        ({"error": {"message": "Provider returned error", "metadata": {"raw": "why"}}}, "why"),
        (b"why", "why"),
        (b"<html>no</html>", "no reason given"),
        (b"", "no reason given"),
        ([], "no reason given"),
    ],
)
def test_the_reason_is_found_in_every_shape(body: object, said: str) -> None:
    assert str(error(500, body)).endswith(said)


@pytest.mark.parametrize(
    "echo",
    [
        "Incorrect API key provided: secret-key-1234.",
        "Incorrect API key provided: sk-proj-abcdef123456.",
        "Authorization: Bearer abc.def-123456 is invalid",
        "key AIzaSyA1234567890abcdef is invalid",
        "gsk_1234567890abcdef is invalid",
    ],
)
def test_a_key_that_a_provider_echoes_is_masked(echo: str) -> None:
    text = str(error(401, openai(message=echo)))

    for secret in ("secret-key-1234", "sk-proj", "abc.def", "AIza", "gsk_"):
        assert secret not in text
    assert "***" in text


def test_a_long_reason_is_cut_and_control_characters_are_gone() -> None:
    text = masked("a\x1b[31m\n" * 1_000, None)

    assert len(text) == MAX_MESSAGE_CHARS
    assert text.isprintable()


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "2"}, 2.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after": "-3"}, 0.0),
        ({"retry-after": "999999999"}, 86_400.0),
        ({"retry-after-ms": "250", "retry-after": "1"}, 0.25),
        ({"retry-after": "Wed, 25 Nov 2026 12:00:30 GMT", "date": "Wed, 25 Nov 2026 12:00:00 GMT"}, 30.0),
        ({"retry-after": "Wed, 25 Nov 2026 11:00:00 GMT", "date": "Wed, 25 Nov 2026 12:00:00 GMT"}, 0.0),
        ({"retry-after": "Wed, 25 Nov 2026 12:00:30 GMT"}, None),
        ({"retry-after": "soon"}, None),
        ({}, None),
    ],
)
def test_the_pause_is_read_as_seconds_or_as_a_date(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after_s(headers) == seconds


def test_a_rate_limit_carries_its_pause() -> None:
    assert error(429, openai(), retry_after="2").retry_after_s == 2.0


def test_a_code_that_only_repeats_the_status_gives_way_to_the_type() -> None:
    assert error(400, {"error": {"code": 400, "type": "too_many_prompt_tokens"}}).code == "too_many_prompt_tokens"
    assert error(401, {"error": {"code": "401", "message": "no"}}).code is None
    assert error(400, openai("c")).code == "c"


def test_an_error_in_a_200_reply_has_the_status_it_names() -> None:
    assert type(in_band_error({"code": 429, "message": "slow"}, TARGET)) is RateLimitedError
    assert in_band_error({"message": "gone"}, TARGET).status == 502


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"x"', b"\xff\xfe", b"[" * 100_000])
def test_a_reply_that_is_no_json_object_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedReplyError):
        decoded_reply(body, TARGET)


@pytest.mark.parametrize(
    ("headers", "pause_s"),
    [
        ({"x-ratelimit-reset-requests": "2m59.56s"}, 179.56),
        ({"x-ratelimit-reset-tokens": "120ms"}, 0.12),
        ({"x-ratelimit-reset-requests": "1d2h3m4s"}, 86_400.0),
        ({"x-ratelimit-reset-requests": "6m0s", "x-ratelimit-reset-tokens": "1s"}, 360.0),
        (
            {
                "x-ratelimit-reset-requests": "6m0s",
                "x-ratelimit-remaining-requests": "12",
                "x-ratelimit-reset-tokens": "1.5s",
                "x-ratelimit-remaining-tokens": "0",
            },
            1.5,
        ),
        ({"x-ratelimit-reset": "7"}, 7.0),
        ({"x-ratelimit-reset": "1795521615000", "date": "Tue, 24 Nov 2026 12:00:00 GMT"}, 15.0),
        ({"x-ratelimit-reset": "1795521615", "date": "Tue, 24 Nov 2026 12:00:00 GMT"}, 15.0),
        ({"x-ratelimit-reset": "1795521615"}, None),
        ({"x-ratelimit-reset-requests": "soon"}, None),
        ({"retry-after": "3", "x-ratelimit-reset-requests": "9s"}, 3.0),
    ],
)
def test_a_pause_may_be_told_by_the_rate_limit_headers(headers: dict[str, str], pause_s: float | None) -> None:
    error = to_error(429, headers, b"{}", TARGET)

    assert error.retry_after_s == (None if pause_s is None else pytest.approx(pause_s))
    assert "retry-after" in headers or to_error(503, headers, b"{}", TARGET).retry_after_s is None
