"""What a run leaves behind so that it can be replayed: per step that costs or has effects, its input and its calls.

A recording belongs to one execution of a step: `draft`, `each[2].inner`. It is stored with the step's outcome, in one
transaction. The input is kept by its digest; what is shown of it has no credentials in it.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bridge.json_types import JsonObject, JsonValue
from flows.recorded_calls import RecordedCall

NOT_RECORDED = "not_recorded"
"""Reason of a failed step whose call a replay could not answer and did not make."""


@dataclass(frozen=True, slots=True)
class Given:
    """What a step was given: all that decides its outcome but the world."""

    digest: str
    shown: JsonObject
    """The rendered `with:` block without credentials."""


@dataclass(frozen=True, slots=True)
class Recording:
    """One execution of one step, as far as it cannot be computed again."""

    path: str
    type: str
    digest: str
    """Of the input; see `flows.recording.given_of`."""
    given: JsonObject
    calls: tuple[RecordedCall, ...] = ()
    """Model calls in the order they were made, those of failed attempts included."""
    is_whole: bool = True
    """False when an attempt was cut off: its calls do not tell all that happened."""
    output_text: str | None = None
    """The output as JSON text, keys in their order; None where it is long, or follows from the calls."""
    arm: str | None = None
    """The arm of the experiment that was taken."""


def digest_of(*parts: JsonValue) -> str:
    """SHA-256 over the canonical JSON of the parts: the order of keys does not matter."""
    return hashlib.sha256(canonical(parts).encode("utf-8", "surrogatepass")).hexdigest()


def canonical(value: JsonValue) -> str:
    """The same text for the same JSON value, however its keys are ordered and its numbers are kept."""
    return json.dumps(_plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _plain(value: JsonValue) -> JsonValue:
    """Numbers as databases give them back: a whole double is the same as an integer; no NUL in text."""
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, float):
        return int(value) if value.is_integer() and abs(value) < 2**53 else value
    if isinstance(value, str):
        return value.replace("\x00", "\ufffd")
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, Sequence) else value
