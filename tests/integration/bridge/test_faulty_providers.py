"""What providers really send, byte by byte over a socket: every case ends in time, typed, and with a record."""

import asyncio
import gzip
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest

from bridge.call_record import CallContext, CallRecord
from bridge.chat import ChatRequest, ChatResponse, Message, Tool
from bridge.clock import SystemClock
from bridge.config import BridgeConfig
from bridge.errors import (
    BridgeError,
    MalformedReplyError,
    RateLimitedError,
    StreamInterruptedError,
    UnavailableError,
)
from bridge.gateway import Bridge

pytestmark = pytest.mark.peer

CONTEXT = CallContext(org_id="org")
WHOLE = {
    "model": "m",
    "choices": [{"index": 0, "message": {"content": "héllo"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10},
}
LIMIT_S = 8.0


def head(status: str = "200 OK", kind: str = "application/json", **more: str) -> bytes:
    fields = {"content-type": kind, "connection": "close", **more}
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in fields.items())
    return f"HTTP/1.1 {status}\r\n{lines}\r\n".encode()


def reply(body: bytes, status: str = "200 OK", kind: str = "application/json", **more: str) -> bytes:
    return head(status, kind, content_length=str(len(body)), **more) + body


def whole(**changes: object) -> bytes:
    return reply(json.dumps({**WHOLE, **changes}).encode())


def event(delta: dict[str, object], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return b"data: " + json.dumps({"choices": [choice]}, ensure_ascii=False).encode() + b"\n\n"


@asynccontextmanager
async def provider(*pieces: bytes, pause_s: float = 0.0) -> AsyncGenerator[str]:
    """A server that says these bytes to everybody, whatever it is asked; its address."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(pause_s)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"


def bridge(url: str, clock: SystemClock | None = None) -> Bridge:
    config = {
        "providers": {"acme": {"dialect": "openai", "base_url": url}},
        "models": {"acme/m": {"context_window": 1000, "capabilities": ["chat", "stream", "tools"]}},
        "retry": {"max_per_target": 1, "deadline_s": 5},
    }
    return Bridge(BridgeConfig.parse(config), clock=clock)


async def asked(*pieces: bytes, stream: bool = False, pause_s: float = 0.0) -> tuple[ChatResponse, CallRecord]:
    """The answer and its record, within the limit."""
    request = ChatRequest("acme/m", (Message.of("user", "hi"),), tools=(Tool("weather"),))
    async with provider(*pieces, pause_s=pause_s) as url, asyncio.timeout(LIMIT_S):
        caller = bridge(url)
        try:
            if not stream:
                result = await caller.chat(request, CONTEXT)
            else:
                answer = caller.stream(request, CONTEXT)
                async for _ in answer:
                    pass
                result = answer.result
        finally:
            await caller.aclose()
    return result.response, result.record


async def refused(*pieces: bytes, stream: bool = False) -> BridgeError:
    """The error, with a record of one failed attempt."""
    with pytest.raises(BridgeError) as caught:
        await asked(*pieces, stream=stream)
    record = caught.value.call
    assert isinstance(record, CallRecord)
    assert [attempt.outcome for attempt in record.attempts] == ["failed"]
    return caught.value


SLOW_DOWN = b'{"error": {"message": "slow down", "code": 429}}'
HTML = b"<!doctype html><html><body><h1>Bad gateway</h1></body></html>"
PACKED = gzip.compress(json.dumps(WHOLE).encode())


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("said", "kind"),
    [
        pytest.param(reply(b'{"choices": [{"mess'), MalformedReplyError, id="cut JSON"),
        pytest.param(reply(b"[1, 2]"), MalformedReplyError, id="a list"),
        pytest.param(reply(b"\xff\xfe\x00"), MalformedReplyError, id="no text at all"),
        pytest.param(reply(b"{}"), MalformedReplyError, id="an empty object"),
        pytest.param(reply(HTML, "502 Bad Gateway", "text/html"), UnavailableError, id="an HTML error page"),
        pytest.param(reply(SLOW_DOWN), RateLimitedError, id="200 with an error"),
        pytest.param(b"HTTP/1.1 200 OK\r\ncontent-ty", UnavailableError, id="reset inside the head"),
        pytest.param(b"", UnavailableError, id="nothing at all"),
    ],
)  # fmt: skip
async def test_a_reply_that_is_none_is_a_typed_error(said: bytes, kind: type[BridgeError], stream: bool) -> None:
    error = await refused(said, stream=stream)

    assert isinstance(error, kind)
    assert "<h1>" not in str(error)


async def test_an_html_page_with_status_200_is_malformed() -> None:
    assert isinstance(await refused(reply(HTML, kind="text/html")), MalformedReplyError)
    assert isinstance(await refused(reply(HTML, kind="text/html"), stream=True), MalformedReplyError)


@pytest.mark.parametrize("body", [b"this is no gzip", PACKED[:-12]])
async def test_gzip_that_is_none_or_is_cut_is_no_answer(body: bytes) -> None:
    error = await refused(reply(body, content_encoding="gzip"))

    assert isinstance(error, MalformedReplyError | UnavailableError)


async def test_gzip_and_a_wrong_content_type_are_read_all_the_same() -> None:
    packed, _ = await asked(reply(PACKED, content_encoding="gzip"))
    plain, _ = await asked(reply(json.dumps(WHOLE).encode(), kind="text/plain"))

    assert packed.text == plain.text == "héllo"


async def test_utf8_and_lines_may_be_split_anywhere_between_comments() -> None:
    text = (
        b": OPENROUTER PROCESSING\r\n\r\n"
        + event({"content": "hé"}).replace(b"\n", b"\r\n")
        + b"event: message\r\nid: 7\r\n"
        + event({"content": "llo ✓"}).replace(b"\n", b"\r\n")
        + event({}, "stop")
        + b"data: [DONE]\n\n"
    )
    pieces = [text[n : n + 3] for n in range(0, len(text), 3)]

    answer, record = await asked(head(kind="text/event-stream"), *pieces, stream=True, pause_s=0.0005)

    assert answer.text == "héllo ✓"
    assert record.status == "succeeded"


async def test_a_stream_without_a_finish_reason_is_never_a_success() -> None:
    said = head(kind="text/event-stream") + event({"content": "half an ans"}) + b"data: [DONE]\n\n"

    assert isinstance(await refused(said, stream=True), StreamInterruptedError | MalformedReplyError)


@pytest.mark.parametrize(
    "usage",
    [
        None,
        {},
        "many",
        {"prompt_tokens": -5, "completion_tokens": 3},
        {"prompt_tokens": 10**9, "completion_tokens": 3},
        {"prompt_tokens": 7, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": -1}},
    ],
)
async def test_missing_or_absurd_usage_is_replaced_by_an_estimate_that_says_so(usage: object) -> None:
    answer, record = await asked(whole(usage=usage))

    assert answer.usage is not None
    assert answer.usage.is_estimated
    assert 0 < answer.usage.input_tokens < 100
    assert record.attempts[0].is_estimated


async def test_tool_arguments_that_are_no_json_come_as_they_are() -> None:
    call = {"id": "t", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Os'}}
    choice = {"index": 0, "message": {"content": None, "tool_calls": [call]}, "finish_reason": "tool_calls"}

    answer, _ = await asked(whole(choices=[choice]))

    assert [one.arguments for one in answer.tool_calls] == ['{"city": "Os']


class LeapingClock(SystemClock):
    """A wall clock that leaps a year at every look, back and forth."""

    def __init__(self) -> None:
        self._leaps = 0

    def now(self) -> datetime:
        self._leaps += 1
        return datetime.now(UTC) + timedelta(days=365 * (-1) ** self._leaps)


async def test_leaps_of_the_wall_clock_change_no_deadline_and_no_duration() -> None:
    async with provider(whole()) as url, asyncio.timeout(LIMIT_S):
        caller = bridge(url, LeapingClock())
        result = await caller.chat(ChatRequest("acme/m", (Message.of("user", "hi"),)), CONTEXT)
        await caller.aclose()

    assert result.response.text == "héllo"
    assert 0 <= result.record.attempts[0].duration_ms < 5_000
