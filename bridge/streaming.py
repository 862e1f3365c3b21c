"""Server-sent events in, stream chunks folded into a whole answer. Bytes may be cut anywhere.

Source: WHATWG HTML, "Server-sent events"; newline-delimited JSON is read as one event a line.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from bridge.chat import ChatResponse, FinishReason, ReasoningPart, StreamChunk, ToolCall, ToolCallDelta, Usage
from bridge.json_types import JsonObject, JsonValue

MAX_EVENT_BYTES = 8 * 1024 * 1024
BOM = b"\xef\xbb\xbf"


class EventTooLargeError(ValueError):
    """One event of a stream is larger than `MAX_EVENT_BYTES`."""


class ServerSentEvent(NamedTuple):
    """One event. `name` is the value of `event:`, empty for the default."""

    data: str
    name: str = ""
    is_complete: bool = True
    """False: the stream ended inside the event."""


class EventDecoder:
    """Cuts a byte stream into events. Comments are dropped; CR, LF and CRLF end a line; UTF-8 may be split."""

    def __init__(self, *, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self._max_event_bytes = max_event_bytes
        self._rest = b""
        self._data: list[bytes] = []
        self._data_bytes = 0
        self._name = ""
        self._is_start = True

    def feed(self, piece: bytes) -> list[ServerSentEvent]:
        """The events that `piece` completes.

        Raises:
            EventTooLargeError: An event grows beyond the limit.
        """
        buffer = self._rest + piece
        if self._is_start:
            if len(buffer) < len(BOM) and BOM.startswith(buffer):
                self._rest = buffer
                return []
            buffer = buffer.removeprefix(BOM)
            self._is_start = False
        lines, self._rest = _split(buffer)
        if len(self._rest) + self._data_bytes > self._max_event_bytes:
            raise EventTooLargeError(f"an event of more than {self._max_event_bytes} bytes")
        events: list[ServerSentEvent] = []
        for line in lines:
            if line.startswith(b"data: "):  # as nearly all do
                self._data.append(line[6:])
                self._data_bytes += len(line)
                continue
            event = self._read(line)
            if event is not None:
                events.append(event)
        return events

    def finish(self) -> list[ServerSentEvent]:
        """What is left when the stream ends: an event without its blank line is given, marked incomplete."""
        events: list[ServerSentEvent] = []
        if self._rest:
            last = self._read(self._rest.rstrip(b"\r"))
            self._rest = b""
            if last is not None:
                events.append(last._replace(is_complete=False))
        if self._data:
            events.append(self._take()._replace(is_complete=False))
        return events

    def _read(self, line: bytes) -> ServerSentEvent | None:
        if not line:
            return self._take() if self._data else self._forget_name()
        if line.startswith(b"{"):
            return ServerSentEvent(line.decode("utf-8", "replace"))
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._data.append(value)
            self._data_bytes += len(value)
        elif name == b"event":
            self._name = value.decode("utf-8", "replace")
        return None

    def _take(self) -> ServerSentEvent:
        event = ServerSentEvent(b"\n".join(self._data).decode("utf-8", "replace"), self._name)
        self._data, self._data_bytes, self._name = [], 0, ""
        return event

    def _forget_name(self) -> None:
        self._name = ""


def _split(buffer: bytes) -> tuple[list[bytes], bytes]:
    """Complete lines, and the rest. A CR at the very end waits: an LF may follow."""
    if b"\r" in buffer:
        held = b"\r" if buffer.endswith(b"\r") else b""
        whole = buffer[: len(buffer) - len(held)].replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        lines = whole.split(b"\n")
        rest = lines.pop()
        return lines, rest + held
    lines = buffer.split(b"\n")
    rest = lines.pop()
    return lines, rest


@dataclass(slots=True)
class _Choice:
    """What has come of one choice so far."""

    text: list[str] = field(default_factory=list[str])
    reasoning: list[str] = field(default_factory=list[str])
    reasoning_parts: list[ReasoningPart] = field(default_factory=list[ReasoningPart])
    refusal: list[str] = field(default_factory=list[str])
    logprobs: list[JsonObject] = field(default_factory=list[JsonObject])
    calls: dict[int, ToolCall] = field(default_factory=dict[int, ToolCall])
    finish_reason: FinishReason | None = None


class ChunkFold:
    """Adds up the chunks of a stream; `response()` is what has come so far as one answer."""

    def __init__(self) -> None:
        self._choices: dict[int, _Choice] = {0: _Choice()}
        self._usage: Usage | None = None
        self._model = ""
        self._provider_cost_usd: float | None = None

    @property
    def finish_reason(self) -> FinishReason | None:
        """Of the first choice; None while it is unfinished."""
        return self._choices[0].finish_reason

    @property
    def usage(self) -> Usage | None:
        """As stated by the provider; None until it was."""
        return self._usage

    @property
    def has_content(self) -> bool:
        """Has any choice received something a caller would see?"""
        return any(c.text or c.reasoning or c.refusal or c.calls for c in self._choices.values())

    @property
    def content_bytes(self) -> int:
        """UTF-8 bytes of everything generated so far, reasoning and tool calls included."""
        return sum(
            len(piece.encode("utf-8", "replace"))
            for choice in self._choices.values()
            for piece in (
                *choice.text,
                *choice.reasoning,
                *choice.refusal,
                *(call.name + call.arguments for call in choice.calls.values()),
            )
        )

    def add(self, chunk: StreamChunk) -> None:
        """Take one chunk in."""
        choice = self._choices.get(chunk.choice)
        if choice is None:
            choice = self._choices[chunk.choice] = _Choice()
        if chunk.text:
            choice.text.append(chunk.text)
        if chunk.model:
            self._model = chunk.model
        if chunk.is_text_only:
            return
        if chunk.reasoning:
            choice.reasoning.append(chunk.reasoning)
        if chunk.refusal:
            choice.refusal.append(chunk.refusal)
        choice.reasoning_parts.extend(chunk.reasoning_parts)
        if chunk.logprobs:
            choice.logprobs.append(chunk.logprobs)
        for delta in chunk.tool_calls:
            choice.calls[delta.index] = _extended(choice.calls.get(delta.index), delta)
        choice.finish_reason = chunk.finish_reason or choice.finish_reason
        self._usage = chunk.usage or self._usage
        if chunk.provider_cost_usd is not None:
            self._provider_cost_usd = chunk.provider_cost_usd

    def response(self) -> ChatResponse:
        """The answer as far as it has come."""
        first, *others = (self._answer(self._choices[index]) for index in sorted(self._choices))
        return replace(
            first,
            usage=self._usage,
            model=self._model,
            other_choices=tuple(others),
            provider_cost_usd=self._provider_cost_usd,
        )

    def _answer(self, choice: _Choice) -> ChatResponse:
        return ChatResponse(
            text="".join(choice.text),
            reasoning="".join(choice.reasoning),
            reasoning_parts=tuple(choice.reasoning_parts),
            logprobs=_joined(choice.logprobs),
            refusal="".join(choice.refusal),
            tool_calls=tuple(choice.calls[index] for index in sorted(choice.calls)),
            finish_reason=choice.finish_reason,
            usage=None,
        )


def _joined(pieces: list[JsonObject]) -> JsonObject | None:
    """Log probabilities of a stream as one object: lists are joined, of anything else the last value stands."""
    joined: dict[str, JsonValue] = {}
    for piece in pieces:
        for name, value in piece.items():
            known = joined.get(name)
            joined[name] = [*known, *value] if isinstance(known, list) and isinstance(value, list) else value
    return joined or None


def _extended(call: ToolCall | None, delta: ToolCallDelta) -> ToolCall:
    if call is None:
        return ToolCall(id=delta.id or "", name=delta.name or "", arguments=delta.arguments, signature=delta.signature)
    return ToolCall(
        id=call.id or delta.id or "",
        name=call.name or delta.name or "",
        arguments=call.arguments + delta.arguments,
        signature=call.signature or delta.signature,
    )


def fold(chunks: Iterable[StreamChunk]) -> ChatResponse:
    """The whole answer that `chunks` spell."""
    total = ChunkFold()
    for chunk in chunks:
        total.add(chunk)
    return total.response()


def chunks_of(response: ChatResponse) -> tuple[StreamChunk, ...]:
    """A whole answer as the chunks of a stream: content first, then the end with its usage. Inverse of `fold`."""
    answers = (response, *response.other_choices)
    content = tuple(
        StreamChunk(
            text=answer.text,
            reasoning=answer.reasoning,
            reasoning_parts=answer.reasoning_parts,
            refusal=answer.refusal,
            logprobs=answer.logprobs,
            tool_calls=tuple(
                ToolCallDelta(position, call.id, call.name, call.arguments, call.signature)
                for position, call in enumerate(answer.tool_calls)
            ),
            finish_reason=answer.finish_reason,
            model=response.model,
            choice=index,
        )
        for index, answer in enumerate(answers)
    )
    return (*content, StreamChunk(usage=response.usage, provider_cost_usd=response.provider_cost_usd))
