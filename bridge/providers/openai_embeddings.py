"""The embeddings dialect of OpenAI and its imitators. Source: OpenAI API reference, "Embeddings"."""

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
    embedding: tuple[float, ...]
    index: int | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int = 0


class _Reply(msgspec.Struct):
    data: list[_Vector]
    model: str | None = None
    usage: _Usage | None = None


class OpenAiEmbeddings:
    """Embeddings. Pure mapping."""

    def build(self, request: EmbeddingRequest, target: Deployment) -> WireRequest:
        body: dict[str, JsonValue] = {
            "model": target.model_id,
            "input": list(request.texts),
            "encoding_format": "float",
        }
        if request.dimensions is not None:
            body["dimensions"] = request.dimensions
        quirks = vendor_of(target).quirks
        return WireRequest(path_for(target, "/embeddings"), body, headers_for(target, quirks))

    def parse(self, payload: JsonObject, target: Deployment) -> EmbeddingResponse:
        try:
            reply = msgspec.convert(payload, _Reply)
        except msgspec.ValidationError as error:
            raise MalformedReplyError(f"{target.name}: {error}", deployment=target.name) from error
        ordered = sorted(enumerate(reply.data), key=lambda pair: pair[0] if pair[1].index is None else pair[1].index)
        return EmbeddingResponse(
            vectors=tuple(vector.embedding for _, vector in ordered),
            usage=None if reply.usage is None else Usage(reply.usage.prompt_tokens, 0),
            model=reply.model or "",
        )
