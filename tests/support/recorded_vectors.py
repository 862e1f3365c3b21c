"""Recorded embeddings and rerank traffic, read by our dialect code."""

import json
from typing import Any

from bridge.chat import Usage
from bridge.errors import ProviderError
from bridge.providers.adapter import EmbeddingAdapter, RerankAdapter
from bridge.providers.rejections import to_error
from tests.support.recorded_traffic import Recording, error_pairs, recorded_deployment


class VectorRecording:
    """Embeddings traffic of one dialect."""

    def __init__(self, dialect: str, recording: Recording, adapter: EmbeddingAdapter) -> None:
        self.recording = recording
        self._dialect = dialect
        self._adapter = adapter

    def differences(self, record_id: str) -> dict[str, tuple[object, object]]:
        """Field -> (expected, ours) where they differ."""
        record, expected = self.recording.records[record_id], self.recording.expectations[record_id]
        target = recorded_deployment(record["provider"], self._dialect)
        reply = record["response"]
        if reply["status"] >= 400:
            return refused(expected, to_error(reply["status"], reply["headers"], reply["body"].encode(), target))
        response = self._adapter.parse(json.loads(reply["body"]), target)
        pairs: dict[str, tuple[object, object]] = {
            "vectors": (expected.get("vectors"), len(response.vectors)),
            "dims": ({expected.get("dims")}, {len(vector) for vector in response.vectors}),
            "usage": (input_of(expected), counted(response.usage)),
        }
        return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def rerank_differences(
    recording: Recording, adapter: RerankAdapter, dialect: str, record_id: str
) -> dict[str, tuple[object, object]]:
    """Field -> (expected, ours) where they differ."""
    record, expected = recording.records[record_id], recording.expectations[record_id]
    target = recorded_deployment(record["provider"], dialect)
    ranking = [one.index for one in adapter.parse(json.loads(record["response"]["body"]), target).results]
    return {} if ranking == expected["ranking"] else {"ranking": (expected["ranking"], ranking)}


def refused(expected: dict[str, Any], error: ProviderError) -> dict[str, tuple[object, object]]:
    """The same for an error."""
    pairs = error_pairs(expected["error"], error)
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def input_of(expected: dict[str, Any]) -> int | None:
    """The expected input tokens; vendors that say nothing have none."""
    usage: dict[str, int] = expected.get("usage", {})
    return usage.get("input_tokens")


def counted(usage: Usage | None) -> int | None:
    """Ours."""
    return None if usage is None else usage.input_tokens
