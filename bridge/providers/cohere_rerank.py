"""The rerank dialect of Cohere, which Together and others speak too. Source: Cohere API reference, "Rerank (v2)"."""

import msgspec

from bridge.catalog.deployments import Deployment
from bridge.chat import Usage
from bridge.errors import MalformedReplyError
from bridge.json_types import JsonObject, JsonValue
from bridge.providers.cohere_endpoint import headers_for
from bridge.rerank import Ranked, RerankRequest, RerankResponse
from bridge.transport import WireRequest


class _Result(msgspec.Struct):
    index: int
    relevance_score: float


class _Billed(msgspec.Struct):
    search_units: float | None = None


class _Meta(msgspec.Struct):
    billed_units: _Billed | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int | None = None
    total_tokens: int | None = None


class _Reply(msgspec.Struct):
    results: list[_Result]
    model: str | None = None
    meta: _Meta | None = None
    usage: _Usage | None = None


class CohereRerank:
    """Rerank. Pure mapping."""

    def build(self, request: RerankRequest, target: Deployment) -> WireRequest:
        body: dict[str, JsonValue] = {
            "model": target.model_id,
            "query": request.query,
            "documents": list(request.documents),
        }
        if request.top_n is not None:
            body["top_n"] = request.top_n
        path = "/v2/rerank" if target.dialect == "cohere" else "/rerank"
        return WireRequest(path, body, headers_for(target))

    def parse(self, payload: JsonObject, target: Deployment) -> RerankResponse:
        try:
            reply = msgspec.convert(payload, _Reply)
        except msgspec.ValidationError as error:
            raise MalformedReplyError(f"{target.name}: {error}", deployment=target.name) from error
        counted = reply.usage.prompt_tokens or reply.usage.total_tokens if reply.usage is not None else None
        billed = reply.meta.billed_units if reply.meta is not None else None
        units = billed.search_units if billed is not None else None
        return RerankResponse(
            results=tuple(Ranked(one.index, one.relevance_score) for one in reply.results),
            usage=None if counted is None else Usage(counted, 0),
            model=reply.model or "",
            search_units=None if units is None else int(units),
        )
