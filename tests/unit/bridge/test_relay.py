import pytest

from tests.support.bridge_calls import CONTEXT, asking, bench, read


async def test_nothing_is_sent_before_the_first_chunk_is_asked_for() -> None:
    one = bench()
    stream = one.bridge.stream(asking("mock/a"), CONTEXT)
    await stream.aclose()

    assert one.mock.calls == []
    assert one.sink.calls == []


async def test_usage_and_finish_reason_come_at_the_end_once() -> None:
    one = bench()
    chunks = [chunk async for chunk in one.bridge.stream(asking("mock/a"), CONTEXT)]

    assert [chunk.finish_reason for chunk in chunks if chunk.finish_reason] == ["stop"]
    assert [chunk.usage is not None for chunk in chunks] == [False] * (len(chunks) - 1) + [True]


async def test_the_result_holds_what_was_streamed() -> None:
    one = bench()
    stream = one.bridge.stream(asking("mock/a"), CONTEXT)
    text = await read(stream)

    assert stream.result.response.text == text
    assert stream.result.record is one.sink.calls[0]


async def test_a_fault_of_our_own_is_recorded_as_internal() -> None:
    one = bench()
    one.ledger.away = OSError("no database")

    with pytest.raises(OSError, match="no database"):
        await read(one.bridge.stream(asking("mock/a"), CONTEXT))
    with pytest.raises(OSError, match="no database"):
        await one.bridge.chat(asking("mock/a"), CONTEXT)

    assert [(call.status, call.error_class) for call in one.sink.calls] == [("failed", "internal")] * 2
