"""A stream that breaks off after its first content, and who takes it up."""

from typing import Any

import pytest

from bridge.call_record import CallRecord
from bridge.chat import JsonFormat, StreamChunk, Tool
from bridge.errors import BridgeError, StreamInterruptedError
from bridge.result import ChatStream
from bridge.streaming import fold
from tests.support.bridge_calls import CONTEXT, Bench, asking, bench, read, tried

TEXT = "one two three four five"
TWO = {"aliases": {"two": {"candidates": ["mock/a", "mock/b"]}}}


def begun(model: str = "b") -> dict[str, object]:
    """The reply of a model that continues an answer whose beginning it was given."""
    return {"match": {"model": model, "pattern": "one two three"}, "text": " four five"}


def cut(model: str = "a", after: int = 3, **more: Any) -> dict[str, object]:
    return {"kind": "cut", "after_chunks": after, "match": {"model": model}, **more}


def prefilling(**rules: Any) -> dict[str, Any]:
    models = {f"mock/{name}": {"capabilities": ["chat", "stream", "prefill"]} for name in ("b", "c")}
    return {"models": models, "aliases": {"two": {"candidates": ["mock/a", "mock/b"], **rules}}}


def cut_bench(*, faults: list[dict[str, object]] | None = None, sections: dict[str, Any] | None = None) -> Bench:
    return bench(faults=faults or [cut()], replies=[{"text": TEXT}], sections=sections or TWO)


async def interrupted(one: Bench, **options: Any) -> CallRecord:
    with pytest.raises(StreamInterruptedError) as caught:
        await read(one.bridge.stream(asking("two", **options), CONTEXT))
    assert isinstance(caught.value.call, CallRecord)
    return caught.value.call


async def shown_of(stream: ChatStream, n: int | None = None) -> tuple[list[StreamChunk], BridgeError | None]:
    """The first `n` chunks, or all until an error."""
    chunks: list[StreamChunk] = []
    try:
        async for chunk in stream:
            chunks.append(chunk)  # what came before the error is wanted
            if len(chunks) == n:
                break
    except BridgeError as error:
        return chunks, error
    return chunks, None


async def test_another_target_that_agrees_takes_it_up() -> None:
    one = cut_bench()
    stream = one.bridge.stream(asking("two"), CONTEXT)
    chunks = [chunk async for chunk in stream]

    assert fold(chunks).text == stream.result.response.text == TEXT
    assert [chunk.finish_reason for chunk in chunks if chunk.finish_reason] == ["stop"]
    call = one.sink.calls[0]
    assert tried(call) == [("mock/a", "failed"), ("mock/b", "succeeded")]
    assert (call.status, call.is_rescued) == ("succeeded", True)


async def test_the_usage_is_that_of_both_attempts() -> None:
    one = cut_bench()
    chunks = [chunk async for chunk in one.bridge.stream(asking("two"), CONTEXT)]
    attempts = one.sink.calls[0].attempts

    usage = chunks[-1].usage
    assert usage is not None
    assert usage.is_estimated
    assert usage.total_tokens == sum(one.usage.total_tokens for one in attempts if one.usage is not None)
    assert len([one for one in attempts if one.usage is not None]) == 2


async def test_a_target_that_accepts_the_beginning_continues_it() -> None:
    one = bench(faults=[cut()], replies=[begun(), {"text": TEXT}], sections=prefilling())
    stream = one.bridge.stream(asking("two"), CONTEXT)

    assert await read(stream) == TEXT
    assert stream.result.response.text == TEXT
    assert one.sink.calls[0].is_rescued


async def test_white_space_at_the_break_is_neither_lost_nor_doubled() -> None:
    for continuation in (" four five", "four five"):
        reply: dict[str, object] = {**begun(), "text": continuation}
        one = bench(faults=[cut()], replies=[reply, {"text": TEXT}], sections=prefilling())

        assert await read(one.bridge.stream(asking("two"), CONTEXT)) == TEXT


async def test_a_target_that_refuses_the_beginning_is_asked_afresh() -> None:
    refusal: dict[str, object] = {
        "kind": "status",
        "status": 400,
        "match": {"model": "b", "pattern": "one two three"},
        "times": None,
    }
    one = cut_bench(faults=[cut(), refusal], sections=prefilling())

    assert await read(one.bridge.stream(asking("two"), CONTEXT)) == TEXT
    outcomes = [(a.deployment, a.outcome, a.status) for a in one.sink.calls[0].attempts]
    assert outcomes[1:] == [("mock/b", "failed", 400), ("mock/b", "succeeded", 200)]


async def test_an_answer_in_other_words_is_not_joined() -> None:
    one = bench(
        faults=[cut()],
        replies=[{"match": {"model": "a"}, "text": TEXT}, {"text": "one two 3 4 5"}],
        sections=TWO,
    )
    call = await interrupted(one)

    assert (call.status, call.is_rescued) == ("failed", False)
    assert tried(call) == [("mock/a", "failed"), ("mock/b", "cancelled")]


@pytest.mark.parametrize("text", ["one two", "one two three"])
async def test_an_answer_that_ends_before_or_where_it_broke(text: str) -> None:
    one = bench(faults=[cut()], replies=[{"match": {"model": "a"}, "text": TEXT}, {"text": text}], sections=TWO)
    stream = one.bridge.stream(asking("two"), CONTEXT)
    shown, error = await shown_of(stream)

    assert isinstance(error, StreamInterruptedError)
    assert fold(shown).text == "one two three "
    assert all(chunk.finish_reason is None for chunk in shown)


async def test_an_answer_that_says_the_same_and_ends_there_is_whole() -> None:
    one = bench(faults=[cut(after=5)], replies=[{"text": TEXT}], sections=TWO)

    assert await read(one.bridge.stream(asking("two"), CONTEXT)) == TEXT


async def test_whoever_takes_it_up_may_break_too() -> None:
    sections = {"aliases": {"two": {"candidates": ["mock/a", "mock/b", "mock/c"]}}}
    one = cut_bench(faults=[cut(), cut("b", after=4)], sections=sections)

    assert await read(one.bridge.stream(asking("two"), CONTEXT)) == TEXT
    assert [name for name, _ in tried(one.sink.calls[0])] == ["mock/a", "mock/b", "mock/c"]


@pytest.mark.parametrize(
    "options",
    [{"response_format": JsonFormat()}, {"tools": (Tool("find"),)}, {"n": 2}, {"logprobs": True}],
)
async def test_only_plain_text_is_taken_up(options: dict[str, Any]) -> None:
    one = cut_bench(sections={"aliases": {"two": {"candidates": ["mock/a", "mock/b"], "may_drop": ["logprobs"]}}})
    call = await interrupted(one, **options)

    assert tried(call) == [("mock/a", "failed")]


async def test_reasoning_in_flight_is_not_taken_up() -> None:
    one = bench(faults=[cut()], replies=[{"text": TEXT, "reasoning": "hm"}], sections=TWO)

    assert tried(await interrupted(one)) == [("mock/a", "failed")]


async def test_an_alias_or_the_configuration_may_forbid_it() -> None:
    by_alias = {"aliases": {"two": {"candidates": ["mock/a", "mock/b"], "rescue": "off"}}}
    for sections in (by_alias, {**TWO, "streams": {"rescue": "off"}}):
        assert tried(await interrupted(cut_bench(sections=sections))) == [("mock/a", "failed")]


async def test_a_single_target_cannot_be_rescued() -> None:
    one = cut_bench()
    with pytest.raises(StreamInterruptedError):
        await read(one.bridge.stream(asking("mock/a"), CONTEXT))


async def test_a_broken_event_that_may_have_held_a_word_is_recovered_elsewhere() -> None:
    one = cut_bench(faults=[{"kind": "broken_chunk", "after_chunks": 2, "match": {"model": "a"}}])

    assert await read(one.bridge.stream(asking("two"), CONTEXT)) == TEXT
    assert one.sink.calls[0].is_rescued


async def test_a_rescued_answer_is_not_cached() -> None:
    sections = {"aliases": {"two": {"candidates": ["mock/a", "mock/b"], "cache": "exact"}}}
    one = cut_bench(sections=sections)
    for _ in range(2):
        await read(one.bridge.stream(asking("two"), CONTEXT))

    assert [call.cache for call in one.sink.calls] == ["miss", "miss"]


async def test_a_reader_who_leaves_after_a_rescue_pays_for_both() -> None:
    one = cut_bench()
    stream = one.bridge.stream(asking("two"), CONTEXT)
    seen, _ = await shown_of(stream, 4)
    await stream.aclose()

    assert fold(seen).text == "one two three four "
    assert tried(one.sink.calls[0]) == [("mock/a", "failed"), ("mock/b", "cancelled")]
    assert all(attempt.usage is not None for attempt in one.sink.calls[0].attempts)
