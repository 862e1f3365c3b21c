"""The embeddings dialect of OpenAI and its imitators. Source: OpenAI API reference, "Embeddings"."""

import base64
import binascii
import struct

import msgspec

from bridge.catalog.deployments import Deployment
from bridge.chat import Usage
from bridge.embedding import EmbeddingRequest, EmbeddingResponse
from bridge.errors import MalformedReplyError
from bridge.json_types import JsonObject, JsonValue
from bridge.providers.compatible_vendors import vendor_of
from bridge.providers.openai_endpoint import headers_for, path_for
from bridge.transport import WireRequest


class _Vector(msgspec.Struct):
    embedding: tuple[float, ...] | str
    """Numbers, or base64 of little-endian 32-bit floats (or of bytes from -128 to 127, from Perplexity)."""
    index: int | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int = 0


class _Reply(msgspec.Struct):
    data: list[_Vector]
    model: str | None = None
    usage: _Usage | None = None


class OpenAiEmbeddings:
    """Embeddings. Pure mapping."""

    def max_texts(self, target: Deployment) -> int:
        del target
        return 2048

    def build(self, request: EmbeddingRequest, target: Deployment) -> WireRequest:
        quirks = vendor_of(target).quirks
        body: dict[str, JsonValue] = {"model": target.model_id, "input": list(request.texts)}
        if not quirks.has_byte_vectors:
            body["encoding_format"] = "float"
        if request.dimensions is not None:
            body["dimensions"] = request.dimensions
        return WireRequest(path_for(target, "/embeddings"), body, headers_for(target, quirks))

    def parse(self, payload: JsonObject, target: Deployment) -> EmbeddingResponse:
        try:
            reply = msgspec.convert(payload, _Reply)
        except msgspec.ValidationError as error:
            raise MalformedReplyError(f"{target.name}: {error}", deployment=target.name) from error
        ordered = sorted(enumerate(reply.data), key=lambda pair: pair[0] if pair[1].index is None else pair[1].index)
        return EmbeddingResponse(
            vectors=tuple(_numbers(vector.embedding, target) for _, vector in ordered),
            usage=None if reply.usage is None else Usage(reply.usage.prompt_tokens, 0),
            model=reply.model or "",
        )


def _numbers(embedding: tuple[float, ...] | str, target: Deployment) -> tuple[float, ...]:
    if not isinstance(embedding, str):
        return embedding
    try:
        raw = base64.b64decode(embedding, validate=True)
    except binascii.Error as error:
        raise MalformedReplyError(f"{target.name}: a vector is no base64", deployment=target.name) from error
    if vendor_of(target).quirks.has_byte_vectors:
        return tuple(float(number) for number in struct.unpack(f"<{len(raw)}b", raw))
    if len(raw) % 4:
        raise MalformedReplyError(f"{target.name}: a vector is cut", deployment=target.name)
    return struct.unpack(f"<{len(raw) // 4}f", raw)
