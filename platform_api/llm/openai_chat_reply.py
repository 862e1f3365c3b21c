"""A chat completion and its stream events as OpenAI's clients read them.

Source: OpenAI API reference, "The chat completion object" and "The chat completion chunk object".
"""

from collections.abc import Iterable

import msgspec

from bridge.chat import ChatResponse, ReasoningPart, StreamChunk, ToolCall, ToolCallDelta, Usage
from bridge.money import usd_number
from bridge.result import ChatResult
from platform_api.llm.client_dialect import AnswerFacts

JsonDict = dict[str, object]

DONE = b"data: [DONE]\n\n"

_FINISH: dict[str, str] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "content_filter": "content_filter",
    "other": "stop",
}


def completion(response: ChatResponse, facts: AnswerFacts) -> bytes:
    """The body of a whole reply."""
    choices = [_choice(index, each) for index, each in enumerate((response, *response.other_choices))]
    return msgspec.json.encode(
        {
            "id": f"chatcmpl-{facts.call_id}",
            "object": "chat.completion",
            "created": facts.created,
            "model": facts.model,
            "choices": choices,
            "usage": None if response.usage is None else usage_object(response.usage),
            "system_fingerprint": None,
        }
    )


class ChunkEncoder:
    """Turns chunks into the bytes of `chat.completion.chunk` events."""

    def __init__(self, facts: AnswerFacts, *, wants_usage: bool) -> None:
        self._head: JsonDict = {
            "id": f"chatcmpl-{facts.call_id}",
            "object": "chat.completion.chunk",
            "created": facts.created,
            "model": facts.model,
        }
        self._wants_usage = wants_usage
        self._opened: dict[int, tuple[bytes, bytes]] = {}
        """What stands before and after the text of a choice in an event of nothing else."""
        self._usage: Usage | None = None
        self._encode = msgspec.json.Encoder().encode

    def chunk(self, chunk: StreamChunk) -> bytes:
        """The events for one chunk; empty when it holds nothing a client reads now."""
        around = self._opened.get(chunk.choice)
        if around is not None and chunk.is_text_only:
            return around[0] + self._encode(chunk.text) + around[1]
        if chunk.usage is not None:
            self._usage = chunk.usage
        delta = _delta(chunk)
        if not delta and chunk.finish_reason is None:
            return b""
        if around is None:
            self._opened[chunk.choice] = self._around_text(chunk.choice)
            delta = {"role": "assistant", "content": "", **delta}
        finish = None if chunk.finish_reason is None else _FINISH[chunk.finish_reason]
        choice: JsonDict = {
            "index": chunk.choice,
            "delta": delta,
            "logprobs": chunk.logprobs,
            "finish_reason": finish,
        }
        return self._event([choice], usage=None)

    def _around_text(self, choice: int) -> tuple[bytes, bytes]:
        delta = {"content": "\0"}
        event = self._event([{"index": choice, "delta": delta, "logprobs": None, "finish_reason": None}], usage=None)
        before, _, after = event.partition(rb'"\u0000"')
        return before, after

    def end(self, result: ChatResult) -> bytes:
        """The last events: usage and what it cost where asked for, and the end mark."""
        usage = result.response.usage or self._usage
        if not self._wants_usage or usage is None:
            return DONE
        cost_usd = usd_number(result.record.cost_nano_usd)
        return self._event([], usage={**usage_object(usage), "cost_usd": cost_usd}) + DONE

    def _event(self, choices: list[JsonDict], *, usage: JsonDict | None) -> bytes:
        event = {**self._head, "choices": choices}
        if self._wants_usage:
            event["usage"] = usage
        return b"data: " + self._encode(event) + b"\n\n"


def usage_object(usage: Usage) -> JsonDict:
    """Usage in the dialect's words."""
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.total_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
    }


def _choice(index: int, response: ChatResponse) -> JsonDict:
    message: JsonDict = {
        "role": "assistant",
        "content": response.text if response.text or not response.tool_calls else None,
        "refusal": response.refusal or None,
    }
    if response.reasoning:
        message["reasoning_content"] = response.reasoning
    if response.reasoning_parts:
        message["reasoning_details"] = reasoning_details(response.reasoning_parts)
    if response.tool_calls:
        message["tool_calls"] = [_tool_call(call) for call in response.tool_calls]
    finish = _FINISH[response.finish_reason or "stop"]
    return {"index": index, "message": message, "logprobs": response.logprobs, "finish_reason": finish}


def reasoning_details(parts: Iterable[ReasoningPart]) -> list[JsonDict]:
    """Thoughts that a provider signed and wants back, in OpenRouter's words for them; clients send them unchanged."""
    return [
        {"type": "reasoning.encrypted", "data": part.signature}
        if part.is_redacted
        else {"type": "reasoning.text", "text": part.text, "signature": part.signature}
        for part in parts
    ]


def _tool_call(call: ToolCall) -> JsonDict:
    named: JsonDict = {"id": call.id, "type": "function"}
    named["function"] = {"name": call.name, "arguments": call.arguments}
    return {**named, **_extra(call.signature)}


def _extra(signature: str) -> JsonDict:
    """A provider's mark on a call, where Google's own OpenAI-compatible endpoint has it."""
    return {"extra_content": {"google": {"thought_signature": signature}}} if signature else {}


def _delta(chunk: StreamChunk) -> JsonDict:
    delta: JsonDict = {}
    if chunk.text:
        delta["content"] = chunk.text
    if chunk.reasoning:
        delta["reasoning_content"] = chunk.reasoning
    if chunk.reasoning_parts:
        delta["reasoning_details"] = reasoning_details(chunk.reasoning_parts)
    if chunk.refusal:
        delta["refusal"] = chunk.refusal
    if chunk.tool_calls:
        delta["tool_calls"] = [_tool_delta(call) for call in chunk.tool_calls]
    return delta


def _tool_delta(call: ToolCallDelta) -> JsonDict:
    function: JsonDict = {"arguments": call.arguments}
    if call.name is not None:
        function["name"] = call.name
    delta: JsonDict = {"index": call.index, "function": function, **_extra(call.signature)}
    if call.id is not None:
        delta |= {"id": call.id, "type": "function"}
    return delta
