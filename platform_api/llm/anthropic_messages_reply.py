"""A message and its stream events as Anthropic's clients read them.

Source: Anthropic API reference, "Messages" and "Streaming messages". A block is open until another kind of content
comes; blocks of tool calls stay open until the end, since their arguments may come by turns.
"""

import json

import msgspec

from bridge.chat import ChatResponse, ReasoningPart, StreamChunk, ToolCall, ToolCallDelta, Usage
from bridge.result import ChatResult
from platform_api.llm.client_dialect import AnswerFacts

JsonDict = dict[str, object]

STOP_REASONS = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
    "other": "end_turn",
}
INVALID = "INVALID_JSON"
"""Holds the arguments of a tool call that are no JSON object: the dialect has no place for text."""


def message(response: ChatResponse, facts: AnswerFacts) -> bytes:
    """The body of a whole reply."""
    body = _head(facts, usage_object(response.usage))
    body["content"] = [*_thoughts(response), *_texts(response), *(_tool_use(call) for call in response.tool_calls)]
    body["stop_reason"] = stop_reason(response)
    return msgspec.json.encode(body)


def stop_reason(response: ChatResponse) -> str:
    """Why the answer ends."""
    return "refusal" if response.refusal else STOP_REASONS[response.finish_reason or "stop"]


def usage_object(usage: Usage | None) -> JsonDict:
    """Usage in the dialect's words: what was read from a cache or written to one is not among `input_tokens`."""
    if usage is None:
        return {"input_tokens": 0, "output_tokens": 0}
    fresh = usage.input_tokens - usage.cached_tokens - usage.cache_write_tokens
    return {
        "input_tokens": max(fresh, 0),
        "cache_read_input_tokens": usage.cached_tokens,
        "cache_creation_input_tokens": usage.cache_write_tokens,
        "output_tokens": usage.output_tokens,
    }


class EventEncoder:
    """Turns chunks into the events of one message."""

    def __init__(self, facts: AnswerFacts) -> None:
        self._facts = facts
        self._has_begun = False
        self._next = 0
        self._kind: str | None = None
        """Of the block that is open, unless it is a tool call's."""
        self._before_text = b""
        """What stands before the text in an event that adds nothing else to the open block."""
        self._calls: dict[int, int] = {}
        """Tool call -> its block, open until the end."""
        self._encode = msgspec.json.Encoder().encode

    def chunk(self, chunk: StreamChunk) -> bytes:
        """The events for one chunk."""
        if chunk.choice != 0:
            return b""
        if self._kind == "text" and chunk.is_text_only:
            return self._before_text + self._encode(chunk.text) + b"}}\n\n"
        events = self._begin()
        if chunk.reasoning:
            events += self._add("thinking", {"type": "thinking_delta", "thinking": chunk.reasoning})
        for part in chunk.reasoning_parts:
            events += self._signed(part)
        for text in (chunk.text, chunk.refusal):
            if text:
                events += self._add("text", {"type": "text_delta", "text": text})
        for call in chunk.tool_calls:
            events += self._called(call)
        return b"".join(events)

    def end(self, result: ChatResult) -> bytes:
        """The open blocks' ends, why it stopped, what it used, and the end mark."""
        events = [*self._begin(), *self._close()]
        events += [self._event("content_block_stop", {"index": block}) for block in self._calls.values()]
        delta = {"stop_reason": stop_reason(result.response), "stop_sequence": None}
        events.append(self._event("message_delta", {"delta": delta, "usage": usage_object(result.response.usage)}))
        events.append(self._event("message_stop", {}))
        return b"".join(events)

    def _begin(self) -> list[bytes]:
        """The first event. What the prompt counts is known at the end, and is told there."""
        if self._has_begun:
            return []
        self._has_begun = True
        return [self._event("message_start", {"message": _head(self._facts, usage_object(None))})]

    def _add(self, kind: str, delta: JsonDict) -> list[bytes]:
        events: list[bytes] = []
        if self._kind != kind:
            events += self._close()
            empty: JsonDict = {"thinking": "", "signature": ""} if kind == "thinking" else {"text": ""}
            events.append(self._open({"type": kind, **empty}))
            self._kind = kind
            event = self._event("content_block_delta", {"index": self._next - 1, "delta": {"type": "text_delta"}})
            self._before_text = event.removesuffix(b"}}\n\n") + b',"text":'
        events.append(self._event("content_block_delta", {"index": self._next - 1, "delta": delta}))
        return events

    def _signed(self, part: ReasoningPart) -> list[bytes]:
        """The end of a thought that its provider signed; its text came before."""
        if part.is_redacted:
            block = self._open({"type": "redacted_thinking", "data": part.signature})
            return [*self._close(), block, self._event("content_block_stop", {"index": self._next - 1})]
        return [*self._add("thinking", {"type": "signature_delta", "signature": part.signature}), *self._close()]

    def _called(self, call: ToolCallDelta) -> list[bytes]:
        events: list[bytes] = []
        if call.index not in self._calls:
            events += self._close()
            events.append(self._open({"type": "tool_use", "id": call.id or "", "name": call.name or "", "input": {}}))
            self._calls[call.index] = self._next - 1
        if call.arguments:
            delta = {"type": "input_json_delta", "partial_json": call.arguments}
            events.append(self._event("content_block_delta", {"index": self._calls[call.index], "delta": delta}))
        return events

    def _open(self, block: JsonDict) -> bytes:
        self._next += 1
        return self._event("content_block_start", {"index": self._next - 1, "content_block": block})

    def _close(self) -> list[bytes]:
        if self._kind is None:
            return []
        self._kind = None
        return [self._event("content_block_stop", {"index": self._next - 1})]

    def _event(self, name: str, fields: JsonDict) -> bytes:
        return b"event: " + name.encode() + b"\ndata: " + self._encode({"type": name, **fields}) + b"\n\n"


def _head(facts: AnswerFacts, usage: JsonDict) -> JsonDict:
    return {
        "id": f"msg_{facts.call_id}",
        "type": "message",
        "role": "assistant",
        "model": facts.model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": usage,
    }


def _thoughts(response: ChatResponse) -> list[JsonDict]:
    if not response.reasoning_parts:
        return [{"type": "thinking", "thinking": response.reasoning, "signature": ""}] if response.reasoning else []
    return [
        {"type": "redacted_thinking", "data": part.signature}
        if part.is_redacted
        else {"type": "thinking", "thinking": part.text, "signature": part.signature}
        for part in response.reasoning_parts
    ]


def _texts(response: ChatResponse) -> list[JsonDict]:
    return [{"type": "text", "text": text} for text in (response.text, response.refusal) if text]


def _tool_use(call: ToolCall) -> JsonDict:
    try:
        arguments: object = json.loads(call.arguments or "{}")
    except ValueError:
        arguments = None
    if not isinstance(arguments, dict):
        arguments = {INVALID: call.arguments}
    return {"type": "tool_use", "id": call.id, "name": call.name, "input": arguments}
