from collections.abc import Sequence
from datetime import UTC, datetime

from bridge.caching.fingerprint import RequestKey, key_of
from bridge.caching.semantic import SemanticIndex
from bridge.chat import ChatRequest, Message
from bridge.clock import FrozenClock
from bridge.config import SemanticCacheConfig
from bridge.state_store import MemoryStateStore

RULES = SemanticCacheConfig(max_entries=3)


class Letters:
    """A vector of how often each letter comes: order and case do not count."""

    def embed(self, texts: Sequence[str]) -> list[tuple[float, ...]]:
        return [self._one(text.lower()) for text in texts]

    def _one(self, text: str) -> tuple[float, ...]:
        counts = [float(text.count(letter)) for letter in "abcdefghijklmnopqrstuvwxyz"]
        length = sum(count * count for count in counts) ** 0.5
        return tuple(count / length for count in counts) if length else tuple(counts)


def made(store: MemoryStateStore | None = None) -> SemanticIndex:
    return SemanticIndex(store or MemoryStateStore(FrozenClock(datetime(2026, 11, 24, tzinfo=UTC))), Letters())


def key(prompt: str, org_id: str = "o") -> RequestKey:
    return key_of(org_id, ChatRequest("m", (Message.of("user", prompt),)), "m")


async def nearest(index: SemanticIndex, prompt: str) -> list[str]:
    return [near.answer for near in await index.near(key(prompt), RULES)]


async def test_a_prompt_that_means_the_same_is_found_in_its_own_context_only() -> None:
    index = made()
    await index.add(key("sort the list"), RULES, ttl_s=60)

    (near,) = await index.near(key("Sort the list!"), RULES)

    assert (near.answer, round(near.similarity, 6)) == (key("sort the list").answer, 1.0)
    assert await index.near(key("Sort the list!", "other"), RULES) == ()
    assert await nearest(index, "list the sort") == []
    assert await nearest(index, "paint a fence") == []


async def test_the_oldest_prompts_go_first() -> None:
    index = made()
    for prompt in ("apples", "bananas", "cherries", "dates"):
        await index.add(key(prompt), RULES, ttl_s=60)
        await nearest(index, prompt)

    assert await nearest(index, "Apples!") == []
    assert await nearest(index, "Bananas!") == [key("bananas").answer]
    assert await nearest(index, "Dates!") == [key("dates").answer]


async def test_an_answer_that_was_given_again_is_the_newest_and_stands_once() -> None:
    index = made()
    for prompt in ("apples", "bananas", "apples", "cherries", "dates"):
        await index.add(key(prompt), RULES, ttl_s=60)
        await nearest(index, prompt)

    assert await nearest(index, "Apples!") == [key("apples").answer]
    assert await nearest(index, "Bananas!") == []


async def test_a_prompt_whose_answer_is_gone_is_forgotten() -> None:
    index = made()
    for prompt in ("apples", "bananas"):
        await index.add(key(prompt), RULES, ttl_s=60)
    await nearest(index, "apples")
    index.forget(key("apples"), key("apples").answer)

    assert await nearest(index, "apples") == []
    assert await nearest(index, "bananas") == [key("bananas").answer]
    index.forget(key("bananas"), key("bananas").answer)
    assert await nearest(index, "bananas") == []


async def test_lines_that_cannot_be_read_are_passed_over() -> None:
    store = MemoryStateStore(FrozenClock(datetime(2026, 11, 24, tzinfo=UTC)))
    await store.append(f"prompts:{key('apples').context}", "{", keep=9, ttl_s=60)
    await made(store).add(key("apples"), RULES, ttl_s=60)

    assert await nearest(made(store), "Apples!") == [key("apples").answer]


async def test_a_very_long_prompt_is_not_looked_up() -> None:
    index = made()
    await index.add(key("apple " * 1000), RULES, ttl_s=60)

    assert await nearest(index, "apple " * 1000) == []
