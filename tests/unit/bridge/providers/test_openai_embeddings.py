import pytest

from bridge.chat import Usage
from bridge.embedding import EmbeddingRequest
from bridge.errors import MalformedReplyError
from bridge.providers.openai_embeddings import OpenAiEmbeddings
from tests.support.wire import deployment


def test_texts_are_sent_as_one_request() -> None:
    wire = OpenAiEmbeddings().build(EmbeddingRequest("m", ("a", "b"), dimensions=8), deployment())

    assert wire.path == "/embeddings"
    assert wire.body == {"model": "m", "input": ["a", "b"], "encoding_format": "float", "dimensions": 8}


def test_vectors_come_in_the_order_of_the_texts() -> None:
    rows = [{"index": 1, "embedding": [2.0]}, {"index": 0, "embedding": [1.0]}]
    answer = OpenAiEmbeddings().parse({"data": rows, "model": "e", "usage": {"prompt_tokens": 4}}, deployment())

    assert answer.vectors == ((1.0,), (2.0,))
    assert answer.usage == Usage(4, 0)


def test_vectors_without_index_keep_their_order() -> None:
    answer = OpenAiEmbeddings().parse({"data": [{"embedding": [1.0]}, {"embedding": [2.0]}]}, deployment())

    assert answer.vectors == ((1.0,), (2.0,))
    assert answer.usage is None


def test_what_is_not_the_dialect_is_malformed() -> None:
    with pytest.raises(MalformedReplyError):
        OpenAiEmbeddings().parse({"data": "x"}, deployment())
