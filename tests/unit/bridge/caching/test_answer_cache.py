import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count

import pytest

from bridge.caching.answer_cache import AnswerCache, Lookup
from bridge.caching.fingerprint import fingerprint
from bridge.chat import ChatRequest, ChatResponse, Message, Usage
from bridge.clock import FrozenClock
from bridge.config import AliasConfig, CacheConfig, SemanticCacheConfig
from bridge.state_store import MemoryStateStore

PLAIN = ChatRequest("m", (Message.of("user", "hi"),))
ANSWER = ChatResponse(
    "hällo", "stop", Usage(3, 4, cached_tokens=1), reasoning="because", refusal="", model="gpt-4o-mini-2024"
)
EXACT = AliasConfig(candidates=("mock/m",), cache="exact")
SEMANTIC = AliasConfig(candidates=("mock/m",), cache="semantic", semantic_cache=SemanticCacheConfig(max_entries=3))
CALLS = count()


class Meanings:
    """Vectors by the first word; a text of another first word means something else."""

    def embed(self, texts: Sequence[str]) -> list[tuple[float, ...]]:
        return [(1.0, 0.0) if text.lower().startswith("reset") else (0.0, 1.0) for text in texts]


def made(
    store: MemoryStateStore | None = None, *, patience_s: float = 0.05, stream_patience_s: float = 0.05
) -> tuple[AnswerCache, FrozenClock]:
    clock = FrozenClock(datetime(2026, 11, 24, tzinfo=UTC))
    config = CacheConfig(wait_for_same_s=patience_s, stream_wait_for_same_s=stream_patience_s)
    return AnswerCache(store or MemoryStateStore(clock), config, clock, Meanings), clock


def lookup(request: ChatRequest = PLAIN, *, org_id: str = "o", rules: AliasConfig = EXACT) -> Lookup:
    return Lookup(f"call-{next(CALLS)}", org_id, "fast", request, "m", rules)


def said(text: str, system: str = "") -> ChatRequest:
    before = (Message.of("system", system),) if system else ()
    return ChatRequest("m", (*before, Message.of("user", text)))


async def test_what_is_kept_is_found_unchanged_by_its_organisation_only() -> None:
    cache, _ = made()
    await cache.keep(lookup(), ANSWER, cost_nano_usd=5)

    found = await cache.find(lookup())

    assert found is not None
    assert (found.response, found.similarity) == (ANSWER, 1.0)
    assert await cache.find(lookup(org_id="p")) is None


async def test_a_value_that_cannot_be_read_is_a_miss(caplog: pytest.LogCaptureFixture) -> None:
    clock = FrozenClock(datetime(2026, 11, 24, tzinfo=UTC))
    store = MemoryStateStore(clock)
    await store.set(fingerprint("o", PLAIN, "m"), '{"text": 1}')

    assert await made(store)[0].find(lookup()) is None
    assert "cache.unreadable" in caplog.text


async def test_a_cut_answer_is_not_kept() -> None:
    cache, _ = made()
    await cache.keep(lookup(), ChatResponse("hal", "length", None), cost_nano_usd=None)

    assert await cache.find(lookup()) is None


async def test_a_prompt_that_means_the_same_is_answered_and_says_how_near_it_was() -> None:
    cache, _ = made()
    await cache.keep(lookup(said("reset my password"), rules=SEMANTIC), ANSWER, cost_nano_usd=None)

    found = await cache.find(lookup(said("Reset my password, please"), rules=SEMANTIC))

    assert found is not None
    assert found.response == ANSWER
    assert 0.99 < found.similarity < 1


@pytest.mark.parametrize(
    "other",
    [
        lookup(said("Reset my password, please")),
        lookup(said("Reset my password, please"), org_id="p", rules=SEMANTIC),
        lookup(said("Reset my password, please", "Be brief."), rules=SEMANTIC),
        lookup(replace(said("Reset my password, please"), temperature=0.5), rules=SEMANTIC),
        lookup(said("reset my password 2 times"), rules=SEMANTIC),
        lookup(said("opening hours"), rules=SEMANTIC),
    ],
)
async def test_another_context_or_meaning_or_an_exact_cache_is_a_miss(other: Lookup) -> None:
    cache, _ = made()
    await cache.keep(lookup(said("reset my password"), rules=SEMANTIC), ANSWER, cost_nano_usd=None)

    assert await cache.find(other) is None


async def test_long_conversations_are_not_looked_up_by_meaning() -> None:
    cache, _ = made()
    turns = tuple(Message.of(role, "reset") for role in ("user", "assistant", "user"))
    talk = ChatRequest("m", (*turns, Message.of("user", "reset my password")))
    await cache.keep(lookup(talk, rules=SEMANTIC), ANSWER, cost_nano_usd=None)
    again = replace(talk, messages=(*turns, Message.of("user", "Reset my password!")))

    assert await cache.find(lookup(again, rules=SEMANTIC)) is None


async def test_processes_that_share_a_store_share_what_means_the_same() -> None:
    clock = FrozenClock(datetime(2026, 11, 24, tzinfo=UTC))
    store = MemoryStateStore(clock)
    first, second = made(store)[0], made(store)[0]
    assert await second.find(lookup(said("Reset my password, please"), rules=SEMANTIC)) is None
    await first.keep(lookup(said("reset my password"), rules=SEMANTIC), ANSWER, cost_nano_usd=None)

    assert await second.find(lookup(said("Reset my password!"), rules=SEMANTIC)) is not None


async def test_an_index_that_expired_begins_again() -> None:
    clock = FrozenClock(datetime(2026, 11, 24, tzinfo=UTC))
    cache = AnswerCache(MemoryStateStore(clock), CacheConfig(wait_for_same_s=0), clock, Meanings)
    for text in ("reset my password", "reset the router"):
        await cache.keep(lookup(said(text), rules=SEMANTIC), ANSWER, cost_nano_usd=None)
    assert await cache.find(lookup(said("Reset my password!"), rules=SEMANTIC)) is not None
    clock.advance(3601)
    await cache.keep(lookup(said("reset the clock"), rules=SEMANTIC), ANSWER, cost_nano_usd=None)

    assert await cache.find(lookup(said("Reset my password now!"), rules=SEMANTIC)) is None
    assert await cache.find(lookup(said("Reset the clock!"), rules=SEMANTIC)) is not None


async def test_one_asks_and_the_others_wait_for_its_answer() -> None:
    cache, _ = made()
    leader = lookup()
    assert await cache.find(leader) is None
    waiting = [asyncio.create_task(cache.find(lookup())) for _ in range(5)]
    await asyncio.sleep(0)
    await cache.keep(leader, ANSWER, cost_nano_usd=None)
    cache.done(leader.call_id)

    assert [one is not None for one in await asyncio.gather(*waiting)] == [True] * 5


async def test_when_the_first_fails_or_takes_too_long_the_others_ask_for_themselves() -> None:
    cache, _ = made()
    leader = lookup()
    await cache.find(leader)
    failed = asyncio.create_task(cache.find(lookup()))
    await asyncio.sleep(0)
    cache.done(leader.call_id)

    assert await failed is None
    slow = lookup()
    await cache.find(slow)
    assert await cache.find(lookup()) is None


async def test_when_the_first_caller_leaves_one_of_the_others_asks_in_its_place() -> None:
    cache, _ = made(patience_s=5)
    leader = lookup()
    await cache.find(leader)
    others = [lookup() for _ in range(4)]
    waiting = [asyncio.create_task(cache.find(one)) for one in others]
    await asyncio.sleep(0)
    cache.done(leader.call_id, has_left=True)
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    asking = [one for one, task in zip(others, waiting, strict=True) if task.done()]

    assert len(asking) == 1
    await cache.keep(asking[0], ANSWER, cost_nano_usd=None)
    cache.done(asking[0].call_id)
    assert sum(one is not None for one in await asyncio.gather(*waiting)) == 3


async def test_who_waited_too_long_asks_and_is_waited_for_itself() -> None:
    cache, _ = made()
    lost, patient = lookup(), lookup()
    await cache.find(lost)  # and never ends
    assert await cache.find(patient) is None
    waiting = asyncio.create_task(cache.find(lookup()))
    await asyncio.sleep(0)
    cache.done(lost.call_id)
    await asyncio.sleep(0)
    assert not waiting.done()
    await cache.keep(patient, ANSWER, cost_nano_usd=None)
    cache.done(patient.call_id)

    assert await waiting is not None


async def test_a_waiting_caller_who_leaves_disturbs_nobody() -> None:
    cache, _ = made(patience_s=5)
    leader = lookup()
    await cache.find(leader)
    leaving, staying = (asyncio.create_task(cache.find(lookup())) for _ in range(2))
    await asyncio.sleep(0)
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    await cache.keep(leader, ANSWER, cost_nano_usd=None)
    cache.done(leader.call_id)

    assert await staying is not None


@pytest.mark.parametrize("hasty", [{"is_stream": True}, {"deadline_s": 0.04}])
async def test_streams_and_calls_with_a_deadline_wait_less(hasty: dict[str, object]) -> None:
    cache, _ = made(patience_s=30, stream_patience_s=0.02)
    await cache.find(lookup())

    async with asyncio.timeout(5):
        assert await cache.find(replace(lookup(), **hasty)) is None  # pyright: ignore[reportArgumentType]  # fields by name


async def test_the_report_counts_hits_savings_and_what_broke_the_others() -> None:
    cache, _ = made()
    await cache.find(lookup(said("hi", "It is 10:01.")))
    await cache.keep(lookup(said("hi", "It is 10:01.")), ANSWER, cost_nano_usd=2_000_000_000)
    await cache.find(lookup(said("hi", "It is 10:01.")))
    await cache.find(lookup(said("hi", "It is 10:02.")))

    (report,) = cache.report("o")

    assert (report.alias, report.lookups, report.exact_hits, report.saved_usd) == ("fast", 3, 1, 2.0)
    assert report.hit_rate == pytest.approx(1 / 3)
    assert report.misses_by_part == {"new": 1, "system": 1}
    assert report.repeats == 1
