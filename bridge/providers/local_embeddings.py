"""Embeddings in this process, in the OpenAI dialect: wordllama, 256 dimensions, offline and free."""

import asyncio
from collections.abc import Sequence
from typing import cast

from bridge.json_types import JsonObject
from bridge.providers.local_reply import JSON_HEADERS, refusal_of
from bridge.text_embedding import TextEmbedder
from bridge.transport import WireReply, WireRequest, encode_json

DIMENSIONS = 256
SMALLEST = 16
BYTES_PER_TOKEN = 4


async def embedded(request: WireRequest, embedder: TextEmbedder) -> WireReply:
    """The reply to an embeddings request. Shorter vectors are the first numbers of the long ones, scaled again."""
    body = request.body
    given = body.get("input")
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        return refusal_of({"code": 400, "message": "`input` must be a text or a list of texts", "type": "invalid"})
    size = body.get("dimensions", DIMENSIONS)
    if not isinstance(size, int) or not SMALLEST <= size <= DIMENSIONS:
        said = f"`dimensions` must be between {SMALLEST} and {DIMENSIONS}"
        return refusal_of({"code": 400, "message": said, "type": "invalid"})
    words = cast("list[str]", texts)
    vectors = await asyncio.to_thread(embedder.embed, words)
    tokens = sum(-(-len(text.encode()) // BYTES_PER_TOKEN) for text in words)
    reply: JsonObject = {
        "object": "list",
        "model": str(body.get("model", "")),
        "data": [
            {"object": "embedding", "index": position, "embedding": shortened(vector, size)}
            for position, vector in enumerate(vectors)
        ],
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }
    return WireReply(200, JSON_HEADERS, encode_json(reply))


def shortened(vector: Sequence[float], size: int) -> list[float]:
    """The first `size` numbers, of unit length again; all zeros stay zeros."""
    first = list(vector[:size])
    length = sum(number * number for number in first) ** 0.5
    return [number / length for number in first] if length > 0 else first
