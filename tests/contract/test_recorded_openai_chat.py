"""Recorded traffic of 13 vendors in the OpenAI chat dialect, read by our dialect code and compared field by field.

Records and expectations were made by others (`recorded/openai_chat/LICENSES`); streams are cut at random bytes.
"""

import gzip
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from bridge.catalog.deployments import Deployment
from bridge.catalog.entries import ModelEntry
from bridge.chat import ChatResponse, ToolCall
from bridge.errors import ProviderError
from bridge.providers.openai_chat import OpenAiChat
from bridge.providers.rejections import to_error
from bridge.streaming import ChunkFold, EventDecoder

FOLDER = Path(__file__).parent / "recorded" / "openai_chat"

EXCEPTIONS: dict[str, str] = {
    "openrouter.chat.6316b73607": "an error event ends the stream: the usage in the same event is not read",
}
"""Records that we read otherwise than expected, each with the reason."""

RESTATED: dict[str, dict[str, int]] = {
    # total_tokens = input + output + 28 (62) of reasoning, which is billed as output
    "gemini.chat_compat.41ff2fb074": {"output_tokens": 34},
    "gemini.chat_compat.92dd26aa88": {"output_tokens": 74},
    # total_tokens = input + 375 audio tokens + output
    "mistral.chat.137339cbdc": {"input_tokens": 384},
    # reasoning is counted beside the output
    "xai.chat.aa31731272": {"output_tokens": 342},
    "xai.chat.bdcc696f8e": {"output_tokens": 322},
    "xai.chat.c30468efa0": {"output_tokens": 281},
    # more cached tokens than input: they are counted beside it
    "azure.chat.13d87ee4c1": {"input_tokens": 377 + 515},
    "azure.chat.407919fda4": {"input_tokens": 325 + 492},
    "azure.chat.6f19abbb0f": {"input_tokens": 293 + 387},
    "azure.chat.6fdece91b7": {"input_tokens": 29 + 157},
    "azure.chat.a941c36221": {"input_tokens": 78 + 158},
    "azure.chat.bfb12ae33d": {"input_tokens": 347 + 403},
}
"""The expectations hold each vendor's own numbers; our Usage has audio and cached tokens in the input and reasoning
in the output."""

LEAST_SHARE = 0.99


@dataclass(frozen=True)
class Outcome:
    """What came of a record: an answer, an error, or a part of an answer and then an error."""

    answer: ChatResponse
    error: ProviderError | None = None


def lines(name: str) -> Iterator[dict[str, Any]]:
    with gzip.open(FOLDER / name, "rt", encoding="utf-8", newline="\n") as file:
        for line in file:
            yield json.loads(line)


@cache
def records() -> dict[str, dict[str, Any]]:
    return {record["id"]: record for record in lines("records.jsonl.gz")}


@cache
def expectations() -> dict[str, dict[str, Any]]:
    return {expected["id"]: expected for expected in lines("expected.jsonl.gz")}


def deployment(provider: str) -> Deployment:
    entry = ModelEntry(name=f"{provider}/m", provider=provider, model_id="m")
    return Deployment(entry.name, provider, "m", "openai", "https://provider.test/v1", entry, api_key="secret-key")


def outcome_of(record: dict[str, Any]) -> Outcome:
    target = deployment(record["provider"])
    response = record["response"]
    body = response["body"].encode()
    nothing = ChunkFold().response()
    if response["status"] >= 400:
        return Outcome(nothing, to_error(response["status"], response["headers"], body, target))
    if "event-stream" in response["headers"].get("content-type", ""):
        return read_stream(body, target, random.Random(record["id"]))
    try:
        return Outcome(OpenAiChat().parse(json.loads(body), target))
    except ProviderError as error:
        return Outcome(nothing, error)


def read_stream(body: bytes, target: Deployment, rng: random.Random) -> Outcome:
    decoder, reader, total = EventDecoder(), OpenAiChat().reader(target), ChunkFold()
    pieces: list[bytes] = []
    while body:
        size = rng.choice((1, 2, 3, 7, 50, 1000))
        pieces.append(body[:size])
        body = body[size:]
    events = [event for piece in pieces for event in decoder.feed(piece)] + decoder.finish()
    try:
        for event in events:
            for chunk in reader.read(event):
                total.add(chunk)
    except ProviderError as error:
        return Outcome(total.response(), error)
    return Outcome(total.response())


def differences(expected: dict[str, Any], outcome: Outcome) -> dict[str, tuple[object, object]]:
    """Field -> (expected, ours) where they differ."""
    pairs: dict[str, tuple[object, object]] = {}
    answer, error = outcome.answer, outcome.error
    if "text" in expected:
        pairs["text"] = expected["text"], answer.text
        pairs["tool_calls"] = expected["tool_calls"], [decoded(call) for call in answer.tool_calls]
        pairs["finish_reason"] = expected["finish_reason"], answer.finish_reason
        pairs["usage"] = normalised(expected), counted(answer, expected.get("usage"))
    if "reasoning" in expected:
        pairs["reasoning"] = expected["reasoning"], answer.reasoning
    pairs["has_error"] = "error" in expected, error is not None
    if "error" in expected and error is not None:
        pairs |= error_pairs(expected["error"], error)
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def error_pairs(said: dict[str, Any], error: ProviderError) -> dict[str, tuple[object, object]]:
    message = said["message"].strip('"')
    words = [said[key] for key in ("code", "type") if not str(said.get(key, "0")).isdigit()]
    return {
        "status": (said.get("status", error.status), error.status),
        "code": (words[0] if words else None, error.code),
        "message": (True, message in str(error)),
        "retry_after_s": (said.get("retry_after_s"), error.retry_after_s),
    }


def decoded(call: ToolCall) -> dict[str, object]:
    try:
        return {"name": call.name, "arguments": json.loads(call.arguments) if call.arguments else {}}
    except ValueError:
        return {"name": call.name, "arguments": {"_unparsed": call.arguments}}


TOKEN_KEYS = ("input_tokens", "output_tokens", "cached_tokens", "cache_write_tokens", "reasoning_tokens")


def normalised(expected: dict[str, Any]) -> dict[str, int] | None:
    usage: dict[str, int] | None = expected.get("usage")
    if usage is None:
        return None
    return {key: usage[key] for key in TOKEN_KEYS if key in usage} | RESTATED.get(expected["id"], {})


def counted(answer: ChatResponse, expected: dict[str, int] | None) -> dict[str, int] | None:
    if answer.usage is None:
        return None
    return {key: getattr(answer.usage, key) for key in TOKEN_KEYS if expected is None or key in expected}


@pytest.mark.parametrize("record_id", sorted(records()))
def test_a_recorded_reply_is_read_as_expected(record_id: str) -> None:
    found = differences(expectations()[record_id], outcome_of(records()[record_id]))

    assert bool(found) == (record_id in EXCEPTIONS), found


def test_nearly_all_of_the_recorded_traffic_is_read_as_expected() -> None:
    read = [key for key in records() if not differences(expectations()[key], outcome_of(records()[key]))]

    assert len(records()) == 294
    assert len(read) / len(records()) >= LEAST_SHARE
