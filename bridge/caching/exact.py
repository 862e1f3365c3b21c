"""Same fingerprint, same answer: the exact cache over a StateStore."""

import logging

from pydantic import BaseModel, ConfigDict, ValidationError

from bridge.caching.fingerprint import fingerprint, may_look_up, may_store, ttl_s
from bridge.chat import ChatRequest, ChatResponse, Usage
from bridge.config import CacheConfig
from bridge.state_store import StateStore

logger = logging.getLogger(__name__)


class StoredAnswer(BaseModel):
    """What is kept of an answer. It was complete and called no tool, so this is all of it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: str
    reasoning: str
    refusal: str
    model: str
    usage: Usage | None

    @classmethod
    def of(cls, response: ChatResponse) -> "StoredAnswer":
        """The answer as it is stored."""
        return cls(
            text=response.text,
            reasoning=response.reasoning,
            refusal=response.refusal,
            model=response.model,
            usage=response.usage,
        )

    def restored(self) -> ChatResponse:
        """The answer again. Its usage is that of the call that was paid for."""
        return ChatResponse(
            text=self.text,
            finish_reason="stop",
            usage=self.usage,
            reasoning=self.reasoning,
            refusal=self.refusal,
            model=self.model,
        )


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
            return StoredAnswer.model_validate_json(stored).restored()
        except ValidationError:
            logger.warning("cache.unreadable", extra={"org_id": org_id})
            return None

    async def keep(
        self, org_id: str, request: ChatRequest, served_by: str, response: ChatResponse, *, alias_ttl_s: float | None
    ) -> None:
        """Store an answer, if it is one that may be stored."""
        if may_store(request, response):
            key = fingerprint(org_id, request, served_by)
            text = StoredAnswer.of(response).model_dump_json()
            await self._store.set(key, text, ttl_s=ttl_s(request, self._config, alias_ttl_s))
