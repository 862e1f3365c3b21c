from dataclasses import replace
from typing import Any

import pytest

from bridge.chat import Usage
from bridge.embedding import EmbeddingRequest
from bridge.errors import MalformedReplyError
from bridge.providers.gemini_embed import GeminiEmbed
from tests.support.wire import deployment

API = replace(deployment(dialect="gemini", base_url="https://google.test", api_key="k"), model_id="gemini-embedding-1")
VERTEX = replace(API, base_url="https://google.test/v1/projects/p/locations/us/publishers/google")


def test_the_gemini_api_takes_a_batch() -> None:
    sent = GeminiEmbed().build(EmbeddingRequest("m", ("a", "b"), dimensions=64, input_type="query"), API)
    named = {"model": "models/gemini-embedding-1", "outputDimensionality": 64, "taskType": "RETRIEVAL_QUERY"}

    assert sent.path == "/v1beta/models/gemini-embedding-1:batchEmbedContents"
    assert sent.body == {"requests": [{**named, "content": {"parts": [{"text": text}]}} for text in ("a", "b")]}
    assert sent.headers == {"x-goog-api-key": "k"}
    assert GeminiEmbed().max_texts(API) == 100


def test_vertex_takes_one_text_a_call() -> None:
    sent = GeminiEmbed().build(EmbeddingRequest("m", ("a",)), VERTEX)

    assert sent.path == "/models/gemini-embedding-1:embedContent"
    assert sent.body == {"content": {"parts": [{"text": "a"}]}}
    assert GeminiEmbed().max_texts(VERTEX) == 1


@pytest.mark.parametrize(
    ("payload", "vectors"),
    [
        ({"embeddings": [{"values": [1, 2]}, {"values": [3, 4]}]}, ((1.0, 2.0), (3.0, 4.0))),
        ({"embedding": {"values": [1, 2]}}, ((1.0, 2.0),)),
        ({"embeddings": []}, ()),
    ],
)
def test_one_vector_and_many_are_read(payload: Any, vectors: Any) -> None:
    assert GeminiEmbed().parse(payload, API).vectors == vectors


def test_tokens_are_counted_where_they_are_told() -> None:
    told = {"embedding": {"values": [1]}, "usageMetadata": {"promptTokenCount": 4}}

    assert GeminiEmbed().parse(told, API).usage == Usage(4, 0)
    assert GeminiEmbed().parse({"embedding": {"values": [1]}}, API).usage is None


NO_VECTORS: list[Any] = [{}, {"embeddings": 7}, {"embeddings": [{}]}]


@pytest.mark.parametrize("payload", NO_VECTORS)
def test_what_holds_no_vectors_is_malformed(payload: Any) -> None:
    with pytest.raises(MalformedReplyError):
        GeminiEmbed().parse(payload, API)
