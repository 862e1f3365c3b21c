import io
import json
import logging

import pytest

from platform_api.security.credentials import make_api_key, make_token
from platform_api.structured_logging import AccessLog, JsonFormatter, bind, redacted, replace_context

JWT = "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.c2lnbmF0dXJl"


def entry(message: str, **fields: object) -> dict[str, object]:
    record = logging.LogRecord("x", logging.INFO, "f", 1, message, None, None)
    vars(record).update(fields)
    return dict(json.loads(JsonFormatter().format(record)))


@pytest.mark.parametrize(
    "secret",
    [
        make_api_key().text,
        make_token("mbr"),
        make_token("mbs"),
        make_token("mbc"),
        JWT,
        "sk-proj-abcdefghijklmnop1234",
        "whsec_abcdefghijklmnop",
        "ann@example.com",
    ],
    ids=["API key", "refresh token", "session", "continuation", "JWT", "provider key", "webhook secret", "address"],
)
def test_a_secret_is_recognised_wherever_it_stands(secret: str) -> None:
    written = json.dumps(
        entry(
            f"got {secret} here",
            note=secret,
            deep={"list": [secret]},
            url=f"https://h/?x={secret}",
            err=ValueError(secret),
        )
    )

    assert secret not in written
    assert "[redacted]" in written


@pytest.mark.parametrize("name", ["password", "api_key", "refresh_token", "Authorization", "client_secret", "key"])
def test_what_stands_under_a_secret_name_is_hidden(name: str) -> None:
    assert redacted({"deep": {name: "plain word"}}) == {"deep": {name: "[redacted]"}}


def test_the_password_of_a_url_is_hidden() -> None:
    assert redacted("postgresql://ann:hunter2@db/x") == "postgresql://[redacted]@db/x"


def test_an_exception_is_written_without_its_secrets() -> None:
    error = RuntimeError(f"refused {JWT}")
    record = logging.LogRecord("x", logging.ERROR, "f", 1, "failed", None, (RuntimeError, error, None))

    text = JsonFormatter().format(record)

    assert JWT not in text
    assert "RuntimeError" in text


def test_an_entry_is_one_line_whatever_is_in_it() -> None:
    record = logging.LogRecord("x", logging.INFO, "f", 1, 'a\nb\r{"level":"FAKE"}\x1b[31m', None, None)

    text = JsonFormatter().format(record)

    assert "\n" not in text
    assert "\x1b" not in text
    assert json.loads(text)["level"] == "INFO"


def test_every_entry_names_the_request_and_what_was_bound() -> None:
    replace_context({"request_id": "r1"})
    bind(org_id="o1", key_id=None)

    assert {"request_id": "r1", "org_id": "o1"}.items() <= entry("x").items()
    bind(org_id=None)
    assert "org_id" not in entry("x")


async def test_lines_of_the_access_log_are_written_together_and_at_the_end() -> None:
    stream = io.StringIO()
    log = AccessLog(stream)
    replace_context({"request_id": "r1"})
    log.write("request", {"route": "/v1/models", "status": 200})
    log.write("request", {"route": "/v1/models", "status": 404})

    assert stream.getvalue() == ""
    log.flush()

    entries = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [entry["status"] for entry in entries] == [200, 404]
    assert (entries[0]["event"], entries[0]["level"], entries[0]["request_id"]) == ("request", "INFO", "r1")
