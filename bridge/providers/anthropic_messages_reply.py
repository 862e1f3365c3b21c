"""A whole Messages reply as our ChatResponse, and the wire types that streams share.

Blocks that this bridge has no word for (server tools, citations, container files) are passed over.
"""

import msgspec

from bridge.catalog.deployments import Deployment
from bridge.chat import ChatResponse, FinishReason, ReasoningPart, ToolCall, Usage
from bridge.errors import MalformedReplyError
from bridge.json_types import JsonObject
from bridge.providers.rejections import in_band_error

FINISH_REASONS: dict[str, FinishReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}


class WireBlock(msgspec.Struct):
    """A content block, or its opening in a stream."""

    type: str = ""
    text: str | None = None
    thinking: str | None = None
    signature: str | None = None
    data: str | None = None
    id: str | None = None
    name: str | None = None
    input: object = None


class WireUsage(msgspec.Struct):
    """Token counts. `input_tokens` leaves cached and cache-written tokens out."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    output_tokens_details: dict[str, object] | None = None


class WireMessage(msgspec.Struct):
    """A whole reply, and what `message_start` carries."""

    type: str = ""
    model: str | None = None
    content: list[WireBlock] | None = None
    stop_reason: str | None = None
    usage: object = None
    error: object = None


def response_of(payload: JsonObject, target: Deployment) -> ChatResponse:
    """The answer in a whole reply.

    Raises:
        ProviderError: The reply holds an error or is not the dialect.
    """
    try:
        reply = msgspec.convert(payload, WireMessage)
    except msgspec.ValidationError as error:
        raise MalformedReplyError(f"{target.name}: {error}", deployment=target.name) from error
    if reply.error:
        raise in_band_error(reply.error, target)
    if reply.content is None:
        raise MalformedReplyError(f"{target.name}: the reply has no content", deployment=target.name)
    calls = tuple(
        ToolCall(id=block.id or "", name=block.name or "", arguments=arguments_of(block))
        for block in reply.content
        if block.type == "tool_use"
    )
    thoughts = tuple(thought for block in reply.content if (thought := thought_of(block)) is not None)
    return ChatResponse(
        text="".join(block.text or "" for block in reply.content if block.type == "text"),
        finish_reason=finish_reason_of(reply.stop_reason, has_calls=bool(calls)),
        usage=usage_of(reply.usage),
        tool_calls=calls,
        reasoning="".join(thought.text for thought in thoughts),
        reasoning_parts=thoughts,
        model=reply.model or "",
    )


def thought_of(block: WireBlock) -> ReasoningPart | None:
    """The reasoning in a block; None when it is another kind."""
    if block.type == "thinking":
        return ReasoningPart(block.thinking or "", block.signature or "")
    if block.type == "redacted_thinking":
        return ReasoningPart("", block.data or "", is_redacted=True)
    return None


def arguments_of(block: WireBlock) -> str:
    """The input of a tool call as JSON text."""
    if isinstance(block.input, str):
        return block.input
    return msgspec.json.encode(block.input if block.input is not None else {}).decode()


def finish_reason_of(word: str | None, *, has_calls: bool) -> FinishReason | None:
    """Our word for the stop reason. A paused turn is `other`: it wants to be continued."""
    if word is None:
        return None
    reason = FINISH_REASONS.get(word, "other")
    return "tool_calls" if reason == "stop" and has_calls else reason


def read_usage(raw: object) -> WireUsage | None:
    """The counts as they stand; None when absent or unreadable."""
    if not raw:
        return None
    try:
        return msgspec.convert(raw, WireUsage, strict=False)
    except msgspec.ValidationError:
        return None


def usage_of(raw: object) -> Usage | None:
    """Tokens in our terms: the input holds cached and cache-written tokens too."""
    counts = read_usage(raw)
    return None if counts is None else counted(counts)


def counted(counts: WireUsage) -> Usage | None:
    """The same from counts that were read."""
    if counts.input_tokens is None and counts.output_tokens is None:
        return None
    cached, written = counts.cache_read_input_tokens or 0, counts.cache_creation_input_tokens or 0
    thinking = (counts.output_tokens_details or {}).get("thinking_tokens")
    return Usage(
        input_tokens=(counts.input_tokens or 0) + cached + written,
        output_tokens=counts.output_tokens or 0,
        cached_tokens=cached,
        cache_write_tokens=written,
        reasoning_tokens=thinking if isinstance(thinking, int) else 0,
    )
