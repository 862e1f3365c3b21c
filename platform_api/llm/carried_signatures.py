"""A provider's marks on tool calls, for dialects whose calls have no place for them.

They ride in thoughts of their own, without text: those are the blocks and items that clients send back unchanged.
"""

from collections.abc import Iterable
from dataclasses import replace

from bridge.chat import ChatResponse, Message, ReasoningPart, StreamChunk, ToolCall
from bridge.result import ChatResult
from platform_api.llm.client_dialect import StreamEncoder

OF_CALL = "modelbridge-call:"
"""Before the call's id, a colon and its mark."""


def with_carried(response: ChatResponse) -> ChatResponse:
    """The answer with a thought for every mark; and with its reasoning, where the pieces are signatures alone."""
    marks = tuple(_carrier(call.id, call.signature) for call in response.tool_calls if call.signature)
    parts = response.reasoning_parts
    is_unsaid = bool(response.reasoning) and bool(parts or marks) and not any(part.text for part in parts)
    if not marks and not is_unsaid:
        return response
    unsigned = (ReasoningPart(response.reasoning),) if is_unsaid else ()
    return replace(response, reasoning_parts=(*unsigned, *parts, *marks))


class CarryingEncoder:
    """A StreamEncoder that is given a thought for every mark, before the call it belongs to."""

    def __init__(self, encoder: StreamEncoder) -> None:
        self._encoder = encoder
        self._ids: dict[int, str] = {}

    def chunk(self, chunk: StreamChunk) -> bytes:
        return self._encoder.chunk(self._with_carried(chunk) if chunk.tool_calls else chunk)

    def end(self, result: ChatResult) -> bytes:
        return self._encoder.end(result)

    def _with_carried(self, chunk: StreamChunk) -> StreamChunk:
        for call in chunk.tool_calls:
            if call.id is not None:
                self._ids[call.index] = call.id
        marks = [_carrier(self._ids.get(call.index, ""), call.signature) for call in chunk.tool_calls if call.signature]
        return replace(chunk, reasoning_parts=(*chunk.reasoning_parts, *marks)) if marks else chunk


def restored(message: Message) -> Message:
    """A turn as it was before: the marks on their calls again. One whose call is gone is left out."""
    if not any(part.signature.startswith(OF_CALL) for part in message.reasoning):
        return message
    marks = dict(_marks(message.reasoning))
    thoughts = tuple(part for part in message.reasoning if not part.signature.startswith(OF_CALL))
    calls = tuple(_signed(call, marks.get(call.id, "")) for call in message.tool_calls)
    return replace(message, reasoning=thoughts, tool_calls=calls)


def _carrier(call_id: str, signature: str) -> ReasoningPart:
    return ReasoningPart("", f"{OF_CALL}{call_id}:{signature}")


def _marks(thoughts: Iterable[ReasoningPart]) -> Iterable[tuple[str, str]]:
    for part in thoughts:
        if part.signature.startswith(OF_CALL):
            call_id, _, signature = part.signature.removeprefix(OF_CALL).rpartition(":")
            yield call_id, signature


def _signed(call: ToolCall, signature: str) -> ToolCall:
    return replace(call, signature=signature) if signature else call
