import asyncio
from typing import Any

import pytest

from bridge.attempt import AttemptLimits, AttemptStream
from bridge.chat import StreamChunk, Usage
from bridge.clock import FrozenClock, SystemClock
from bridge.errors import (
    AttemptTimeoutError,
    ConfigurationError,
    ContentFilterError,
    MalformedReplyError,
    ProviderError,
    RateLimitedError,
    UnavailableError,
)
from bridge.providers.mock import MockTransport
from bridge.streaming import MAX_EVENT_BYTES, fold
from tests.support.wire import START, ScriptedTransport, asking, deployment, runner_over

TARGET = deployment()
TEXT = "one two three four"


def streaming(limits: AttemptLimits | None = None, **options: Any) -> AttemptStream:
    clock = FrozenClock(START)
    mock = MockTransport({"replies": [{"text": TEXT}], **options}, clock=clock)
    return runner_over(mock, clock).stream(asking(), TARGET, limits or AttemptLimits())


def failing(**fault: Any) -> AttemptStream:
    return streaming(faults=[fault])


def replying(*pieces: bytes, status: int = 200, content_type: str = "text/event-stream") -> AttemptStream:
    transport = ScriptedTransport(*pieces, status=status, content_type=content_type)
    return runner_over(transport, FrozenClock(START)).stream(asking(), TARGET, AttemptLimits())


async def drained(stream: AttemptStream) -> tuple[list[StreamChunk], ProviderError | None]:
    chunks: list[StreamChunk] = []
    try:
        async for chunk in stream:
            chunks.append(chunk)  # what came before the error is wanted
    except ProviderError as error:
        return chunks, error
    return chunks, None


def event(text: str) -> bytes:
    return b"data: " + text.encode() + b"\n\n"


HELLO = event('{"choices": [{"delta": {"content": "Hello"}}]}')
STOP = event('{"choices": [{"delta": {}, "finish_reason": "stop"}]}')


async def test_the_first_item_has_content_and_the_last_one_the_usage() -> None:
    stream = streaming()
    chunks, error = await drained(stream)

    assert error is None
    assert chunks[0].text == "one "
    assert fold(chunks).text == TEXT
    assert [chunk.usage is not None for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    assert stream.record is not None
    assert stream.record.outcome == "succeeded"
    assert stream.record.usage == chunks[-1].usage


async def test_nothing_is_sent_before_the_first_item_is_asked_for() -> None:
    stream = streaming()
    await stream.aclose()

    assert stream.record is None
    assert await drained(stream) == ([], None)


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ({"kind": "rate_limit"}, RateLimitedError),
        ({"kind": "reset"}, UnavailableError),
        ({"kind": "hang"}, AttemptTimeoutError),
        ({"kind": "slow_first_token", "seconds": 20}, AttemptTimeoutError),
        ({"kind": "cut"}, UnavailableError),
        ({"kind": "malformed"}, MalformedReplyError),
    ],
)
async def test_what_fails_before_content_shows_nothing(fault: dict[str, Any], kind: type[ProviderError]) -> None:
    stream = failing(**fault)
    chunks, error = await drained(stream)

    assert chunks == []
    assert error is not None
    assert type(error) is kind
    assert stream.record is not None
    assert error.record is stream.record


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ({"kind": "cut", "after_chunks": 2}, UnavailableError),
        ({"kind": "stall", "after_chunks": 2, "seconds": 60}, AttemptTimeoutError),
        ({"kind": "stall", "after_chunks": 2, "seconds": 1}, MalformedReplyError),
        ({"kind": "broken_chunk", "after_chunks": 2}, MalformedReplyError),
        ({"kind": "no_finish"}, MalformedReplyError),
    ],
)
async def test_an_answer_that_breaks_off_never_looks_finished(fault: dict[str, Any], kind: type[ProviderError]) -> None:
    stream = failing(**fault)
    chunks, error = await drained(stream)

    assert chunks
    assert type(error) is kind
    assert all(chunk.finish_reason is None and chunk.usage is None for chunk in chunks[:2])
    assert stream.record is not None
    assert stream.record.is_estimated is (fault["kind"] != "no_finish")


async def test_the_end_mark_may_be_missing() -> None:
    chunks, error = await drained(failing(kind="no_done"))

    assert error is None
    assert fold(chunks).finish_reason == "stop"


async def test_a_slow_first_token_within_the_limit_is_fine() -> None:
    stream = failing(kind="slow_first_token", seconds=5)
    await drained(stream)

    assert stream.record is not None
    assert stream.record.ttft_ms == 5_000


async def test_a_caller_who_leaves_pays_for_what_was_produced() -> None:
    stream = streaming()
    await anext(stream)
    await anext(stream)
    await stream.aclose()

    assert stream.record is not None
    assert stream.record.outcome == "cancelled"
    assert stream.record.usage is not None
    assert stream.record.usage.output_tokens == 2


async def test_a_cancelled_task_closes_the_stream() -> None:
    transport = MockTransport({"faults": [{"kind": "hang"}]})
    stream = runner_over(transport, SystemClock()).stream(asking(), TARGET, AttemptLimits())
    task = asyncio.create_task(drained(stream))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert stream.record is not None
    assert stream.record.outcome == "cancelled"


async def test_an_error_after_the_finish_reason_no_longer_matters() -> None:
    chunks, error = await drained(replying(HELLO, STOP, event('{"error": {"code": 400, "message": "limit"}}')))

    assert error is None
    assert fold(chunks).text == "Hello"


async def test_a_finish_reason_that_is_repeated_is_shown_once() -> None:
    chunks, _ = await drained(replying(HELLO, STOP, STOP, event("[DONE]")))

    assert [chunk.finish_reason for chunk in chunks if chunk.finish_reason] == ["stop"]


async def test_usage_that_comes_with_every_event_is_shown_once() -> None:
    counted = '{"choices": [{"delta": {"content": "x"}}], "usage": {"prompt_tokens": 2, "completion_tokens": %d}}'
    chunks, _ = await drained(replying(event(counted % 1), event(counted % 2), STOP))

    assert [chunk.usage for chunk in chunks if chunk.usage] == [Usage(2, 2)]


async def test_an_empty_answer_that_ended_is_an_answer() -> None:
    chunks, error = await drained(replying(STOP))

    assert error is None
    assert fold(chunks).finish_reason == "stop"


async def test_a_filter_that_leaves_nothing_is_a_failure() -> None:
    _, error = await drained(replying(event('{"choices": [{"delta": {}, "finish_reason": "content_filter"}]}')))

    assert type(error) is ContentFilterError


async def test_a_whole_reply_to_a_stream_request_is_streamed() -> None:
    body = b'{"choices": [{"message": {"content": "Hello"}, "finish_reason": "stop"}]}'
    chunks, error = await drained(replying(body, content_type="application/json"))

    assert error is None
    assert fold(chunks).text == "Hello"


async def test_newline_delimited_json_is_streamed() -> None:
    first, last = (piece.removeprefix(b"data: ").rstrip() + b"\n" for piece in (HELLO, STOP))
    chunks, error = await drained(replying(first, last, content_type="application/x-ndjson"))

    assert error is None
    assert fold(chunks).text == "Hello"


async def test_a_refusal_is_read_from_the_body() -> None:
    _, error = await drained(replying(b'{"error": {"message": "why"}}', status=503, content_type="application/json"))

    assert type(error) is UnavailableError
    assert "why" in str(error)


async def test_keep_alive_comments_do_not_count_as_content() -> None:
    transport = ScriptedTransport(*[b": PROCESSING\n\n"] * 10_000, pause_s=0.02)
    stream = runner_over(transport, SystemClock()).stream(asking(), TARGET, AttemptLimits(ttft_s=0.1))
    _, error = await drained(stream)

    assert type(error) is AttemptTimeoutError
    assert "no content within 0.1 s" in str(error)


async def test_a_fault_of_our_own_reading_code_fails_this_attempt_only() -> None:
    stream = runner_over(ScriptedTransport(HELLO, fault=KeyError("bug")), FrozenClock(START)).stream(
        asking(), TARGET, AttemptLimits()
    )
    _, error = await drained(stream)

    assert type(error) is MalformedReplyError
    assert stream.record is not None
    assert stream.record.outcome == "failed"


async def test_what_is_wrong_with_the_configuration_is_not_taken_for_the_providers_fault() -> None:
    transport = ScriptedTransport(HELLO, fault=ConfigurationError("base_url"))
    stream = runner_over(transport, FrozenClock(START)).stream(asking(), TARGET, AttemptLimits())
    with pytest.raises(ConfigurationError):
        await anext(stream)

    assert [chunk async for chunk in stream] == []


async def test_an_event_without_end_is_malformed() -> None:
    _, error = await drained(replying(b"data: " + b"x" * (MAX_EVENT_BYTES + 1)))

    assert type(error) is MalformedReplyError
