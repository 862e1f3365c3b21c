"""What llama.cpp hands over, as replies and streams of the OpenAI dialect.

Its own name for the model is a path on this machine: it never gets out.
"""

import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

from bridge.json_types import JsonObject, JsonValue
from bridge.transport import WireReply

JSON_HEADERS = {"content-type": "application/json"}
STREAM_HEADERS = {"content-type": "text/event-stream"}
Chunk = dict[str, Any]
"""One chat.completion.chunk, or `{"error": {...}}`."""


def refusal_of(error: Mapping[str, Any]) -> WireReply:
    """An error that llama.cpp returned, as the reply an HTTP server would send."""
    code = error.get("code")
    status = code if isinstance(code, int) and 400 <= code < 600 else 500
    headers = {**JSON_HEADERS, "retry-after": "1"} if status == 429 else JSON_HEADERS
    return WireReply(status, headers, json.dumps({"error": dict(error)}).encode())


def whole_reply(chunks: list[Chunk], model: str) -> JsonObject:
    """The whole completion that `chunks` spell."""
    text: list[str] = []
    calls: dict[int, dict[str, Any]] = {}
    finish_reason: str | None = None
    usage: JsonValue = None
    for chunk in chunks:
        usage = chunk.get("usage", usage)
        for choice in chunk.get("choices", ()):
            delta: Mapping[str, Any] = choice.get("delta") or {}
            text.append(delta.get("content") or "")
            for call in delta.get("tool_calls") or ():
                _extend(calls.setdefault(call["index"], {"type": "function", "function": {}}), call)
            finish_reason = choice.get("finish_reason") or finish_reason
    message: dict[str, JsonValue] = {"role": "assistant", "content": "".join(text)}
    if calls:
        message["tool_calls"] = [calls[index] for index in sorted(calls)]
    return {
        "id": chunks[0].get("id") if chunks else None,
        "object": "chat.completion",
        "model": model,
        "choices": [{"index": 0, "message": message, "finish_reason": finish_reason}] if chunks else [],
        "usage": usage,
    }


def _extend(call: dict[str, Any], piece: Mapping[str, Any]) -> None:
    call["id"] = piece.get("id") or call.get("id")
    function: dict[str, Any] = call["function"]
    added: Mapping[str, Any] = piece.get("function") or {}
    function["name"] = added.get("name") or function.get("name")
    function["arguments"] = function.get("arguments", "") + (added.get("arguments") or "")


class LocalStream:
    """An answer in the making as server-sent events, or a refusal."""

    def __init__(self, begun: WireReply | AsyncIterator[Chunk], model: str) -> None:
        self._begun = begun
        self._model = model

    @property
    def status(self) -> int:
        return self._begun.status if isinstance(self._begun, WireReply) else 200

    @property
    def headers(self) -> Mapping[str, str]:
        return self._begun.headers if isinstance(self._begun, WireReply) else STREAM_HEADERS

    async def __aiter__(self) -> AsyncIterator[bytes]:
        if isinstance(self._begun, WireReply):
            yield self._begun.body
            return
        async for chunk in self._begun:
            yield b"data: " + json.dumps({**chunk, "model": self._model}).encode() + b"\n\n"
        yield b"data: [DONE]\n\n"

    async def read(self) -> bytes:
        return b"".join([piece async for piece in self])
