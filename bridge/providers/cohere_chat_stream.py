"""The typed events of a streamed v2 chat as stream chunks."""

import msgspec

from bridge.catalog.deployments import Deployment
from bridge.chat import StreamChunk, ToolCallDelta
from bridge.errors import MalformedReplyError
from bridge.providers.cohere_chat_reply import (
    WireContent,
    WireFunction,
    WireToolCall,
    finish_reason_of,
    logprobs_of,
    usage_of,
)
from bridge.providers.rejections import in_band_error
from bridge.streaming import ServerSentEvent

DONE = "[DONE]"


class WireDeltaMessage(msgspec.Struct):
    """What an event adds to the message."""

    content: WireContent | list[WireContent] | None = None
    tool_plan: str | None = None
    tool_calls: WireToolCall | list[WireToolCall] | None = None


class WireDelta(msgspec.Struct):
    """What an event adds."""

    message: WireDeltaMessage | None = None
    finish_reason: str | None = None
    usage: object = None
    error: str | None = None


class WireEvent(msgspec.Struct):
    """One event, whatever its type."""

    type: str = ""
    index: int = 0
    delta: WireDelta | None = None
    logprobs: dict[str, object] | None = None
    message: str | None = None
    error: object = None


_DECODER = msgspec.json.Decoder(WireEvent)


class CohereEventReader:
    """Reads one stream."""

    def __init__(self, target: Deployment) -> None:
        self._target = target
        self._slots: dict[int, int] = {}
        self._is_done = False

    @property
    def is_done(self) -> bool:
        return self._is_done

    def read(self, event: ServerSentEvent) -> tuple[StreamChunk, ...]:
        if event.data.strip() == DONE:
            self._is_done = True
            return ()
        try:
            wire = _DECODER.decode(event.data)
        except (msgspec.DecodeError, msgspec.ValidationError, RecursionError) as problem:
            raise MalformedReplyError(
                f"{self._target.name}: an event of the stream cannot be read", deployment=self._target.name
            ) from problem
        if not wire.type and (wire.error or wire.message):
            raise in_band_error(wire.error or {"message": wire.message}, self._target)
        if wire.type == "message-end":
            return self._ended(wire.delta or WireDelta())
        message = wire.delta.message if wire.delta is not None else None
        return () if message is None else self._added(wire, message)

    def _added(self, wire: WireEvent, message: WireDeltaMessage) -> tuple[StreamChunk, ...]:
        if wire.type in ("content-start", "content-delta") and isinstance(message.content, WireContent):
            content = message.content
            logprobs = logprobs_of([wire.logprobs]) if wire.logprobs else None
            return _shown(StreamChunk(text=content.text or "", reasoning=content.thinking or "", logprobs=logprobs))
        if wire.type == "tool-plan-delta":
            return _shown(StreamChunk(reasoning=message.tool_plan or ""))
        if wire.type in ("tool-call-start", "tool-call-delta") and isinstance(message.tool_calls, WireToolCall):
            return (StreamChunk(tool_calls=(self._delta(wire.index, message.tool_calls),)),)
        return ()

    def _delta(self, index: int, call: WireToolCall) -> ToolCallDelta:
        function = call.function or WireFunction()
        if index in self._slots:
            return ToolCallDelta(self._slots[index], arguments=function.arguments or "")
        slot = self._slots[index] = len(self._slots)
        return ToolCallDelta(slot, call.id or "", function.name or "", function.arguments or "")

    def _ended(self, delta: WireDelta) -> tuple[StreamChunk, ...]:
        if delta.error:
            raise in_band_error({"message": delta.error}, self._target)
        reason = finish_reason_of(delta.finish_reason, self._target, has_calls=bool(self._slots))
        return (StreamChunk(finish_reason=reason, usage=usage_of(delta.usage)),)


def _shown(chunk: StreamChunk) -> tuple[StreamChunk, ...]:
    return (chunk,) if chunk.has_content or chunk.logprobs else ()
