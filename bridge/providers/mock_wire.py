"""The mock's answers and refusals as bytes in the OpenAI dialect."""

import json
from collections.abc import Iterator

from bridge.json_types import JsonObject, JsonValue
from bridge.providers.mock_answer import Answer
from bridge.providers.mock_script import MockFault
from bridge.providers.mock_wording import (
    ABSURD_TOKENS,
    MALFORMED,
    is_malformed,
    pieces,
    refusal_headers,
    status_of,
    words_of,
)
from bridge.transport import WireReply, WireRequest

_CODES = {
    "rate_limit": "rate_limit_exceeded",
    "auth": "invalid_api_key",
    "content_filter": "content_policy_violation",
    "context_length": "context_length_exceeded",
}


class OpenAiMock:
    """The OpenAI dialect, from the provider's side."""

    stream_type = "text/event-stream"
    preamble = 0
    broken_event = b'data: {"broken": \n\n'

    def chat_body(self, request: WireRequest) -> JsonObject:
        return request.body

    def refusal(self, fault: MockFault) -> WireReply:
        return refusal_of(fault)

    def whole(self, answer: Answer, fault: MockFault | None) -> bytes:
        return whole_body_of(answer, fault)

    def events(self, answer: Answer, fault: MockFault | None) -> Iterator[bytes]:
        return events_of(answer, fault)


def refusal_of(fault: MockFault) -> WireReply:
    """The error reply of a fault that shows in the status."""
    code = _CODES.get(fault.kind, "mock_fault")
    body = {"error": {"message": words_of(fault), "type": "mock_error", "code": code, "param": None}}
    return WireReply(status_of(fault), refusal_headers(fault), json.dumps(body).encode())


def whole_body_of(answer: Answer, fault: MockFault | None) -> bytes:
    """A whole completion."""
    kind = None if fault is None else fault.kind
    if is_malformed(fault):
        return MALFORMED
    message: dict[str, JsonValue] = {"role": "assistant", "content": answer.text or None}
    if answer.reasoning:
        message["reasoning_content"] = answer.reasoning
    if answer.tool_calls:
        message["tool_calls"] = [_call(answer, position) for position in range(len(answer.tool_calls))]
    finish = None if kind == "no_finish" else answer.finish_reason
    reply: dict[str, JsonValue] = {
        "id": answer.id,
        "object": "chat.completion",
        "model": answer.model,
        "choices": [{"index": 0, "message": message, "finish_reason": finish}],
    }
    if kind != "no_usage":
        reply["usage"] = _usage(answer, kind)
    return json.dumps(reply).encode()


def events_of(answer: Answer, fault: MockFault | None) -> Iterator[bytes]:
    """The events of a stream: words, tool calls in two pieces, the finish reason, the usage, the end mark."""
    kind = None if fault is None else fault.kind
    for piece in pieces(answer.reasoning):
        yield _event(answer, {"reasoning_content": piece})
    for piece in pieces(answer.text):
        yield _event(answer, {"content": piece})
    for position, (_, arguments) in enumerate(answer.tool_calls):
        opening = _call(answer, position)
        yield _event(answer, {"tool_calls": [{"index": position, **opening, "function": _named(answer, position)}]})
        yield _event(answer, {"tool_calls": [{"index": position, "function": {"arguments": arguments}}]})
    if kind != "no_finish":
        yield _event(answer, {}, answer.finish_reason)
    if kind != "no_usage":
        yield _data({"id": answer.id, "model": answer.model, "choices": [], "usage": _usage(answer, kind)})
    if kind != "no_done":
        yield b"data: [DONE]\n\n"


def _event(answer: Answer, delta: JsonObject, finish_reason: str | None = None) -> bytes:
    choice: JsonObject = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    return _data({"id": answer.id, "object": "chat.completion.chunk", "model": answer.model, "choices": [choice]})


def _data(payload: JsonObject) -> bytes:
    return b"data: " + json.dumps(payload).encode() + b"\n\n"


def _call(answer: Answer, position: int) -> dict[str, JsonValue]:
    name, arguments = answer.tool_calls[position]
    return {
        "id": f"call_{answer.id[5:]}_{position}",
        "type": "function",
        "function": {"name": name, "arguments": arguments},
    }


def _named(answer: Answer, position: int) -> JsonObject:
    return {"name": answer.tool_calls[position][0], "arguments": ""}


def _usage(answer: Answer, kind: str | None) -> JsonObject:
    usage = answer.usage
    tokens = ABSURD_TOKENS if kind == "absurd_usage" else usage.input_tokens
    return {
        "prompt_tokens": tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": tokens + usage.output_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
    }
