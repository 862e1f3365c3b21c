"""Recorded embeddings and rerank traffic of OpenAI's imitators, Google, Cohere and Together."""

import pytest

from bridge.providers.adapter import EMBEDDING_ADAPTERS, RERANK_ADAPTERS
from tests.support.recorded_traffic import Recording
from tests.support.recorded_vectors import VectorRecording, rerank_differences

TRAFFIC = {
    dialect: VectorRecording(dialect, Recording(folder), EMBEDDING_ADAPTERS[dialect])
    for dialect, folder in (("openai", "openai_embeddings"), ("gemini", "gemini_embed"), ("cohere", "cohere_embed"))
}
IN_BYTES = "256 and 1,024 numbers of one byte, as asked for; the expectation takes four bytes for one number"
EXCEPTIONS = {"perplexity.embeddings.3c77312abc": IN_BYTES, "perplexity.embeddings.ac33b8a82f": IN_BYTES}
RERANK = Recording("cohere_rerank")


@pytest.mark.parametrize(
    ("dialect", "record_id"),
    [(dialect, one) for dialect, traffic in TRAFFIC.items() for one in traffic.recording.records],
)
def test_recorded_embeddings_are_read_as_expected(dialect: str, record_id: str) -> None:
    found = TRAFFIC[dialect].differences(record_id)

    assert bool(found) == (record_id in EXCEPTIONS), found


@pytest.mark.parametrize("record_id", sorted(RERANK.records))
def test_recorded_rankings_are_read_as_expected(record_id: str) -> None:
    dialect = "cohere" if record_id.startswith("cohere") else "openai"

    assert rerank_differences(RERANK, RERANK_ADAPTERS[dialect], dialect, record_id) == {}


def test_all_of_the_recorded_traffic_is_there() -> None:
    assert [len(traffic.recording.records) for traffic in TRAFFIC.values()] == [20, 6, 7]
    assert len(RERANK.records) == 4
