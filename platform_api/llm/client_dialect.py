"""What a dialect of our clients is to the data plane: requests in; replies, events and errors out. Pure mapping."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from bridge.chat import ChatRequest, ChatResponse, StreamChunk
from bridge.result import ChatResult
from platform_api.errors import Problem
from platform_api.limits.windows import Room


class InvalidRequestError(Exception):
    """The body is no request we can serve. `param` is the field at fault, when there is one (`messages[0].role`)."""

    def __init__(self, message: str, *, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param


@dataclass(frozen=True, slots=True)
class AnswerFacts:
    """What an answer tells about itself."""

    call_id: str
    model: str
    """Who answers, `provider/model`."""
    created: int
    """Unix time in seconds."""


class StreamEncoder(Protocol):
    """Turns the chunks of one answer into the bytes of events."""

    def chunk(self, chunk: StreamChunk) -> bytes:
        """The events for one chunk; empty when it holds nothing that a client reads now."""
        ...

    def end(self, result: ChatResult) -> bytes:
        """The last events, end mark included."""
        ...


class ClientCall(Protocol):
    """A request that was read, and how its answer is written."""

    @property
    def request(self) -> ChatRequest: ...
    @property
    def is_stream(self) -> bool: ...
    def reply(self, response: ChatResponse, facts: AnswerFacts) -> bytes:
        """The body of a whole answer."""
        ...

    def encoder(self, facts: AnswerFacts) -> StreamEncoder:
        """For a streamed answer; made when its first chunk is there."""
        ...


class ErrorDialect(Protocol):
    """How errors are told."""

    def error(self, problem: Problem, param: str | None) -> tuple[int, bytes]:
        """Status and body."""
        ...

    def headers(self) -> list[tuple[bytes, bytes]]:
        """Of every answer, beside ours."""
        ...

    def limit_headers(self, rooms: Sequence[Room]) -> list[tuple[bytes, bytes]]:
        """What is left of the caller's limits."""
        ...

    def error_event(self, problem: Problem) -> bytes:
        """An error in the middle of a stream. No end mark follows: a cut answer must not look finished."""
        ...


class ChatDialect(ErrorDialect, Protocol):
    """A way to ask for chat answers."""

    def read(self, raw: bytes) -> ClientCall:
        """The body, parsed once. Raises InvalidRequestError."""
        ...
