"""Same fingerprint, same answer: the exact cache over a StateStore."""

import json
import logging
from dataclasses import asdict
from functools import cache

from pydantic import TypeAdapter, ValidationError

from bridge.caching.fingerprint import fingerprint, may_look_up, may_store, ttl_s
from bridge.chat import ChatRequest, ChatResponse
from bridge.config import CacheConfig
from bridge.state_store import StateStore

logger = logging.getLogger(__name__)


class ExactCache:
    """Whole answers by request. A hit costs nothing."""

    def __init__(self, store: StateStore, config: CacheConfig) -> None:
        self._store = store
        self._config = config

    async def find(self, org_id: str, request: ChatRequest, served_by: str) -> ChatResponse | None:
        """The stored answer; None when there is none or none may be used."""
        if not may_look_up(request):
            return None
        stored = await self._store.get(fingerprint(org_id, request, served_by))
        if stored is None:
            return None
        try:
            return _adapter().validate_json(stored)
        except ValidationError:
            logger.warning("cache.unreadable", extra={"org_id": org_id})
            return None

    async def keep(
        self, org_id: str, request: ChatRequest, served_by: str, response: ChatResponse, *, alias_ttl_s: float | None
    ) -> None:
        """Store an answer, if it is one that may be stored."""
        if may_store(request, response):
            key = fingerprint(org_id, request, served_by)
            text = json.dumps(asdict(response), separators=(",", ":"))
            await self._store.set(key, text, ttl_s=ttl_s(request, self._config, alias_ttl_s))


@cache
def _adapter() -> TypeAdapter[ChatResponse]:
    return TypeAdapter(ChatResponse)
