"""Cohere's v2 embeddings dialect. Source: Cohere API reference, "Embed (v2)"."""

import msgspec

from bridge.catalog.deployments import Deployment
from bridge.chat import Usage
from bridge.embedding import EmbeddingRequest, EmbeddingResponse
from bridge.errors import MalformedReplyError
from bridge.json_types import JsonObject, JsonValue
from bridge.providers.cohere_endpoint import headers_for
from bridge.transport import WireRequest

INPUT_TYPES = {"query": "search_query", "document": "search_document", None: "search_document"}


class _Embeddings(msgspec.Struct):
    float_: list[tuple[float, ...]] = msgspec.field(name="float")


class _Billed(msgspec.Struct):
    input_tokens: float | None = None


class _Meta(msgspec.Struct):
    billed_units: _Billed | None = None


class _Reply(msgspec.Struct):
    embeddings: _Embeddings
    meta: _Meta | None = None


class CohereEmbed:
    """v2 embeddings. Pure mapping."""

    def max_texts(self, target: Deployment) -> int:
        del target
        return 96

    def build(self, request: EmbeddingRequest, target: Deployment) -> WireRequest:
        body: dict[str, JsonValue] = {
            "model": target.model_id,
            "texts": list(request.texts),
            "input_type": INPUT_TYPES[request.input_type],
            "embedding_types": ["float"],
        }
        if request.dimensions is not None:
            body["output_dimension"] = request.dimensions
        return WireRequest("/v2/embed", body, headers_for(target))

    def parse(self, payload: JsonObject, target: Deployment) -> EmbeddingResponse:
        try:
            reply = msgspec.convert(payload, _Reply)
        except msgspec.ValidationError as error:
            raise MalformedReplyError(f"{target.name}: {error}", deployment=target.name) from error
        billed = reply.meta.billed_units if reply.meta is not None else None
        usage = None if billed is None or billed.input_tokens is None else Usage(int(billed.input_tokens), 0)
        return EmbeddingResponse(vectors=tuple(reply.embeddings.float_), usage=usage)
