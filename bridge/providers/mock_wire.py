"""The mock's answers and refusals as bytes in the OpenAI dialect."""

import json
import re
from collections.abc import Iterator
from http import HTTPStatus

from bridge.json_types import JsonObject, JsonValue
from bridge.providers.mock_answer import Answer
from bridge.providers.mock_script import MockFault
from bridge.transport import WireReply

_REFUSALS: dict[str, tuple[int, str, str]] = {
    "rate_limit": (429, "rate_limit_exceeded", "rate limit reached"),
    "auth": (401, "invalid_api_key", "invalid API key"),
    "content_filter": (400, "content_policy_violation", "the request was refused by the content policy"),
    "context_length": (400, "context_length_exceeded", "this model's maximum context length is exceeded"),
}
ABSURD_TOKENS = -7


def refusal_of(fault: MockFault) -> WireReply:
    """The error reply of a fault that shows in the status."""
    phrase = HTTPStatus(fault.status).phrase if fault.status in set(HTTPStatus) else "failure"
    status, code, message = _REFUSALS.get(fault.kind, (fault.status, "mock_fault", phrase))
    headers = {"content-type": "application/json"}
    if fault.retry_after_s is not None:
        headers["retry-after"] = f"{fault.retry_after_s:g}"
    body = {"error": {"message": message, "type": "mock_error", "code": code, "param": None}}
    return WireReply(status, headers, json.dumps(body).encode())


def whole_body_of(answer: Answer, fault: MockFault | None) -> bytes:
    """A whole completion."""
    kind = None if fault is None else fault.kind
    if kind in ("malformed", "broken_chunk"):
        return b'{"choices": [{"message": '
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
    for piece in re.findall(r"\S+\s*|\s+", answer.reasoning):
        yield _event(answer, {"reasoning_content": piece})
    for piece in re.findall(r"\S+\s*|\s+", answer.text):
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
