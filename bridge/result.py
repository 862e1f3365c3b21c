"""What a call gives back: the answer, and how it was obtained."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from bridge.call_record import CacheOutcome, CallRecord
from bridge.chat import ChatResponse, StreamChunk
from bridge.json_types import JsonValue


@dataclass(frozen=True, slots=True)
class ChatResult:
    """An answer and the record of how it was obtained."""

    response: ChatResponse
    parsed: JsonValue
    """The validated JSON when the request had a response format, else None."""
    record: CallRecord


@dataclass(frozen=True, slots=True)
class StreamProgress:
    """What is known of a streamed call from its first chunk on."""

    call_id: str
    started_at: datetime
    model: str = ""
    """Which model answers (`provider/model`); empty before the first chunk and for a cached answer."""
    provider: str = ""
    n_attempts: int = 0
    cache: CacheOutcome = "off"
    waited_ms: float = 0.0
    """How long the first content was waited for: attempts, pauses and reservations."""


class ChatStream(Protocol):
    """A streamed answer: iterate the chunks, then read `result`."""

    def __aiter__(self) -> AsyncIterator[StreamChunk]: ...

    async def aclose(self) -> None:
        """Stop. What was produced is billed and recorded as cancelled. Idempotent."""
        ...

    @property
    def result(self) -> ChatResult:
        """The folded answer; only after the iteration has ended."""
        ...
