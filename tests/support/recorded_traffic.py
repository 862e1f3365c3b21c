"""Recorded traffic of real providers, read by our dialect code and compared field by field with expectations.

Records and expectations were made by others (`tests/contract/recorded/LICENSES`). Streams are read whole, or cut at
random bytes when a seed is given.
"""

import gzip
import json
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from bridge.catalog.deployments import Deployment
from bridge.catalog.entries import ModelEntry
from bridge.chat import ChatResponse, ToolCall
from bridge.errors import ProviderError
from bridge.providers.adapter import chat_adapter
from bridge.providers.rejections import to_error
from bridge.streaming import ChunkFold, EventDecoder

FOLDER = Path(__file__).parents[1] / "contract" / "recorded"
TOKEN_KEYS = ("input_tokens", "output_tokens", "cached_tokens", "cache_write_tokens", "reasoning_tokens")
STREAM_TYPES = ("event-stream", "ndjson", "stream+json")


@dataclass(frozen=True)
class Outcome:
    """What came of a record: an answer, an error, or a part of an answer and then an error."""

    answer: ChatResponse
    error: ProviderError | None = None


class Recording:
    """The records of one folder and what is expected of each, by id."""

    def __init__(self, folder: str) -> None:
        self._folder = FOLDER / folder

    @cached_property
    def records(self) -> dict[str, dict[str, Any]]:
        return {record["id"]: record for record in self._lines("records.jsonl.gz")}

    @cached_property
    def expectations(self) -> dict[str, dict[str, Any]]:
        return {expected["id"]: expected for expected in self._lines("expected.jsonl.gz")}

    def _lines(self, name: str) -> Iterator[dict[str, Any]]:
        with gzip.open(self._folder / name, "rt", encoding="utf-8", newline="\n") as file:
            for line in file:
                yield json.loads(line)


@dataclass(frozen=True)
class ChatRecording:
    """Chat traffic of one dialect.

    `exceptions`: records that are read otherwise than expected, each with the reason. `restated`: numbers of the
    expectations that our Usage counts otherwise, by record; they hold the vendor's own numbers, while our
    `input_tokens` include cached and cache-written ones and our `output_tokens` reasoning.
    """

    dialect: str
    recording: Recording
    exceptions: Mapping[str, str] = field(default_factory=dict[str, str])
    restated: Mapping[str, Mapping[str, int]] = field(default_factory=dict[str, Mapping[str, int]])

    def outcome_of(self, record_id: str, *, seed: int | None = None) -> Outcome:
        """The record as our code reads it; a stream is cut at random bytes when there is a seed."""
        record = self.recording.records[record_id]
        target = recorded_deployment(record["provider"], self.dialect)
        response = record["response"]
        body = response["body"].encode()
        nothing = ChunkFold().response()
        if response["status"] >= 400:
            return Outcome(nothing, to_error(response["status"], response["headers"], body, target))
        content_type = response["headers"].get("content-type", "")
        if any(kind in content_type for kind in STREAM_TYPES):
            rng = None if seed is None else random.Random(f"{record_id}:{seed}")
            return self.read_stream(body, target, rng)
        try:
            return Outcome(chat_adapter(self.dialect).parse(json.loads(body), target))
        except ProviderError as error:
            return Outcome(nothing, error)

    def read_stream(self, body: bytes, target: Deployment, rng: random.Random | None) -> Outcome:
        """What a stream spells."""
        decoder, reader, total = EventDecoder(), chat_adapter(self.dialect).reader(target), ChunkFold()
        pieces = [body] if rng is None else cut(body, rng)
        events = [event for piece in pieces for event in decoder.feed(piece)] + decoder.finish()
        try:
            for event in events:
                for chunk in reader.read(event):
                    total.add(chunk)
        except ProviderError as error:
            return Outcome(total.response(), error)
        return Outcome(total.response())

    def differences(self, record_id: str, *, seed: int | None = None) -> dict[str, tuple[object, object]]:
        """Field -> (expected, ours) where they differ."""
        expected = self.recording.expectations[record_id]
        outcome = self.outcome_of(record_id, seed=seed)
        answer, error = outcome.answer, outcome.error
        pairs: dict[str, tuple[object, object]] = {}
        if "text" in expected:
            pairs["text"] = expected["text"], answer.text
            pairs["tool_calls"] = expected["tool_calls"], [decoded(call) for call in answer.tool_calls]
            pairs["finish_reason"] = expected["finish_reason"], answer.finish_reason
            pairs["usage"] = self.normalised(expected), counted(answer, expected.get("usage"))
        if "reasoning" in expected:
            pairs["reasoning"] = expected["reasoning"], answer.reasoning
        pairs["has_error"] = "error" in expected, error is not None
        if "error" in expected and error is not None:
            pairs |= error_pairs(expected["error"], error)
        return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}

    def normalised(self, expected: dict[str, Any]) -> dict[str, int] | None:
        """The expected usage in our terms."""
        usage: dict[str, int] | None = expected.get("usage")
        if not usage:
            return None
        return {key: usage[key] for key in TOKEN_KEYS if key in usage} | dict(self.restated.get(expected["id"], {}))


def recorded_deployment(provider: str, dialect: str) -> Deployment:
    """A deployment like the one a record came from."""
    entry = ModelEntry(name=f"{provider}/m", provider=provider, model_id="m")
    base_url = "https://provider.test" if dialect == "ollama" else "https://provider.test/v1"
    return Deployment(entry.name, provider, "m", dialect, base_url, entry, api_key="secret-key")


def cut(body: bytes, rng: random.Random) -> list[bytes]:
    """The bytes in pieces of random size."""
    pieces: list[bytes] = []
    while body:
        size = rng.choice((1, 2, 3, 7, 50, 1000))
        pieces.append(body[:size])
        body = body[size:]
    return pieces


def error_pairs(said: dict[str, Any], error: ProviderError) -> dict[str, tuple[object, object]]:
    """What an error is expected to carry beside what it does."""
    message = said["message"].strip('"')
    words = [said[key] for key in ("code", "type") if not str(said.get(key, "0")).isdigit()]
    return {
        "status": (said.get("status", error.status), error.status),
        "code": (words[0] if words else None, error.code),
        "message": (True, " ".join(message.split()) in " ".join(str(error).split())),
        "retry_after_s": (said.get("retry_after_s"), error.retry_after_s),
    }


def decoded(call: ToolCall) -> dict[str, object]:
    """A tool call with its arguments read."""
    try:
        return {"name": call.name, "arguments": json.loads(call.arguments) if call.arguments else {}}
    except ValueError:
        return {"name": call.name, "arguments": {"_unparsed": call.arguments}}


def counted(answer: ChatResponse, expected: dict[str, int] | None) -> dict[str, int] | None:
    """Our usage, of the numbers that the expectation names."""
    if answer.usage is None:
        return None
    return {key: getattr(answer.usage, key) for key in TOKEN_KEYS if expected is None or key in expected}
