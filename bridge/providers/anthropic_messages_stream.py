"""The events of a streamed message as stream chunks."""

from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec

from bridge.catalog.deployments import Deployment
from bridge.chat import ReasoningPart, StreamChunk, ToolCallDelta
from bridge.errors import MalformedReplyError
from bridge.providers.anthropic_messages_reply import (
    WireBlock,
    WireMessage,
    WireUsage,
    arguments_of,
    counted,
    finish_reason_of,
    read_usage,
)
from bridge.providers.rejections import in_band_error
from bridge.streaming import ServerSentEvent


class WireDelta(msgspec.Struct):
    """What an event adds to a block, or to the message."""

    type: str = ""
    text: str | None = None
    thinking: str | None = None
    signature: str | None = None
    partial_json: str | None = None
    stop_reason: str | None = None


class WireEvent(msgspec.Struct):
    """One event, whatever its type."""

    type: str = ""
    index: int = 0
    message: WireMessage | None = None
    content_block: WireBlock | None = None
    delta: WireDelta | None = None
    usage: object = None
    error: object = None


@dataclass(slots=True)
class _Block:
    type: str
    slot: int = 0
    """Our index of a tool call, 0 upwards."""
    opening: str = ""
    """Arguments that came with the opening; they stand when no pieces follow."""
    has_pieces: bool = False
    thinking: list[str] = field(default_factory=list[str])
    signature: str = ""


_DECODER = msgspec.json.Decoder(WireEvent)


class AnthropicEventReader:
    """Reads one stream. Usage comes in two events: input at the start, output (a running total) at the end."""

    def __init__(self, target: Deployment) -> None:
        self._target = target
        self._blocks: dict[int, _Block] = {}
        self._calls = 0
        self._usage = WireUsage()
        self._model = ""
        self._is_done = False
        self._handlers: dict[str, Callable[[WireEvent], tuple[StreamChunk, ...]]] = {
            "message_start": self._started,
            "content_block_start": self._opened,
            "content_block_delta": self._added,
            "content_block_stop": self._closed,
            "message_delta": self._ended,
        }

    @property
    def is_done(self) -> bool:
        return self._is_done

    def read(self, event: ServerSentEvent) -> tuple[StreamChunk, ...]:
        try:
            wire = _DECODER.decode(event.data)
        except (msgspec.DecodeError, msgspec.ValidationError, RecursionError) as problem:
            if event.name == "error":
                raise in_band_error(event.data, self._target) from problem
            raise MalformedReplyError(
                f"{self._target.name}: an event of the stream cannot be read", deployment=self._target.name
            ) from problem
        if wire.error or event.name == "error":
            raise in_band_error(wire.error or event.data, self._target)
        if wire.type == "message_stop":
            self._is_done = True
        handler = self._handlers.get(wire.type)
        return () if handler is None else handler(wire)

    def _started(self, wire: WireEvent) -> tuple[StreamChunk, ...]:
        if wire.message is None:
            return ()
        self._model = wire.message.model or ""
        self._count(wire.message.usage)
        return ()

    def _opened(self, wire: WireEvent) -> tuple[StreamChunk, ...]:
        block = wire.content_block or WireBlock()
        known = self._blocks[wire.index] = _Block(block.type)
        if block.type == "text" and block.text:
            return (StreamChunk(text=block.text, model=self._model),)
        if block.type == "thinking":
            known.signature = block.signature or ""
            return self._thought(known, block.thinking or "")
        if block.type == "redacted_thinking":
            part = ReasoningPart("", block.data or "", is_redacted=True)
            return (StreamChunk(reasoning_parts=(part,), model=self._model),)
        if block.type == "tool_use":
            known.slot, self._calls = self._calls, self._calls + 1
            known.opening = arguments_of(block)
            delta = ToolCallDelta(index=known.slot, id=block.id or "", name=block.name or "")
            return (StreamChunk(tool_calls=(delta,), model=self._model),)
        return ()

    def _added(self, wire: WireEvent) -> tuple[StreamChunk, ...]:
        block, delta = self._blocks.get(wire.index), wire.delta
        if block is None or delta is None:
            return ()
        if delta.type == "text_delta" and block.type == "text" and delta.text:
            return (StreamChunk(text=delta.text, model=self._model),)
        if delta.type == "thinking_delta":
            return self._thought(block, delta.thinking or "")
        if delta.type == "signature_delta":
            block.signature += delta.signature or ""
        elif delta.type == "input_json_delta" and block.type == "tool_use" and delta.partial_json:
            block.has_pieces = True
            return (self._arguments(block, delta.partial_json),)
        return ()

    def _closed(self, wire: WireEvent) -> tuple[StreamChunk, ...]:
        block = self._blocks.get(wire.index)
        if block is None:
            return ()
        if block.type == "thinking":
            part = ReasoningPart("".join(block.thinking), block.signature)
            return (StreamChunk(reasoning_parts=(part,), model=self._model),)
        if block.type == "tool_use" and not block.has_pieces:
            return (self._arguments(block, block.opening),)
        return ()

    def _ended(self, wire: WireEvent) -> tuple[StreamChunk, ...]:
        self._count(wire.usage)
        reason = finish_reason_of(wire.delta.stop_reason if wire.delta is not None else None, has_calls=self._calls > 0)
        return (StreamChunk(finish_reason=reason, usage=counted(self._usage), model=self._model),)

    def _thought(self, block: _Block, text: str) -> tuple[StreamChunk, ...]:
        block.thinking.append(text)
        return (StreamChunk(reasoning=text, model=self._model),) if text else ()

    def _arguments(self, block: _Block, text: str) -> StreamChunk:
        return StreamChunk(tool_calls=(ToolCallDelta(index=block.slot, arguments=text),), model=self._model)

    def _count(self, raw: object) -> None:
        """Later counts replace earlier ones; a count that is not repeated stands."""
        counts = read_usage(raw)
        if counts is None:
            return
        for name in WireUsage.__struct_fields__:
            value = getattr(counts, name)
            if value is not None:
                setattr(self._usage, name, value)
