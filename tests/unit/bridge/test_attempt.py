import asyncio
import json
from typing import Any

import pytest

from bridge.attempt import AttemptLimits, AttemptRunner, record_of
from bridge.catalog.prices import Prices
from bridge.chat import Usage
from bridge.clock import FrozenClock, SystemClock
from bridge.embedding import EmbeddingRequest
from bridge.errors import (
    AttemptTimeoutError,
    ConfigurationError,
    ContentFilterError,
    MalformedReplyError,
    NotReachedError,
    ProviderError,
    RateLimitedError,
    UnavailableError,
)
from bridge.providers.mock import MockTransport
from bridge.streaming import ChunkFold, chunks_of
from bridge.tokens import TokenEstimator
from tests.support.wire import START, KeptAttempts, ScriptedTransport, asking, deployment, runner_over

TARGET = deployment()
LIMITS = AttemptLimits(total_s=20)


def failing(**fault: Any) -> AttemptRunner:
    clock = FrozenClock(START)
    return runner_over(MockTransport({"faults": [fault]}, clock=clock), clock)


def replying(body: bytes, status: int = 200) -> AttemptRunner:
    return runner_over(ScriptedTransport(body, status=status), FrozenClock(START))


async def test_an_answer_comes_with_its_record() -> None:
    usage = {"input_tokens": 3, "output_tokens": 2}
    mock = MockTransport({"replies": [{"text": "hi", "usage": usage}]}, clock=FrozenClock(START))
    attempted = await runner_over(mock, FrozenClock(START)).complete(asking(), TARGET, LIMITS)

    assert attempted.response.text == "hi"
    assert attempted.record.attempt_id == "attempt-1"
    assert attempted.record.usage == attempted.response.usage == Usage(3, 2)
    assert attempted.record.cost_nano_usd == 3 * 1_000 + 2 * 2_000
    assert attempted.record.ttft_ms is None


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ({"kind": "rate_limit", "retry_after_s": 2}, RateLimitedError),
        ({"kind": "status", "status": 503}, UnavailableError),
        ({"kind": "refused"}, NotReachedError),
        ({"kind": "reset"}, UnavailableError),
        ({"kind": "hang"}, AttemptTimeoutError),
        ({"kind": "malformed"}, MalformedReplyError),
        ({"kind": "content_filter"}, ContentFilterError),
    ],
)
async def test_every_fault_is_raised_with_a_record_attached(fault: dict[str, Any], kind: type[ProviderError]) -> None:
    with pytest.raises(kind) as caught:
        await failing(**fault).complete(asking(), TARGET, LIMITS)

    record = record_of(caught.value)
    assert record is not None
    assert record.outcome == "failed"
    assert record.error_class == caught.value.error_class


async def test_usage_that_is_missing_or_absurd_is_estimated() -> None:
    for kind in ("no_usage", "absurd_usage"):
        attempted = await failing(kind=kind).complete(asking(), TARGET, LIMITS)

        assert attempted.response.usage is not None
        assert attempted.response.usage.is_estimated
        assert attempted.record.is_estimated


async def test_a_cancelled_call_is_recorded_and_the_cancellation_goes_on() -> None:
    watch = KeptAttempts()
    runner = runner_over(MockTransport({"faults": [{"kind": "hang"}]}), SystemClock())
    task = asyncio.create_task(runner.complete(asking(), TARGET, LIMITS, watch=watch))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert [record.outcome for record in watch.records] == ["cancelled"]


async def test_a_filter_that_leaves_nothing_is_a_failure_that_was_billed() -> None:
    body = (
        b'{"choices": [{"message": {"content": ""}, "finish_reason": "content_filter"}], "usage": {"prompt_tokens": 9}}'
    )
    with pytest.raises(ContentFilterError) as caught:
        await replying(body).complete(asking(), TARGET, LIMITS)

    record = record_of(caught.value)
    assert record is not None
    assert record.cost_nano_usd == 9 * 1_000


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"choices": []}', b'{"choices": [{"message": 3}]}'])
async def test_a_reply_that_cannot_be_read_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedReplyError):
        await replying(body).complete(asking(), TARGET, LIMITS)


async def test_a_fault_of_our_own_reading_code_fails_this_attempt_only() -> None:
    with pytest.raises(MalformedReplyError) as caught:
        await runner_over(ScriptedTransport(fault=KeyError("bug")), FrozenClock(START)).complete(
            asking(), TARGET, LIMITS
        )

    assert record_of(caught.value) is not None
    assert isinstance(caught.value.__cause__, KeyError)


async def test_a_dialect_that_is_not_spoken_is_a_configuration_error() -> None:
    with pytest.raises(ConfigurationError, match="klingon"):
        await replying(b"").complete(asking(), deployment(dialect="klingon"), LIMITS)


async def test_a_provider_without_transport_of_its_own_uses_the_common_one() -> None:
    mock = MockTransport(clock=FrozenClock(START))
    runner = AttemptRunner({"http": mock}, Prices(), FrozenClock(START), lambda: "a")
    await runner.complete(asking(), TARGET, LIMITS)

    assert len(mock.calls) == 1


async def test_no_transport_at_all_is_a_configuration_error() -> None:
    with pytest.raises(ConfigurationError, match="no transport"):
        await AttemptRunner({}, Prices(), FrozenClock(START), lambda: "a").complete(asking(), TARGET, LIMITS)


TEXTS = EmbeddingRequest("acme/m", ("a" * 384, "b"))


async def test_texts_are_embedded_and_billed_as_input() -> None:
    body = b'{"data": [{"embedding": [1.0]}, {"embedding": [2.0]}], "usage": {"prompt_tokens": 9}}'
    embedded = await replying(body).embed(TEXTS, TARGET, LIMITS)

    assert embedded.response.vectors == ((1.0,), (2.0,))
    assert embedded.record.cost_nano_usd == 9 * 1_000


async def test_a_vector_too_few_is_a_failure() -> None:
    with pytest.raises(MalformedReplyError, match="1 vectors for 2 texts"):
        await replying(b'{"data": [{"embedding": [1.0]}]}').embed(TEXTS, TARGET, LIMITS)


async def test_a_refused_embedding_has_a_record() -> None:
    with pytest.raises(RateLimitedError) as caught:
        await replying(b"{}", status=429).embed(TEXTS, TARGET, LIMITS)

    record = record_of(caught.value)
    assert record is not None
    assert record.cost_nano_usd == 0


async def test_an_answer_without_usage_is_counted_whole_and_as_its_stream_would_be() -> None:
    calls = [{"id": "c", "type": "function", "function": {"name": "look", "arguments": '{"a": "ü"}'}}]
    message = {"role": "assistant", "content": "für dich", "reasoning_content": "hm", "tool_calls": calls}
    reply = {"choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}]}
    attempted = await replying(json.dumps(reply).encode()).complete(asking(), TARGET, LIMITS)

    fold = ChunkFold()
    for chunk in chunks_of(attempted.response):
        fold.add(chunk)
    assert attempted.response.usage is not None
    assert attempted.response.usage.is_estimated
    assert attempted.response.usage.output_tokens == TokenEstimator().tokens(TARGET.model, fold.content_bytes)
