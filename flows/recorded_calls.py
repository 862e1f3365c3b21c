"""Model calls as JSON and back: what was asked, what came, who answered and what it cost.

What comes back is the same answer or the same error; of how it was obtained, as much as nodes and records look at.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, cast

import msgspec

from bridge.call_record import AttemptRecord, CallContext, CallRecord
from bridge.chat import ChatRequest, ChatResponse, ReasoningPart, ToolCall, Usage
from bridge.decision import Candidate, Decision, Snapshot
from bridge.errors import BridgeError
from bridge.json_types import JsonObject, JsonValue
from bridge.result import ChatResult
from flows.redaction import without_secrets
from nodes.context import ModelExchange

_NESTED = {
    "usage": Usage | None,
    "tool_calls": tuple[ToolCall, ...],
    "reasoning_parts": tuple[ReasoningPart, ...],
}
"""Fields of an answer that are values of their own; the others are JSON as they are."""


@dataclass(frozen=True, slots=True)
class RecordedCall:
    """One call. Exactly one of `answer` and `error` is there."""

    fingerprint: str
    request: JsonObject
    """As it was made, without credentials: for people. The fingerprint is what counts."""
    answer: JsonObject | None
    parsed: JsonValue
    error: JsonObject | None
    record: JsonObject | None
    """Call id, decision id, attempts; None when the call was refused before it began."""

    def to_json(self) -> dict[str, JsonValue]:
        """The call as it is stored."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def from_json(cls, stored: JsonObject) -> "RecordedCall":
        """The call that `to_json` wrote."""
        return cls(**cast("dict[str, Any]", stored))

    def restored(self, context: CallContext, at: datetime) -> ChatResult:
        """The answer once more. Raises the error that the call ended with."""
        record = None if self.record is None else _restored_record(self.record, context, at)
        if self.answer is None:
            raise _restored_error(self.error or {}, record)
        assert record is not None
        return ChatResult(_restored_answer(self.answer), self.parsed, record)

    @property
    def cost_nano_usd(self) -> int | None:
        """What it cost when it was made; None when a price was unknown."""
        attempts = cast("list[JsonObject]", (self.record or {}).get("attempts") or [])
        costs = [cast("int | None", attempt["cost_nano_usd"]) for attempt in attempts]
        return None if None in costs else sum(cost or 0 for cost in costs)


def request_fingerprint(request: ChatRequest) -> str:
    """The same for requests that ask for the same."""
    return hashlib.sha256(_CANONICAL.encode(request)).hexdigest()


def recorded_call(exchange: ModelExchange) -> RecordedCall:
    """The exchange as it is kept."""
    result, error = exchange.result, exchange.error
    record = result.record if result is not None else getattr(error, "call", None)
    request = cast("JsonObject", msgspec.json.decode(_CANONICAL.encode(exchange.request)))
    return RecordedCall(
        fingerprint=request_fingerprint(exchange.request),
        request=cast("JsonObject", without_secrets({key: value for key, value in request.items() if value})),
        answer=None if result is None else _builtins(result.response),
        parsed=None if result is None else result.parsed,
        error=None if error is None else _kept_error(error),
        record=_kept_record(record) if isinstance(record, CallRecord) else None,
    )


def _kept_record(record: CallRecord) -> JsonObject:
    decision = record.decision
    first = next((one for one in decision.candidates if one.is_eligible), None) if decision is not None else None
    return {
        "call_id": record.call_id,
        "requested": record.requested,
        "decision_id": decision.id if decision is not None else None,
        "chosen": None if first is None else {"model": first.model, "provider": first.provider},
        "attempts": [_builtins(attempt) for attempt in record.attempts],
        "status": record.status,
        "cache": record.cache,
    }


def _restored_record(kept: JsonObject, context: CallContext, at: datetime) -> CallRecord:
    chosen = cast("Mapping[str, str] | None", kept["chosen"])
    decision_id = cast("str | None", kept["decision_id"])
    decision = None
    if decision_id is not None:
        candidates = () if chosen is None else (Candidate("", chosen["model"], chosen["provider"], True, "recorded"),)
        decision = Decision(decision_id, str(kept["requested"]), None, "recorded", "", 0, (), candidates, Snapshot())
    return CallRecord(
        call_id=str(kept["call_id"]),
        context=context,
        requested=str(kept["requested"]),
        alias=None,
        decision=decision,
        attempts=msgspec.convert(kept["attempts"], tuple[AttemptRecord, ...]),
        status=cast("Any", kept["status"]),
        cache=cast("Any", kept["cache"]),
        is_stream=False,
        started_at=at,
        finished_at=at,
    )


def _restored_answer(kept: JsonObject) -> ChatResponse:
    values: dict[str, Any] = dict(kept)
    for name, kind in _NESTED.items():
        values[name] = msgspec.convert(kept[name], cast("Any", kind))
    others = cast("list[JsonObject]", kept["other_choices"])
    values["other_choices"] = tuple[Any, ...](_restored_answer(other) for other in others)
    return ChatResponse(**values)


def _kept_error(error: BridgeError) -> JsonObject:
    held = {name: value for name, value in vars(error).items() if name != "call" and not name.startswith("_")}
    plain = {name: value for name, value in held.items() if isinstance(value, str | int | float | bool | None)}
    return {"type": type(error).__name__, "message": str(error), "facts": plain}


def _restored_error(kept: JsonObject, record: CallRecord | None) -> BridgeError:
    """An error of the same class, text and facts. One of a class that is gone is a plain BridgeError."""
    cls = _error_classes().get(str(kept.get("type")), BridgeError)
    error = cls.__new__(cls)
    Exception.__init__(error, str(kept.get("message")))
    vars(error).update(cast("dict[str, Any]", kept.get("facts") or {}))
    error.call = record
    return error


def _error_classes() -> dict[str, type[BridgeError]]:
    found: dict[str, type[BridgeError]] = {}
    pending: list[type[BridgeError]] = [BridgeError]
    while pending:
        cls = pending.pop()
        found.setdefault(cls.__name__, cls)
        pending += cls.__subclasses__()
    return found


def _builtins(value: object) -> JsonObject:
    return cast("JsonObject", msgspec.json.decode(_CANONICAL.encode(value)))


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]  # any mapping will do
    if isinstance(value, frozenset | set):
        return sorted(str(item) for item in value)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]  # any items
    raise TypeError(f"{type(value).__name__} cannot be recorded")


_CANONICAL = msgspec.json.Encoder(enc_hook=_plain, order="deterministic")
