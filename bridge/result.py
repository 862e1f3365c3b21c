"""What a call gives back: the answer, and how it was obtained."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from bridge.call_record import CallRecord
from bridge.chat import ChatResponse, StreamChunk
from bridge.json_types import JsonValue


@dataclass(frozen=True, slots=True)
class ChatResult:
    """An answer and the record of how it was obtained."""

    response: ChatResponse
    parsed: JsonValue
    """The validated JSON when the request had a response format, else None."""
    record: CallRecord


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
