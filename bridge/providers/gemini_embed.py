"""Google's embeddings dialect. Source: Gemini API reference, "Embeddings", v1beta; Vertex AI, "embedContent"."""

import msgspec

from bridge.catalog.deployments import Deployment
from bridge.chat import Usage
from bridge.embedding import EmbeddingRequest, EmbeddingResponse
from bridge.errors import MalformedReplyError
from bridge.json_types import JsonObject, JsonValue
from bridge.providers.google_gemini import headers_for, is_vertex, path_for
from bridge.transport import WireRequest

TASK_TYPES = {"query": "RETRIEVAL_QUERY", "document": "RETRIEVAL_DOCUMENT"}


class _Values(msgspec.Struct):
    values: tuple[float, ...]


class _Counts(msgspec.Struct, rename="camel"):
    prompt_token_count: int | None = None


class _Reply(msgspec.Struct, rename="camel"):
    embeddings: list[_Values] | None = None
    embedding: _Values | None = None
    usage_metadata: _Counts | None = None


class GeminiEmbed:
    """batchEmbedContents; on Vertex AI embedContent, which takes one text a call. Pure mapping."""

    def max_texts(self, target: Deployment) -> int:
        return 1 if is_vertex(target) else 100

    def build(self, request: EmbeddingRequest, target: Deployment) -> WireRequest:
        asked: dict[str, JsonValue] = {}
        if request.dimensions is not None:
            asked["outputDimensionality"] = request.dimensions
        if request.input_type is not None:
            asked["taskType"] = TASK_TYPES[request.input_type]
        headers = headers_for(target)
        if is_vertex(target):
            content: JsonValue = {"parts": [{"text": request.texts[0]}]}
            return WireRequest(path_for(target, "embedContent"), {"content": content, **asked}, headers)
        model = target.model_id if "/" in target.model_id else f"models/{target.model_id}"
        requests: list[JsonValue] = [
            {"model": model, "content": {"parts": [{"text": text}]}, **asked} for text in request.texts
        ]
        return WireRequest(path_for(target, "batchEmbedContents"), {"requests": requests}, headers)

    def parse(self, payload: JsonObject, target: Deployment) -> EmbeddingResponse:
        try:
            reply = msgspec.convert(payload, _Reply)
        except msgspec.ValidationError as error:
            raise MalformedReplyError(f"{target.name}: {error}", deployment=target.name) from error
        found = reply.embeddings if reply.embeddings is not None else [reply.embedding] if reply.embedding else None
        if found is None:
            raise MalformedReplyError(f"{target.name}: the reply has no embeddings", deployment=target.name)
        counted = reply.usage_metadata.prompt_token_count if reply.usage_metadata is not None else None
        return EmbeddingResponse(
            vectors=tuple(one.values for one in found), usage=None if counted is None else Usage(counted, 0)
        )
