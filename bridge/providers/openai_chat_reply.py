"""A whole chat completion as our ChatResponse, and the wire types that streams share.

The classes say what may come; what a vendor adds is ignored, what it gets wrong is a MalformedReplyError, except in
`usage`: an answer is not thrown away because its bill cannot be read.
"""

import hashlib
from typing import cast

import msgspec

from bridge.catalog.deployments import Deployment
from bridge.chat import ChatResponse, FinishReason, ToolCall, Usage
from bridge.errors import MalformedReplyError, UnavailableError
from bridge.json_types import JsonObject
from bridge.providers.rejections import in_band_error

XAI_TICK_USD = 1e-10

_FINISH_REASONS: dict[str, FinishReason] = {
    "stop": "stop",
    "eos": "stop",
    "end_turn": "stop",
    "stop_sequence": "stop",
    "length": "length",
    "max_tokens": "length",
    "model_length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "tool_use": "tool_calls",
    "content_filter": "content_filter",
    "safety": "content_filter",
}
_BROKEN_OFF = frozenset({"error", "insufficient_system_resource", "abort"})


class WireFunction(msgspec.Struct):
    """Name and arguments; arguments are JSON text, from some vendors an object."""

    name: str | None = None
    arguments: str | dict[str, object] | None = None


class WireToolCall(msgspec.Struct):
    """A tool call or a piece of one."""

    index: int | None = None
    id: str | None = None
    function: WireFunction | None = None


class WireMessage(msgspec.Struct):
    """A message, or what a stream event adds to one."""

    content: str | list[dict[str, object]] | None = None
    reasoning: str | None = None
    reasoning_content: str | None = None
    refusal: str | None = None
    tool_calls: list[WireToolCall] | None = None
    function_call: WireFunction | None = None


class WireChoice(msgspec.Struct):
    """One choice; a stream fills `delta`, a whole reply `message`."""

    index: int = 0
    message: WireMessage | None = None
    delta: WireMessage | None = None
    finish_reason: str | None = None
    logprobs: dict[str, object] | None = None


class WireCompletion(msgspec.Struct):
    """A whole reply or one stream event."""

    id: str | None = None
    choices: list[WireChoice] | None = None
    model: str | None = None
    usage: object = None
    x_groq: dict[str, object] | None = None
    error: object = None

    @property
    def counted(self) -> object:
        """The usage object; Groq puts a stream's one level deeper when it was not asked for."""
        return self.usage or (self.x_groq or {}).get("usage")


class _InputDetails(msgspec.Struct):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    audio_tokens: int | None = None


class _OutputDetails(msgspec.Struct):
    reasoning_tokens: int | None = None


class _WireUsage(msgspec.Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    prompt_tokens_details: _InputDetails | None = None
    completion_tokens_details: _OutputDetails | None = None
    prompt_cache_hit_tokens: int | None = None
    num_cached_tokens: int | None = None
    cost: float | dict[str, object] | None = None
    cost_in_usd_ticks: float | None = None


def response_of(payload: JsonObject, target: Deployment) -> ChatResponse:
    """The answer in a whole reply.

    Raises:
        ProviderError: The reply holds an error, has no choice or is not the dialect.
    """
    try:
        reply = msgspec.convert(payload, WireCompletion)
    except msgspec.ValidationError as error:
        raise MalformedReplyError(f"{target.name}: {error}", deployment=target.name) from error
    if not reply.choices:
        if reply.error:
            raise in_band_error(reply.error, target)
        raise MalformedReplyError(f"{target.name}: the reply has no choices", deployment=target.name)
    first, *others = (_answer(choice, reply.id or "", target) for choice in reply.choices)
    usage, cost_usd = usage_of(reply.counted)
    return ChatResponse(
        text=first.text,
        finish_reason=first.finish_reason,
        usage=usage,
        tool_calls=first.tool_calls,
        reasoning=first.reasoning,
        refusal=first.refusal,
        model=reply.model or "",
        logprobs=first.logprobs,
        other_choices=tuple(others),
        provider_cost_usd=cost_usd,
    )


def _answer(choice: WireChoice, reply_id: str, target: Deployment) -> ChatResponse:
    message = choice.message or choice.delta or WireMessage()
    text, thought = content_of(message)
    calls = tuple(
        ToolCall(
            id=call.id or invented_id(reply_id, position),
            name=(call.function.name if call.function else None) or "",
            arguments=arguments_of(call.function),
        )
        for position, call in enumerate(calls_of(message))
    )
    return ChatResponse(
        text=text,
        finish_reason=finish_reason_of(choice.finish_reason, target, has_calls=bool(calls)),
        usage=None,
        tool_calls=calls,
        reasoning=thought,
        refusal=message.refusal or "",
        logprobs=choice.logprobs,  # pyright: ignore[reportArgumentType]  # decoded JSON is a JsonObject
    )


def calls_of(message: WireMessage) -> list[WireToolCall]:
    """The tool calls; the deprecated single function call counts as one."""
    if message.tool_calls:
        return message.tool_calls
    return [WireToolCall(function=message.function_call)] if message.function_call else []


def arguments_of(function: WireFunction | None) -> str:
    """The arguments as JSON text."""
    if function is None or function.arguments is None:
        return ""
    if isinstance(function.arguments, str):
        return function.arguments
    return msgspec.json.encode(function.arguments).decode()


def invented_id(reply_id: str, position: int) -> str:
    """An id for a call that came without one: stable within the reply, different in another."""
    return "call_" + hashlib.sha256(f"{reply_id}:{position}".encode()).hexdigest()[:24]


def content_of(message: WireMessage) -> tuple[str, str]:
    """Text and reasoning. Content is a string or, from some vendors, a list of `text` and `thinking` parts."""
    reasoning = message.reasoning_content or message.reasoning or ""
    if not isinstance(message.content, list):
        return message.content or "", reasoning
    text = "".join(_texts(part) for part in message.content if part.get("type") != "thinking")
    thoughts = "".join(_texts(part) for part in message.content if part.get("type") == "thinking")
    return text, reasoning + thoughts


def _texts(part: dict[str, object]) -> str:
    inner = part.get("thinking", part.get("text"))
    if isinstance(inner, str):
        return inner
    if isinstance(inner, list):
        return "".join(_texts(item) for item in cast("list[dict[str, object]]", inner))
    return ""


def finish_reason_of(word: str | None, target: Deployment, *, has_calls: bool) -> FinishReason | None:
    """Our word for the provider's. `stop` beside tool calls means `tool_calls`.

    Raises:
        UnavailableError: The provider says that it broke off.
    """
    if not word:
        return None
    if word in _BROKEN_OFF:
        raise UnavailableError(f"{target.name} broke off: {word}", deployment=target.name, code=word)
    reason = _FINISH_REASONS.get(word.lower(), "other")
    return "tool_calls" if reason == "stop" and has_calls else reason


def usage_of(raw: object) -> tuple[Usage | None, float | None]:
    """Tokens and the provider's own cost in USD. None when absent or unreadable."""
    if not raw:
        return None, None
    try:
        usage = msgspec.convert(raw, _WireUsage, strict=False)
    except msgspec.ValidationError:
        return None, None
    cost_usd = _cost_usd(usage)
    if usage.prompt_tokens is None and usage.completion_tokens is None:
        return None, cost_usd
    return _tokens(usage), cost_usd


def _tokens(usage: _WireUsage) -> Usage:
    """Input with audio and cached tokens, output with reasoning: some vendors count these beside.

    The total shows it for audio and reasoning; cached tokens are beside the input when there are more of them.
    """
    inputs = usage.prompt_tokens_details or _InputDetails()
    outputs = usage.completion_tokens_details or _OutputDetails()
    input_tokens, output_tokens = usage.prompt_tokens or 0, usage.completion_tokens or 0
    reasoning = outputs.reasoning_tokens or 0
    beside = (usage.total_tokens or 0) - input_tokens - output_tokens
    if beside > 0 and beside == inputs.audio_tokens:
        input_tokens += beside
    elif beside > 0:
        output_tokens += beside
        reasoning = max(reasoning, beside)
    cached = inputs.cached_tokens or usage.prompt_cache_hit_tokens or usage.num_cached_tokens or 0
    if cached > input_tokens:
        input_tokens += cached
    return Usage(
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        cached_tokens=cached,
        cache_write_tokens=inputs.cache_write_tokens or 0,
        reasoning_tokens=reasoning,
    )


def _cost_usd(usage: _WireUsage) -> float | None:
    if usage.cost_in_usd_ticks is not None:
        return usage.cost_in_usd_ticks * XAI_TICK_USD
    if isinstance(usage.cost, dict):
        total = usage.cost.get("total_cost")
        return float(total) if isinstance(total, (int, float)) else None
    return usage.cost
