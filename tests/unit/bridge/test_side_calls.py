from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from bridge.call_record import CallContext, CallRecord
from bridge.config import BridgeConfig
from bridge.embedding import EmbeddingRequest
from bridge.errors import MalformedReplyError, NoRouteError, UnavailableError, UnsupportedFeatureError
from bridge.gateway import Bridge
from bridge.rerank import RerankRequest
from bridge.transport import Endpoint, Timeouts, WireReply, WireRequest, encode_json

CONTEXT = CallContext(org_id="org")


class Embeddings:
    """A provider of embeddings and rankings; `script` says what each request gets, in turn."""

    def __init__(self, *statuses: int, extra: int = 0) -> None:
        self.statuses = list(statuses)
        self.requests: list[tuple[str, WireRequest]] = []
        self._extra = extra

    async def send(self, request: WireRequest, target: Endpoint, *, limits: Timeouts) -> WireReply:
        del limits
        self.requests.append((target.name, request))
        status = self.statuses.pop(0) if self.statuses else 200
        if status != 200:
            return WireReply(status, {}, b'{"error": {"message": "no"}}')
        body: Mapping[str, Any] = request.body
        if "query" in body:
            results = [
                {"index": n, "relevance_score": 1 / (n + 1)} for n in range(len(body["documents"]) + self._extra)
            ]
            return WireReply(200, {}, encode_json({"results": results, "usage": {"prompt_tokens": 9}}))
        vectors = [{"index": n, "embedding": [float(n), float(len(text))]} for n, text in enumerate(body["input"])]
        reply = {"data": vectors[self._extra :], "model": "m", "usage": {"prompt_tokens": 3 * len(vectors)}}
        return WireReply(200, {}, encode_json(reply))

    def open_stream(self, request: WireRequest, target: Endpoint, *, limits: Timeouts) -> Any:
        raise AssertionError("nothing here is streamed")

    async def aclose(self) -> None:
        pass


class Kept:
    def __init__(self) -> None:
        self.calls: list[CallRecord] = []

    def record(self, call: CallRecord) -> None:
        self.calls.append(call)


def bridge(provider: Embeddings, sinks: Sequence[Kept] = ()) -> Bridge:
    price = {"input_usd_per_mtok": 1.0, "output_usd_per_mtok": 0.0}
    config = {
        "providers": {name: {"dialect": "openai", "base_url": "http://x/v1"} for name in ("one", "two")},
        "models": {
            "one/e": {"capabilities": ["embeddings", "rerank"], **price},
            "two/e": {"capabilities": ["embeddings"], **price},
            "one/chat": {"capabilities": ["chat"], **price},
        },
        "aliases": {"meaning": {"policy": "priority", "candidates": ["one/e", "two/e"]}},
        "retry": {"max_per_target": 1},
    }
    return Bridge(BridgeConfig.parse(config), transports={"http": provider}, sinks=sinks)


async def test_vectors_come_in_the_order_of_the_texts_with_one_record() -> None:
    provider, kept = Embeddings(), Kept()

    result = await bridge(provider, [kept]).embed(EmbeddingRequest("meaning", ("a", "bbb")), CONTEXT)

    assert result.response.vectors == ((0.0, 1.0), (1.0, 3.0))
    assert result.record is kept.calls[0]
    assert (result.record.alias, result.record.cost_nano_usd) == ("meaning", 6000)


async def test_a_provider_that_fails_is_made_up_for_by_the_next() -> None:
    provider = Embeddings(500)

    result = await bridge(provider).embed(EmbeddingRequest("meaning", ("a",)), CONTEXT)

    assert [name for name, _ in provider.requests] == ["one/e", "two/e"]
    assert [attempt.outcome for attempt in result.record.attempts] == ["failed", "succeeded"]


async def test_many_texts_go_in_batches_to_one_and_the_same_model() -> None:
    provider = Embeddings(500, 200, 500)
    texts = tuple("x" * (n % 7) for n in range(3000))

    with pytest.raises(UnavailableError):
        await bridge(provider).embed(EmbeddingRequest("meaning", texts), CONTEXT)

    assert [(name, len(request.body["input"])) for name, request in provider.requests] == [  # pyright: ignore[reportArgumentType]
        ("one/e", 2048),
        ("two/e", 2048),
        ("two/e", 952),
    ]


async def test_batches_are_joined_and_their_tokens_summed() -> None:
    result = await bridge(Embeddings()).embed(EmbeddingRequest("one/e", ("x",) * 2049), CONTEXT)

    assert len(result.response.vectors) == 2049
    assert result.response.usage is not None
    assert result.response.usage.input_tokens == 3 * 2049
    assert len(result.record.attempts) == 2


async def test_documents_are_ranked_by_a_model_that_can() -> None:
    result = await bridge(Embeddings()).rerank(RerankRequest("meaning", "q", ("a", "b")), CONTEXT)

    assert [one.index for one in result.response.results] == [0, 1]
    assert result.record.decision is not None
    assert result.record.decision.dropped == {"two/e": "lacks rerank"}


@pytest.mark.parametrize("model", ["one/chat", "two/e"])
async def test_a_model_that_cannot_rank_is_refused_clearly(model: str) -> None:
    with pytest.raises((NoRouteError, UnsupportedFeatureError), match="rerank"):
        await bridge(Embeddings()).rerank(RerankRequest(model, "q", ("a",)), CONTEXT)


async def test_a_missing_vector_and_an_unknown_document_are_no_answers() -> None:
    with pytest.raises(MalformedReplyError, match="1 vectors for 2 texts"):
        await bridge(Embeddings(extra=1)).embed(EmbeddingRequest("one/e", ("a", "b")), CONTEXT)
    with pytest.raises(MalformedReplyError, match="not given"):
        await bridge(Embeddings(extra=1)).rerank(RerankRequest("one/e", "q", ("a",)), CONTEXT)


async def test_nothing_to_do_is_refused_before_anything_is_asked() -> None:
    provider = Embeddings()
    with pytest.raises(UnsupportedFeatureError):
        await bridge(provider).embed(EmbeddingRequest("one/e", ()), CONTEXT)
    with pytest.raises(UnsupportedFeatureError):
        await bridge(provider).rerank(RerankRequest("one/e", "q", ()), CONTEXT)

    assert provider.requests == []


async def test_the_model_in_the_box_embeds_without_any_key() -> None:
    local = Bridge(BridgeConfig.parse({"providers": {"local": {}}}))

    result = await local.embed(EmbeddingRequest("local/wordllama", ("a cat", "a kitten", "tax law")), CONTEXT)

    cat, kitten, law = result.response.vectors
    assert len(cat) == 256
    assert sum(a * b for a, b in zip(cat, kitten, strict=True)) > sum(a * b for a, b in zip(cat, law, strict=True))
    assert result.record.cost_nano_usd == 0
    await local.aclose()
