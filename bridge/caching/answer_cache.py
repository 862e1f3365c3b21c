"""The cache as the dispatcher uses it: the same request first, then one that means the same; one asks, others wait."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import ValidationError

from bridge.caching.fingerprint import RequestKey, key_of, may_look_up, may_store, ttl_s
from bridge.caching.statistics import CacheReport, CacheStatistics
from bridge.caching.stored_answer import StoredAnswer
from bridge.chat import ChatRequest, ChatResponse
from bridge.clock import Clock
from bridge.config import AliasConfig, CacheConfig
from bridge.state_store import StateStore
from bridge.text_embedding import TextEmbedder, local_embedder

if TYPE_CHECKING:
    from bridge.caching.semantic import SemanticIndex

logger = logging.getLogger(__name__)
Flight = asyncio.Future[bool]
"""Ends when the call ends; true: it had no end of its own, its caller left."""


@dataclass(frozen=True, slots=True)
class Lookup:
    """Who asks for what. `served_by` names the models that may answer."""

    call_id: str
    org_id: str
    alias: str
    request: ChatRequest
    served_by: str
    rules: AliasConfig
    deadline_s: float | None = None
    """Of the call; waiting for another one's answer takes half of it at most."""
    is_stream: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """A stored answer. `similarity` is 1 for the same request, less for one that means the same."""

    response: ChatResponse
    similarity: float


class AnswerCache:
    """Whole answers by request. A hit costs nothing."""

    def __init__(
        self,
        store: StateStore,
        config: CacheConfig,
        clock: Clock,
        embedder: Callable[[], TextEmbedder] = local_embedder,
    ) -> None:
        self._store = store
        self._config = config
        self._clock = clock
        self._embedder = embedder
        self._index: SemanticIndex | None = None
        self._statistics = CacheStatistics()
        self._flights: dict[str, Flight] = {}
        """Key -> the call that is asking for it, on behalf of others who wait."""
        self._leading: dict[str, tuple[RequestKey, Flight]] = {}
        """Call -> what it asks for on behalf of others."""

    async def find(self, lookup: Lookup) -> Found | None:
        """The stored answer; None when there is none or none may be used: then the caller asks, and `done` follows."""
        if not may_look_up(lookup.request):
            return None
        key = key_of(lookup.org_id, lookup.request, lookup.served_by)
        life_s = ttl_s(lookup.request, self._config, lookup.rules.cache_ttl_s)
        self._statistics.looked_up(lookup.org_id, lookup.alias, key, self._clock.monotonic(), ttl_s=life_s)
        found = await self._find(lookup, key) or await self._waited_for(lookup, key)
        if found is None:
            system = "\n".join(message.text for message in lookup.request.messages if message.role == "system")
            self._statistics.missed(lookup.org_id, lookup.alias, key, system)
            return None
        stored, similarity = found
        self._statistics.hit(
            lookup.org_id, lookup.alias, is_semantic=similarity < 1, saved_nano_usd=stored.cost_nano_usd
        )
        return Found(stored.restored(), similarity)

    async def keep(self, lookup: Lookup, response: ChatResponse, *, cost_nano_usd: int | None) -> None:
        """Store an answer, if it is one that may be stored. `cost_nano_usd`: what a hit saves."""
        if not may_store(lookup.request, response):
            return
        leading = self._leading.get(lookup.call_id)
        key = key_of(lookup.org_id, lookup.request, lookup.served_by) if leading is None else leading[0]
        life_s = ttl_s(lookup.request, self._config, lookup.rules.cache_ttl_s)
        text = StoredAnswer.of(response, cost_nano_usd=cost_nano_usd).model_dump_json()
        await self._store.set(key.answer, text, ttl_s=life_s)
        if self._is_semantic(lookup):
            await self._indexed().add(key, lookup.rules.semantic_cache, ttl_s=life_s)

    def warm_up(self) -> None:
        """Load what the semantic cache embeds with now, not under the first call."""
        self._embedder().embed(["ready"])

    def done(self, call_id: str, *, has_left: bool = False) -> None:
        """The call has ended, or its caller `has_left`: whoever waits for its answer looks again. Idempotent."""
        leading = self._leading.pop(call_id, None)
        if leading is None:
            return
        key, flight = leading[0].answer, leading[1]
        if self._flights.get(key) is flight:
            del self._flights[key]
        if not flight.done():
            flight.set_result(has_left)

    def report(self, org_id: str) -> tuple[CacheReport, ...]:
        """How the caches of an organisation's aliases do in this process."""
        return tuple(self._statistics.report(org_id, alias) for alias in self._statistics.aliases(org_id))

    async def _find(self, lookup: Lookup, key: RequestKey) -> tuple[StoredAnswer, float] | None:
        stored = await self._stored(key.answer, lookup.org_id)
        if stored is not None:
            return stored, 1.0
        if not self._is_semantic(lookup):
            return None
        for near in await self._indexed().near(key, lookup.rules.semantic_cache):
            stored = await self._stored(near.answer, lookup.org_id)
            if stored is not None:
                return stored, min(near.similarity, 1 - 1e-9)
            self._indexed().forget(key, near.answer)
        return None

    async def _waited_for(self, lookup: Lookup, key: RequestKey) -> tuple[StoredAnswer, float] | None:
        """When the same is being asked already, wait for that answer, for a while; else ask for all who follow.

        When the first caller leaves, one of those who wait asks in its place. When it got no answer that may be kept,
        or takes too long, they ask for themselves.
        """
        try:
            if key.answer in self._flights:
                async with asyncio.timeout(self._patience_s(lookup)):
                    while flight := self._flights.get(key.answer):
                        has_left = await asyncio.shield(flight)
                        stored = await self._stored(key.answer, lookup.org_id)
                        if stored is not None:
                            return stored, 1.0
                        if not has_left:
                            return None
        except TimeoutError:
            pass  # whoever comes now waits for this call, not for the slow one
        self._flights[key.answer] = flight = asyncio.get_running_loop().create_future()
        self._leading[lookup.call_id] = key, flight
        return None

    def _patience_s(self, lookup: Lookup) -> float:
        longest_s = self._config.stream_wait_for_same_s if lookup.is_stream else self._config.wait_for_same_s
        return longest_s if lookup.deadline_s is None else min(longest_s, lookup.deadline_s / 2)

    async def _stored(self, key: str, org_id: str) -> StoredAnswer | None:
        text = await self._store.get(key)
        if text is None:
            return None
        try:
            return StoredAnswer.model_validate_json(text)
        except ValidationError:
            logger.warning("cache.unreadable", extra={"org_id": org_id})
            return None

    def _is_semantic(self, lookup: Lookup) -> bool:
        rules, messages = lookup.rules, lookup.request.messages
        n_others = sum(message.role != "system" for message in messages)
        return rules.cache == "semantic" and n_others <= rules.semantic_cache.max_messages

    def _indexed(self) -> "SemanticIndex":
        """The index; it, its embedder and numpy are loaded with the first look-up that needs them."""
        if self._index is None:
            from bridge.caching.semantic import SemanticIndex

            self._index = SemanticIndex(self._store, self._embedder())
        return self._index
