import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest

from bridge.call_record import CallContext
from bridge.transport import Endpoint, Timeouts, Transport, WireReply, WireRequest, WireStream
from tests.support.bridge_calls import CONTEXT, Bench, asking, bench, read

EXACT = {"aliases": {"kept": {"candidates": ["mock/a"], "cache": "exact"}}}
SEMANTIC = {"aliases": {"kept": {"candidates": ["mock/a"], "cache": "semantic"}}}
COLD = "How do I reset the password of my account?"
PRICED = {"models": {"mock/a": {"input_usd_per_mtok": 1000, "output_usd_per_mtok": 1000}}}


class GatedTransport:
    """The mock behind a gate: every request waits until it is opened."""

    def __init__(self, behind: Transport) -> None:
        self.n_waiting = 0
        self.gate = asyncio.Event()
        self._behind = behind

    async def send(self, request: WireRequest, target: Endpoint, *, limits: Timeouts) -> WireReply:
        self.n_waiting += 1
        await self.gate.wait()
        return await self._behind.send(request, target, limits=limits)

    @asynccontextmanager
    async def open_stream(
        self, request: WireRequest, target: Endpoint, *, limits: Timeouts
    ) -> AsyncGenerator[WireStream, None]:
        await self.gate.wait()
        async with self._behind.open_stream(request, target, limits=limits) as stream:
            yield stream

    async def aclose(self) -> None:
        await self._behind.aclose()


def gated() -> tuple[Bench, GatedTransport]:
    transport = GatedTransport(bench().mock)
    return bench(sections=EXACT, transports={"mock": transport}), transport


async def test_of_the_same_question_asked_at_once_one_reaches_the_provider() -> None:
    one, transport = gated()
    tasks = [asyncio.create_task(one.bridge.chat(asking("kept"), CONTEXT)) for _ in range(20)]
    await asyncio.sleep(0.005)
    assert transport.n_waiting == 1
    transport.gate.set()
    results = await asyncio.gather(*tasks)

    assert len({result.response.text for result in results}) == 1
    assert sorted(len(result.record.attempts) for result in results) == [0] * 19 + [1]
    assert sum(result.record.cache == "hit" for result in results) == 19


async def test_when_the_first_caller_leaves_the_others_are_answered_by_one_more_call() -> None:
    one, transport = gated()
    tasks = [asyncio.create_task(one.bridge.chat(asking("kept"), CONTEXT)) for _ in range(5)]
    await asyncio.sleep(0.005)
    tasks[0].cancel()
    with pytest.raises(asyncio.CancelledError):
        await tasks[0]
    await asyncio.sleep(0.005)
    assert transport.n_waiting == 2
    transport.gate.set()
    results = await asyncio.gather(*tasks[1:])

    assert sorted(len(result.record.attempts) for result in results) == [0, 0, 0, 1]
    assert [call.status for call in one.sink.calls].count("cancelled") == 1


async def test_a_question_in_other_words_is_a_hit_that_says_how_near_it_was_and_costs_nothing() -> None:
    one = bench(sections={**SEMANTIC, **PRICED})
    await one.bridge.chat(asking("kept", COLD), CONTEXT)

    like = await one.bridge.chat(asking("kept", "how can I reset the password of my account"), CONTEXT)
    unlike = await one.bridge.chat(asking("kept", "Why do I reset the password of my account?"), CONTEXT)
    same = await one.bridge.chat(asking("kept", COLD), CONTEXT)

    assert [result.record.cache for result in (like, unlike, same)] == ["hit", "miss", "hit"]
    assert like.record.cache_similarity is not None
    assert 0.95 <= like.record.cache_similarity < 1
    assert (unlike.record.cache_similarity, same.record.cache_similarity) == (None, 1.0)
    assert (like.record.cost_nano_usd, like.record.attempts) == (0, ())


async def test_a_semantic_hit_can_be_streamed() -> None:
    one = bench(sections=SEMANTIC)
    first = await one.bridge.chat(asking("kept", "Where is the parcel with my shoes?"), CONTEXT)

    stream = one.bridge.stream(asking("kept", "where is the parcel with my shoes"), CONTEXT)
    text = await read(stream)

    assert text == first.response.text
    assert stream.result.record.cache == "hit"


async def test_the_report_of_an_organisation_tells_hits_and_what_they_saved() -> None:
    one = bench(sections={**EXACT, **PRICED})
    paid = await one.bridge.chat(asking("kept"), CONTEXT)
    for _ in range(3):
        await one.bridge.chat(asking("kept"), CONTEXT)

    (report,) = one.bridge.cache_report(CONTEXT.org_id)

    assert paid.record.cost_nano_usd is not None
    assert (report.alias, report.lookups, report.exact_hits) == ("kept", 4, 3)
    assert report.saved_usd == pytest.approx(3 * paid.record.cost_nano_usd / 1e9)
    assert one.bridge.cache_report(CallContext(org_id="another").org_id) == ()
