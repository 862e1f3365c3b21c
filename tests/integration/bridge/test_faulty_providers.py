"""What providers and networks really do, over real sockets: every outcome is bounded, typed and on record."""

import gzip
import time
import zlib
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bridge.clock import SystemClock
from bridge.errors import (
    AttemptTimeoutError,
    BridgeError,
    DeadlineExceededError,
    MalformedReplyError,
    NotReachedError,
    NotServedError,
    ProviderError,
    RateLimitedError,
    StreamInterruptedError,
    UnavailableError,
)
from bridge.providers.mock_dialects import MOCK_DIALECTS
from tests.support.certificates import certificate
from tests.support.raw_provider import (
    QUICK,
    WORDS,
    Asker,
    Outcome,
    Script,
    completion,
    event,
    healthy,
    raw_server,
    reply,
    stream_head,
)

pytestmark = pytest.mark.peer

DIALECTS = sorted(MOCK_DIALECTS)
HTML = b"<html><body><h1>502 Bad Gateway</h1>nginx</body></html>"
OVERLOADED = b'{"error": {"message": "overloaded", "type": "server_error", "code": 503}}'
BAD_GZIP = reply(b"\x1f\x8b\x08\x00 this is no gzip", content_encoding="gzip")
SHORT_GZIP = reply(gzip.compress(completion({"content": WORDS}) * 50)[:40], content_encoding="gzip")

IN_ANY_DIALECT: dict[str, tuple[Script, type[BridgeError]]] = {
    "malformed JSON": ((reply(b'{"choices": [{"message": {"content": "All is'),), MalformedReplyError),
    "JSON, but a list": ((reply(b"[1, 2]"),), MalformedReplyError),
    "JSON, but null": ((reply(b"null"),), MalformedReplyError),
    "JSON nested beyond reason": ((reply(b"[" * 200_000),), MalformedReplyError),
    "JSON of another API": ((reply(b'{"status": "ok"}'),), MalformedReplyError),
    "an empty 200": ((reply(b""),), MalformedReplyError),
    "bytes that are no text": ((reply(bytes(range(128, 256)) * 8),), MalformedReplyError),
    "an HTML page with 200": ((reply(HTML, "text/html"),), MalformedReplyError),
    "an HTML page with 502": ((reply(HTML, "text/html", status=502),), UnavailableError),
    "an error inside a 200": ((reply(OVERLOADED),), UnavailableError),
    "gzip that is not gzip": ((BAD_GZIP,), ProviderError),
    "gzip cut short": ((SHORT_GZIP,), ProviderError),
    "an encoding nobody knows": ((reply(b"{}", content_encoding="zstd-2099"),), MalformedReplyError),
    "a body shorter than announced": ((reply(b'{"choices": [', length=500),), ProviderError),
    "a reset in mid-header": ((b"HTTP/1.1 200 OK\r\ncontent-ty", 0.02, "reset"), UnavailableError),
    "an end in mid-header": ((b"HTTP/1.1 200 OK\r\ncontent-ty",), UnavailableError),
    "a reset before any byte": (("reset",), UnavailableError),
    "nothing but an end": ((), UnavailableError),
    "a header without end": ((b"HTTP/1.1 200 OK\r\nx-much: " + b"a" * 200_000,), ProviderError),
    "no HTTP at all": ((b"SSH-2.0-OpenSSH_9.6\r\n\r\n",), MalformedReplyError),
    "a status that is none": ((b"HTTP/1.1 999999 What\r\ncontent-length: 0\r\n\r\n",), ProviderError),
}


def attempts_of(outcome: Outcome) -> list[tuple[str, str]]:
    return [(attempt.provider, attempt.outcome) for attempt in outcome.record.attempts]


async def asked(script: Script, *, stream: bool = False, dialect: str = "openai", **facts: Any) -> Outcome:
    """The outcome of a call to one provider that plays the script."""
    async with raw_server(script) as port:
        return await Asker([f"http://127.0.0.1:{port}"], dialect, **facts).ask(stream=stream)


def assert_failed(outcome: Outcome, kind: type[BridgeError]) -> None:
    """One failed attempt, on record with its class, its cost and nothing secret."""
    assert isinstance(outcome.error, kind), outcome
    assert outcome.record.status == "failed"
    (attempt,) = outcome.record.attempts
    assert attempt.outcome == "failed"
    assert attempt.error_class is not None
    assert attempt.cost_nano_usd is not None
    assert attempt.duration_ms >= 0
    assert "k-secret" not in f"{outcome.error}{attempt.error_message}"


@pytest.mark.parametrize("fault", IN_ANY_DIALECT)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("dialect", DIALECTS)
async def test_a_fault_of_a_reply_is_one_typed_error_on_record(dialect: str, stream: bool, fault: str) -> None:
    script, kind = IN_ANY_DIALECT[fault]

    assert_failed(await asked(script, stream=stream, dialect=dialect), kind)


@pytest.mark.parametrize("fault", IN_ANY_DIALECT)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_a_fault_of_a_reply_is_survived_where_there_is_another_provider(stream: bool, fault: str) -> None:
    script, _ = IN_ANY_DIALECT[fault]
    async with raw_server(script) as first, raw_server(healthy("openai", stream=stream)) as second:
        outcome = await Asker([f"http://127.0.0.1:{port}" for port in (first, second)]).ask(stream=stream)

    assert outcome.text == WORDS
    assert attempts_of(outcome) == [("p0", "failed"), ("p1", "succeeded")]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("dialect", DIALECTS)
async def test_health_is_told_from_faults(dialect: str, stream: bool) -> None:
    outcome = await asked(healthy(dialect, stream=stream), stream=stream, dialect=dialect)

    assert (outcome.error, outcome.text) == (None, WORDS)
    assert attempts_of(outcome) == [("p0", "succeeded")]


@pytest.mark.parametrize("content_type", ["text/plain", "application/octet-stream", "text/html; charset=x", ""])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_a_wrong_content_type_hides_no_answer(stream: bool, content_type: str) -> None:
    events = event({"content": WORDS}) + event({}, "stop")
    script = (stream_head(content_type), events) if stream else (reply(completion({"content": WORDS}), content_type),)

    outcome = await asked(script, stream=stream)

    assert (outcome.error, outcome.text) == (None, WORDS)


async def test_a_whole_answer_to_a_request_for_a_stream_is_streamed() -> None:
    outcome = await asked((reply(completion({"content": WORDS})),), stream=True)

    assert (outcome.error, outcome.text) == (None, WORDS)


@pytest.mark.parametrize("compressed", [gzip.compress, zlib.compress], ids=["gzip", "deflate"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_a_compressed_answer_is_read_asked_for_or_not(stream: bool, compressed: Any) -> None:
    name = "gzip" if compressed is gzip.compress else "deflate"
    body = event({"content": WORDS}) + event({}, "stop") if stream else completion({"content": WORDS})
    head = "text/event-stream" if stream else "application/json"

    outcome = await asked((reply(compressed(body), head, content_encoding=name),), stream=stream)

    assert (outcome.error, outcome.text) == (None, WORDS)


async def test_a_compressed_stream_that_is_cut_is_no_answer() -> None:
    body = gzip.compress(b"".join(event({"content": f"w{n} "}) for n in range(200)))[:300]

    outcome = await asked((stream_head(content_encoding="gzip"), body), stream=True)

    assert isinstance(outcome.error, StreamInterruptedError | ProviderError)
    assert attempts_of(outcome) == [("p0", "failed")]


async def test_utf_8_may_be_cut_at_every_byte() -> None:
    words = "é漢字😀 fin"
    body = event({"content": words}) + event({}, "stop")
    pieces: list[bytes | float] = [stream_head()]
    for position in range(len(body)):
        pieces += [body[position : position + 1], 0.0005]

    outcome = await asked(pieces, stream=True)

    assert (outcome.error, outcome.text) == (None, words)


async def test_crlf_comments_and_fields_nobody_knows_are_no_content() -> None:
    lines = event({"content": WORDS}) + event({}, "stop") + b"data: [DONE]\n\n"
    noisy = b": OPENROUTER PROCESSING\n\nretry: 3000\n\nid: 7\n\nevent: \n\n: \n\n" + lines.replace(b"data: ", b"data:")

    outcome = await asked((b"".join((stream_head(), noisy.replace(b"\n", b"\r\n"))),), stream=True)

    assert (outcome.error, outcome.text) == (None, WORDS)


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_a_stream_without_finish_reason_is_never_a_finished_answer(dialect: str) -> None:
    head, *events = healthy(dialect, stream=True)
    wire = MOCK_DIALECTS[dialect]

    outcome = await asked((head, *events[: wire.preamble + 2]), stream=True, dialect=dialect)

    assert_failed(outcome, StreamInterruptedError)
    assert WORDS.startswith(outcome.text)
    assert outcome.text


@pytest.mark.parametrize(
    ("usage", "is_estimated"),
    [
        (None, True),
        ({}, True),
        ({"prompt_tokens": -5, "completion_tokens": 2}, True),
        ({"prompt_tokens": 5, "completion_tokens": 10**12}, True),
        ({"prompt_tokens": 10**40, "completion_tokens": 3}, True),
        ({"prompt_tokens": "many", "completion_tokens": None}, True),
        ([1, 2], True),
        ("usage", True),
        ({"prompt_tokens": 5, "completion_tokens": 3}, False),
    ],
    ids=lambda value: str(value)[:40],
)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_usage_that_is_missing_or_absurd_is_replaced_and_flagged(
    stream: bool, usage: Any, is_estimated: bool
) -> None:
    body = completion({"content": WORDS}, usage=usage)
    script: Script = (reply(body),)
    if stream:
        script = (stream_head(), event({"content": WORDS}), event({}, "stop", usage=usage), b"data: [DONE]\n\n")

    outcome = await asked(script, stream=stream)

    assert (outcome.error, outcome.text) == (None, WORDS)
    (attempt,) = outcome.record.attempts
    assert attempt.usage is not None
    assert attempt.is_estimated is is_estimated
    assert 0 < attempt.usage.input_tokens <= 8_000
    assert 0 < attempt.usage.output_tokens <= 4_000
    assert attempt.cost_nano_usd


@pytest.mark.parametrize("arguments", ['{"city": "Par', "Paris", "", "{'city': 'Paris'}"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_tool_arguments_that_are_no_json_arrive_as_the_model_wrote_them(stream: bool, arguments: str) -> None:
    call = {"index": 0, "id": "c1", "type": "function", "function": {"name": "go", "arguments": arguments}}
    script: Script = (reply(completion({"content": None, "tool_calls": [call]}, "tool_calls")),)
    if stream:
        script = (stream_head(), event({"tool_calls": [call]}), event({}, "tool_calls"))

    outcome = await asked(script, stream=stream)

    assert outcome.answer is not None
    assert [(one.name, one.arguments) for one in outcome.answer.tool_calls] == [("go", arguments)]
    assert outcome.answer.finish_reason == "tool_calls"


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (OVERLOADED, UnavailableError),
        (b'{"error": {"message": "slow down", "code": 429}}', RateLimitedError),
        (b'{"error": {"message": "no such model", "code": 404}}', NotServedError),
        (b'{"error": "something broke"}', UnavailableError),
    ],
)
@pytest.mark.parametrize("place", ["whole", "first event"])
async def test_an_error_inside_a_200_has_the_class_of_its_code(
    place: str, body: bytes, kind: type[BridgeError]
) -> None:
    script = (reply(body),) if place == "whole" else (stream_head(), b"data: " + body + b"\n\n")

    assert_failed(await asked(script, stream=place != "whole"), kind)


async def test_an_error_in_mid_stream_interrupts_the_answer() -> None:
    outcome = await asked((stream_head(), event({"content": "All "}), b"data: " + OVERLOADED + b"\n\n"), stream=True)

    assert_failed(outcome, StreamInterruptedError)
    assert outcome.text == "All "
    assert "overloaded" in str(outcome.error)


async def test_a_broken_chunk_of_the_body_interrupts_the_answer() -> None:
    chunked = stream_head(transfer_encoding="chunked")
    first = event({"content": "All "})

    outcome = await asked((chunked, b"%x\r\n%s\r\n" % (len(first), first), 0.02, b"zz\r\nwhat?\r\n"), stream=True)

    assert_failed(outcome, StreamInterruptedError)
    assert outcome.text == "All "


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_an_unknown_host_is_never_billed(stream: bool) -> None:
    outcome = await Asker(["http://no-such-host.invalid"]).ask(stream=stream)

    assert_failed(outcome, NotReachedError)
    assert outcome.record.cost_nano_usd == 0


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_tls_to_a_plain_port_fails_before_anything_is_sent(stream: bool) -> None:
    async with raw_server(healthy("openai", stream=stream)) as port:
        outcome = await Asker([f"https://localhost:{port}"]).ask(stream=stream)

    assert_failed(outcome, NotReachedError)
    assert outcome.record.cost_nano_usd == 0


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_tls_that_is_never_answered_ends_in_time(stream: bool) -> None:
    async with raw_server((4.0,)) as port:
        outcome = await Asker([f"https://localhost:{port}"]).ask(stream=stream)

    assert_failed(outcome, UnavailableError)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_a_certificate_that_nobody_vouches_for_is_refused(stream: bool, tmp_path: Path) -> None:
    _, tls = certificate(tmp_path, "localhost")
    async with raw_server(healthy("openai", stream=stream), tls) as port:
        outcome = await Asker([f"https://localhost:{port}"]).ask(stream=stream)

    assert_failed(outcome, NotReachedError)
    assert outcome.record.cost_nano_usd == 0


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_a_network_of_faults_ends_at_the_one_that_works(stream: bool, tmp_path: Path) -> None:
    _, tls = certificate(tmp_path, "localhost")
    good = healthy("openai", stream=stream)
    async with AsyncExitStack() as servers:
        plain, unvouched, silent = [
            await servers.enter_async_context(server)
            for server in (raw_server(good), raw_server(good, tls), raw_server(("reset",)))
        ]
        urls = [
            "http://no-such-host.invalid",
            f"https://localhost:{plain}",
            f"https://localhost:{unvouched}",
            f"http://127.0.0.1:{silent}",
            f"http://127.0.0.1:{plain}",
        ]
        outcome = await Asker(urls).ask(stream=stream)

    assert outcome.text == WORDS
    assert attempts_of(outcome) == [*((f"p{n}", "failed") for n in range(4)), ("p4", "succeeded")]


class LeapingClock(SystemClock):
    """A wall clock that is set forward and back, an hour and more at every look."""

    def __init__(self) -> None:
        self._looks = 0

    def now(self) -> datetime:
        self._looks += 1
        hours = self._looks if self._looks % 2 else -self._looks
        return datetime.now(UTC) + timedelta(hours=hours)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_a_clock_that_leaps_ends_no_call_early(stream: bool) -> None:
    outcome = await asked(healthy("openai", stream=stream), stream=stream, clock=LeapingClock())

    assert (outcome.error, outcome.text) == (None, WORDS)
    assert 0 <= outcome.record.attempts[0].duration_ms < 3_000


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_a_clock_that_leaps_holds_no_call_longer(stream: bool) -> None:
    silent: Script = (4.0,)
    sections = {**QUICK, "retry": {"max_per_target": 2, "deadline_s": 0.8}}
    began = time.monotonic()

    outcome = await asked(silent, stream=stream, clock=LeapingClock(), sections=sections)

    assert 0.5 < time.monotonic() - began < 2.5
    assert isinstance(outcome.error, AttemptTimeoutError | DeadlineExceededError)
    assert attempts_of(outcome) == [("p0", "failed")]


async def test_a_stall_in_mid_stream_is_noticed_whatever_the_clock_says() -> None:
    began = time.monotonic()

    outcome = await asked((stream_head(), event({"content": "All "}), 4.0), stream=True, clock=LeapingClock())

    assert time.monotonic() - began < 2.5
    assert_failed(outcome, StreamInterruptedError)
    assert outcome.text == "All "
