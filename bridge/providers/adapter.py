"""Dialects: pure mappings between our values and a provider's JSON, and the registry that finds them by name."""

from collections.abc import Mapping
from typing import Protocol, TypeVar

from bridge.catalog.deployments import Deployment
from bridge.chat import ChatRequest, ChatResponse, StreamChunk
from bridge.embedding import EmbeddingRequest, EmbeddingResponse
from bridge.errors import ConfigurationError
from bridge.json_types import JsonObject
from bridge.providers.anthropic_messages import AnthropicMessages
from bridge.providers.cohere_chat import CohereChat
from bridge.providers.cohere_embed import CohereEmbed
from bridge.providers.cohere_rerank import CohereRerank
from bridge.providers.gemini_embed import GeminiEmbed
from bridge.providers.google_gemini import GoogleGemini
from bridge.providers.ollama_chat import OllamaChat
from bridge.providers.openai_chat import OpenAiChat
from bridge.providers.openai_embeddings import OpenAiEmbeddings
from bridge.rerank import RerankRequest, RerankResponse
from bridge.streaming import ServerSentEvent
from bridge.transport import WireRequest


class EventReader(Protocol):
    """Reads the events of one stream in order; remembers what later events refer to."""

    def read(self, event: ServerSentEvent) -> tuple[StreamChunk, ...]:
        """What the event adds. Raises ProviderError for an error event and for one that cannot be read."""
        ...

    @property
    def is_done(self) -> bool:
        """Has the provider's end marker come? Nothing of meaning follows it."""
        ...


class ChatAdapter(Protocol):
    """One chat dialect. No sockets, no clock, no retries."""

    def build(self, request: ChatRequest, target: Deployment, *, stream: bool) -> WireRequest: ...

    def parse(self, payload: JsonObject, target: Deployment) -> ChatResponse:
        """The answer in a whole reply. Raises ProviderError when it holds an error or cannot be read."""
        ...

    def reader(self, target: Deployment) -> EventReader:
        """A fresh reader for one stream."""
        ...

    def lacks(self, request: ChatRequest, target: Deployment) -> tuple[str, ...]:
        """Features of the request that cannot be expressed there, by field name (`seed`, `logprobs`). The router
        keeps such a request away, or leaves the feature out when the alias says so (`may_drop`).
        """
        ...


class EmbeddingAdapter(Protocol):
    """One embeddings dialect."""

    def max_texts(self, target: Deployment) -> int:
        """How many texts one request may hold."""
        ...

    def build(self, request: EmbeddingRequest, target: Deployment) -> WireRequest: ...

    def parse(self, payload: JsonObject, target: Deployment) -> EmbeddingResponse: ...


class RerankAdapter(Protocol):
    """One rerank dialect."""

    def build(self, request: RerankRequest, target: Deployment) -> WireRequest: ...

    def parse(self, payload: JsonObject, target: Deployment) -> RerankResponse: ...


CHAT_ADAPTERS: Mapping[str, ChatAdapter] = {
    "openai": OpenAiChat(),
    "anthropic": AnthropicMessages(),
    "gemini": GoogleGemini(),
    "cohere": CohereChat(),
    "ollama": OllamaChat(),
}
EMBEDDING_ADAPTERS: Mapping[str, EmbeddingAdapter] = {
    "openai": OpenAiEmbeddings(),
    "gemini": GeminiEmbed(),
    "cohere": CohereEmbed(),
    "ollama": OpenAiEmbeddings(),
}
RERANK_ADAPTERS: Mapping[str, RerankAdapter] = {"cohere": CohereRerank(), "openai": CohereRerank()}
"""The OpenAI dialect has no rerank of its own; vendors that speak it and rerank (Together) do it in Cohere's shape."""
AdapterT = TypeVar("AdapterT")


def chat_adapter(dialect: str) -> ChatAdapter:
    """The mapping for `dialect`, as a deployment names it.

    Raises:
        ConfigurationError: This release does not speak it.
    """
    return _found(CHAT_ADAPTERS, dialect, "chat")


def embedding_adapter(dialect: str) -> EmbeddingAdapter:
    """The embeddings mapping for `dialect`.

    Raises:
        ConfigurationError: This release does not speak it.
    """
    return _found(EMBEDDING_ADAPTERS, dialect, "embeddings")


def rerank_adapter(dialect: str) -> RerankAdapter:
    """The rerank mapping for `dialect`.

    Raises:
        ConfigurationError: This release does not speak it.
    """
    return _found(RERANK_ADAPTERS, dialect, "rerank")


def _found(adapters: Mapping[str, AdapterT], dialect: str, kind: str) -> AdapterT:
    adapter = adapters.get(dialect)
    if adapter is None:
        raise ConfigurationError(
            f"this release does not speak the {kind} dialect {dialect!r}; it speaks {', '.join(sorted(adapters))}."
            " Many providers also offer an OpenAI-compatible address: give `dialect: openai` and its `base_url`"
        )
    return adapter
