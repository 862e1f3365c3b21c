"""Providers that report any usage they are told to, each in its own dialect. No sockets."""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager

import msgspec

from bridge.chat import Usage
from bridge.json_types import JsonObject
from bridge.transport import Endpoint, Timeouts, WireReply, WireRequest, WireStream

DIALECTS: Mapping[str, str] = {
    "openai": "openai",
    "anthropic": "anthropic",
    "google": "gemini",
    "groq": "openai",
    "deepseek": "openai",
    "mistral": "openai",
    "together": "openai",
    "openrouter": "openai",
    "perplexity": "openai",
    "xai": "openai",
}
PRICES_OF: Mapping[str, str] = {"xai": "x-ai"}
"""Of vendors that are not known by name."""


class ReportingTransport:
    """Answers every request with one word and the usage it was told last."""

    def __init__(self, dialect: str) -> None:
        self._dialect = dialect
        self.usage = Usage(1, 1)

    async def send(self, request: WireRequest, target: Endpoint, *, limits: Timeouts) -> WireReply:
        del limits
        model = str(request.body.get("model", target.base_url))
        body = msgspec.json.encode(_REPLIES[self._dialect](model, self.usage))
        return WireReply(200, {"content-type": "application/json"}, body)

    def open_stream(
        self, request: WireRequest, target: Endpoint, *, limits: Timeouts
    ) -> AbstractAsyncContextManager[WireStream]:
        raise NotImplementedError("costs are the same for streams")

    async def aclose(self) -> None:
        return None


def _openai(model: str, usage: Usage) -> JsonObject:
    return {
        "id": "r",
        "object": "chat.completion",
        "model": model,
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "yes"}, "finish_reason": "stop"}],
        "usage": {
            "prompt_tokens": usage.input_tokens,
            "completion_tokens": usage.output_tokens,
            "total_tokens": usage.total_tokens,
            "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
            "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        },
    }


def _anthropic(model: str, usage: Usage) -> JsonObject:
    plain = usage.input_tokens - usage.cached_tokens - usage.cache_write_tokens
    return {
        "id": "r",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [{"type": "text", "text": "yes"}],
        "stop_reason": "end_turn",
        "usage": {
            "input_tokens": plain,
            "cache_read_input_tokens": usage.cached_tokens,
            "cache_creation_input_tokens": usage.cache_write_tokens,
            "output_tokens": usage.output_tokens,
        },
    }


def _gemini(model: str, usage: Usage) -> JsonObject:
    return {
        "modelVersion": model,
        "candidates": [{"content": {"role": "model", "parts": [{"text": "yes"}]}, "finishReason": "STOP"}],
        "usageMetadata": {
            "promptTokenCount": usage.input_tokens,
            "cachedContentTokenCount": usage.cached_tokens,
            "candidatesTokenCount": usage.output_tokens - usage.reasoning_tokens,
            "thoughtsTokenCount": usage.reasoning_tokens,
            "totalTokenCount": usage.total_tokens,
        },
    }


_REPLIES = {"openai": _openai, "anthropic": _anthropic, "gemini": _gemini}
