"""A whole generateContent reply as our ChatResponse, and the wire types that streams share.

Parts that this bridge has no word for (code execution, server-side tools, grounding) are passed over.
"""

import hashlib

import msgspec

from bridge.catalog.deployments import Deployment
from bridge.chat import ChatResponse, FinishReason, ReasoningPart, ToolCall, Usage
from bridge.errors import MalformedReplyError
from bridge.json_types import JsonObject
from bridge.providers.rejections import in_band_error
from bridge.providers.signatures import signed_by_google

FINISH_REASONS: dict[str, FinishReason] = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "SAFETY": "content_filter",
    "RECITATION": "content_filter",
    "BLOCKLIST": "content_filter",
    "PROHIBITED_CONTENT": "content_filter",
    "SPII": "content_filter",
    "IMAGE_SAFETY": "content_filter",
    "MODEL_ARMOR": "content_filter",
}
BROKEN_CALLS = frozenset({"MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS"})


class WireFunctionCall(msgspec.Struct, rename="camel"):
    """A call, or a piece of one when its arguments are streamed."""

    name: str | None = None
    id: str | None = None
    args: dict[str, object] | None = None
    partial_args: list[dict[str, object]] | None = None
    will_continue: bool = False


class WirePart(msgspec.Struct, rename="camel"):
    """A part of the content."""

    text: str | None = None
    thought: bool = False
    function_call: WireFunctionCall | None = None
    thought_signature: str | None = None


class WireContent(msgspec.Struct, rename="camel"):
    """The parts of one candidate."""

    parts: list[WirePart] | None = None


class WireCandidate(msgspec.Struct, rename="camel"):
    """One candidate."""

    content: WireContent | None = None
    finish_reason: str | None = None
    finish_message: str | None = None
    index: int = 0
    logprobs_result: dict[str, object] | None = None

    @property
    def parts(self) -> list[WirePart]:
        """Its parts; none when it is blocked or empty."""
        return (self.content.parts if self.content is not None else None) or []


class WireFeedback(msgspec.Struct, rename="camel"):
    """Why a prompt was blocked."""

    block_reason: str | None = None


class WireReply(msgspec.Struct, rename="camel"):
    """A whole reply or one stream event."""

    candidates: list[WireCandidate] | None = None
    prompt_feedback: WireFeedback | None = None
    usage_metadata: object = None
    model_version: str | None = None
    response_id: str | None = None
    error: object = None


class _WireUsage(msgspec.Struct, rename="camel"):
    prompt_token_count: int | None = None
    candidates_token_count: int | None = None
    thoughts_token_count: int | None = None
    cached_content_token_count: int | None = None
    tool_use_prompt_token_count: int | None = None


def response_of(payload: JsonObject, target: Deployment) -> ChatResponse:
    """The answer in a whole reply. A blocked prompt is an answer without text, finished by the content filter.

    Raises:
        ProviderError: The reply holds an error, has no candidate or is not the dialect.
    """
    try:
        reply = msgspec.convert(payload, WireReply)
    except msgspec.ValidationError as error:
        raise MalformedReplyError(f"{target.name}: {error}", deployment=target.name) from error
    if reply.error:
        raise in_band_error(reply.error, target)
    usage, model = usage_of(reply.usage_metadata), reply.model_version or ""
    if not reply.candidates:
        if is_blocked(reply):
            return ChatResponse(text="", finish_reason="content_filter", usage=usage, model=model)
        raise MalformedReplyError(f"{target.name}: the reply has no candidates", deployment=target.name)
    first, *others = (_answer(candidate, reply.response_id or "", target) for candidate in reply.candidates)
    return ChatResponse(
        text=first.text,
        finish_reason=first.finish_reason,
        usage=usage,
        tool_calls=first.tool_calls,
        reasoning=first.reasoning,
        reasoning_parts=first.reasoning_parts,
        model=model,
        logprobs=first.logprobs,
        other_choices=tuple(others),
    )


def is_blocked(reply: WireReply) -> bool:
    """Was the prompt refused?"""
    return reply.prompt_feedback is not None and reply.prompt_feedback.block_reason is not None


def _answer(candidate: WireCandidate, reply_id: str, target: Deployment) -> ChatResponse:
    calls = [part for part in candidate.parts if part.function_call is not None]
    return ChatResponse(
        text="".join(part.text or "" for part in candidate.parts if not part.thought),
        reasoning="".join(part.text or "" for part in candidate.parts if part.thought),
        reasoning_parts=signed_parts(candidate.parts),
        finish_reason=finish_reason_of(candidate, target, has_calls=bool(calls)),
        usage=None,
        tool_calls=tuple(tool_call_of(part, reply_id, position) for position, part in enumerate(calls)),
        logprobs=logprobs_of(candidate.logprobs_result),
    )


def signed_parts(parts: list[WirePart]) -> tuple[ReasoningPart, ...]:
    """The signed thoughts, and the signatures of what was said; a call keeps its own."""
    return tuple(
        signed_by_google(part.text if part.thought else "", part.thought_signature)
        for part in parts
        if part.thought_signature and part.text is not None and part.function_call is None
    )


def tool_call_of(part: WirePart, reply_id: str, position: int) -> ToolCall:
    """A whole function call. An id is made up where none was given: stable in the reply, different in another."""
    call = part.function_call or WireFunctionCall()
    return ToolCall(
        id=call.id or invented_id(reply_id, position),
        name=call.name or "",
        arguments=msgspec.json.encode(call.args or {}).decode(),
        signature=part.thought_signature or "",
    )


def invented_id(reply_id: str, position: int) -> str:
    """The id of a call that came without one."""
    return "call_" + hashlib.sha256(f"{reply_id}:{position}".encode()).hexdigest()[:24]


def finish_reason_of(candidate: WireCandidate, target: Deployment, *, has_calls: bool) -> FinishReason | None:
    """Our word for the finish reason. `STOP` beside calls means `tool_calls`.

    Raises:
        MalformedReplyError: The model wrote a call that its own server could not read.
    """
    word = candidate.finish_reason
    if word is None or word == "FINISH_REASON_UNSPECIFIED":
        return None
    if word in BROKEN_CALLS:
        said = f"{target.name} broke off: {word}"
        raise MalformedReplyError(said, deployment=target.name)
    reason = FINISH_REASONS.get(word, "other")
    return "tool_calls" if reason == "stop" and has_calls else reason


def usage_of(raw: object) -> Usage | None:
    """Tokens in our terms: the output holds the thoughts, the input what tools added to the prompt."""
    if not raw:
        return None
    try:
        counts = msgspec.convert(raw, _WireUsage, strict=False)
    except msgspec.ValidationError:
        return None
    if counts.prompt_token_count is None and counts.candidates_token_count is None:
        return None
    thoughts = counts.thoughts_token_count or 0
    return Usage(
        input_tokens=(counts.prompt_token_count or 0) + (counts.tool_use_prompt_token_count or 0),
        output_tokens=(counts.candidates_token_count or 0) + thoughts,
        cached_tokens=counts.cached_content_token_count or 0,
        reasoning_tokens=thoughts,
    )


def logprobs_of(raw: dict[str, object] | None) -> JsonObject | None:
    """Log probabilities in the shape of chat completions."""
    if raw is None:
        return None
    try:
        result = msgspec.convert(raw, _WireLogprobs)
    except msgspec.ValidationError:
        return None
    tops = result.top_candidates or []
    return {
        "content": [
            {
                "token": chosen.token,
                "logprob": chosen.log_probability,
                "top_logprobs": [
                    {"token": one.token, "logprob": one.log_probability}
                    for one in (tops[position].candidates if position < len(tops) else [])
                ],
            }
            for position, chosen in enumerate(result.chosen_candidates)
        ]
    }


class _WireLogprob(msgspec.Struct, rename="camel"):
    token: str = ""
    log_probability: float = 0.0


class _WireTop(msgspec.Struct, rename="camel"):
    candidates: list[_WireLogprob] = msgspec.field(default_factory=list[_WireLogprob])


class _WireLogprobs(msgspec.Struct, rename="camel"):
    chosen_candidates: list[_WireLogprob] = msgspec.field(default_factory=list[_WireLogprob])
    top_candidates: list[_WireTop] | None = None
