"""A whole v2 chat reply as our ChatResponse, and the wire types that streams share.

The plan that a model writes before its tool calls is reasoning, not text.
"""

import msgspec

from bridge.catalog.deployments import Deployment
from bridge.chat import ChatResponse, FinishReason, ToolCall, Usage
from bridge.errors import MalformedReplyError, UnavailableError
from bridge.json_types import JsonObject
from bridge.providers.rejections import in_band_error

FINISH_REASONS: dict[str, FinishReason] = {
    "COMPLETE": "stop",
    "STOP_SEQUENCE": "stop",
    "MAX_TOKENS": "length",
    "TOOL_CALL": "tool_calls",
    "ERROR_TOXIC": "content_filter",
}
BROKEN_OFF = frozenset({"ERROR", "TIMEOUT"})


class WireFunction(msgspec.Struct):
    """Name and JSON text of the arguments."""

    name: str | None = None
    arguments: str | None = None


class WireToolCall(msgspec.Struct):
    """A call or a piece of one."""

    id: str | None = None
    function: WireFunction | None = None


class WireContent(msgspec.Struct):
    """A content block: text or thinking."""

    type: str | None = None
    text: str | None = None
    thinking: str | None = None


class WireMessage(msgspec.Struct):
    """The assistant's message."""

    content: list[WireContent] | None = None
    tool_plan: str | None = None
    tool_calls: list[WireToolCall] | None = None


class WireReply(msgspec.Struct):
    """A whole reply."""

    id: str | None = None
    message: WireMessage | str | None = None
    finish_reason: str | None = None
    usage: object = None
    logprobs: list[dict[str, object]] | None = None
    error: object = None
    """Of a gateway in front of the API, which itself says `message`."""


class _Tokens(msgspec.Struct):
    input_tokens: float | None = None
    output_tokens: float | None = None
    reasoning_tokens: float | None = None
    image_tokens: float | None = None


class _WireUsage(msgspec.Struct):
    tokens: _Tokens | None = None
    billed_units: _Tokens | None = None
    cached_tokens: float | None = None


def response_of(payload: JsonObject, target: Deployment) -> ChatResponse:
    """The answer in a whole reply.

    Raises:
        ProviderError: The reply holds an error or is not the dialect.
    """
    try:
        reply = msgspec.convert(payload, WireReply)
    except msgspec.ValidationError as error:
        raise MalformedReplyError(f"{target.name}: {error}", deployment=target.name) from error
    if reply.error:
        raise in_band_error(reply.error, target)
    message = reply.message
    if isinstance(message, str):
        raise in_band_error({"message": message}, target)
    if message is None:
        raise MalformedReplyError(f"{target.name}: the reply has no message", deployment=target.name)
    calls = tuple(tool_call_of(call) for call in message.tool_calls or ())
    blocks = message.content or []
    return ChatResponse(
        text="".join(block.text or "" for block in blocks if block.type == "text"),
        finish_reason=finish_reason_of(reply.finish_reason, target, has_calls=bool(calls)),
        usage=usage_of(reply.usage),
        tool_calls=calls,
        reasoning="".join(block.thinking or "" for block in blocks if block.type == "thinking")
        + (message.tool_plan or ""),
        logprobs=logprobs_of(reply.logprobs),
    )


def tool_call_of(call: WireToolCall) -> ToolCall:
    """One whole call."""
    function = call.function or WireFunction()
    return ToolCall(call.id or "", function.name or "", function.arguments or "")


def finish_reason_of(word: str | None, target: Deployment, *, has_calls: bool) -> FinishReason | None:
    """Our word for the finish reason.

    Raises:
        UnavailableError: The provider says that it broke off.
    """
    if word is None:
        return None
    if word in BROKEN_OFF:
        raise UnavailableError(f"{target.name} broke off: {word}", deployment=target.name, code=word)
    reason = FINISH_REASONS.get(word, "other")
    return "tool_calls" if reason == "stop" and has_calls else reason


def usage_of(raw: object) -> Usage | None:
    """Tokens as counted, and as billed: the prompt template that Cohere adds is counted and not billed."""
    if not raw:
        return None
    try:
        usage = msgspec.convert(raw, _WireUsage, strict=False)
    except msgspec.ValidationError:
        return None
    counted, billed = usage.tokens or usage.billed_units, usage.billed_units
    if counted is None:
        return None
    return Usage(
        input_tokens=int(counted.input_tokens or 0),
        output_tokens=int(counted.output_tokens or 0),
        cached_tokens=int(usage.cached_tokens or 0),
        reasoning_tokens=int(counted.reasoning_tokens or 0),
        billed_input_tokens=None if billed is None else int(billed.input_tokens or 0),
        billed_output_tokens=None if billed is None else int(billed.output_tokens or 0),
    )


def logprobs_of(raw: list[dict[str, object]] | None) -> JsonObject | None:
    """Log probabilities in the shape of chat completions; each item is a token or a few of them."""
    if not raw:
        return None
    try:
        items = msgspec.convert(raw, list[_Logprob])
    except msgspec.ValidationError:
        return None
    return {
        "content": [
            {"token": item.text if len(item.logprobs) == 1 else "", "logprob": value, "top_logprobs": []}
            for item in items
            for value in item.logprobs
        ]
    }


class _Logprob(msgspec.Struct):
    text: str = ""
    logprobs: list[float] = msgspec.field(default_factory=list[float])
