"""The mock's side of the Anthropic Messages dialect."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, cast

from bridge.json_types import JsonObject, JsonValue
from bridge.providers.mock_answer import Answer
from bridge.providers.mock_script import MockFault, MockUsage
from bridge.providers.mock_wording import (
    MALFORMED,
    counts_of,
    decoded_arguments,
    event_of,
    has_end_mark,
    has_finish,
    is_malformed,
    pieces,
    refusal_headers,
    status_of,
    words_of,
)
from bridge.transport import WireReply, WireRequest

Fields = Mapping[str, Any]
NOTHING: Fields = {}
STOP_REASONS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use", "content_filter": "refusal"}
_TYPES = {
    "rate_limit": "rate_limit_error",
    "auth": "authentication_error",
    "content_filter": "invalid_request_error",
    "context_length": "invalid_request_error",
}
_WORDS = {
    "context_length": "prompt is too long: 250000 tokens > 200000 maximum",
    "content_filter": "Output blocked by content filtering policy",
}


class AnthropicMock:
    """Messages, from the provider's side."""

    stream_type = "text/event-stream"
    preamble = 2
    broken_event = b'event: content_block_delta\ndata: {"broken": \n\n'

    def chat_body(self, request: WireRequest) -> JsonObject:
        body = cast("Fields", request.body)
        messages: list[JsonValue] = [{"role": "system", "content": body["system"]}] if body.get("system") else []
        for turn in body.get("messages") or ():
            messages += _messages(turn)
        chat: dict[str, JsonValue] = {
            "model": body.get("model", ""),
            "messages": messages,
            "stream": bool(body.get("stream")),
            "max_tokens": body.get("max_tokens"),
            "tools": [
                {"type": "function", "function": {"name": tool["name"], "parameters": tool.get("input_schema")}}
                for tool in body.get("tools") or ()
            ],
            "tool_choice": _choice(body.get("tool_choice")),
        }
        config: Fields = body.get("output_config") or NOTHING
        if config.get("format"):
            chat["response_format"] = {"type": "json_schema", "json_schema": {"schema": config["format"]["schema"]}}
        return chat

    def refusal(self, fault: MockFault) -> WireReply:
        kind = _TYPES.get(fault.kind, "overloaded_error" if status_of(fault) == 529 else "api_error")
        error = {"type": kind, "message": _WORDS.get(fault.kind, words_of(fault))}
        return WireReply(
            status_of(fault), refusal_headers(fault), json.dumps({"type": "error", "error": error}).encode()
        )

    def whole(self, answer: Answer, fault: MockFault | None) -> bytes:
        if is_malformed(fault):
            return MALFORMED
        content: list[JsonValue] = []
        if answer.reasoning:
            content.append({"type": "thinking", "thinking": answer.reasoning, "signature": "mock-signature"})
        if answer.text:
            content.append({"type": "text", "text": answer.text})
        for position, (name, arguments) in enumerate(answer.tool_calls):
            content.append({**_opening(answer, position, name), "input": decoded_arguments(arguments)})
        message: dict[str, JsonValue] = {
            **_head(answer),
            "content": content,
            "stop_reason": STOP_REASONS.get(answer.finish_reason, "end_turn") if has_finish(fault) else None,
        }
        counts = counts_of(answer, fault)
        if counts is not None:
            message["usage"] = _usage(counts)
        return json.dumps(message).encode()

    def events(self, answer: Answer, fault: MockFault | None) -> Iterator[bytes]:
        counts = counts_of(answer, fault)
        head: dict[str, JsonValue] = {**_head(answer), "content": list[JsonValue]()}
        if counts is not None:
            head["usage"] = {**_usage(counts), "output_tokens": 1}
        yield _event("message_start", {"message": head})
        index = 0
        if answer.reasoning:
            yield _event("content_block_start", {"index": 0, "content_block": {"type": "thinking", "thinking": ""}})
            for piece in pieces(answer.reasoning):
                yield _delta(0, {"type": "thinking_delta", "thinking": piece})
            yield _delta(0, {"type": "signature_delta", "signature": "mock-signature"})
            yield _event("content_block_stop", {"index": 0})
            index = 1
        if answer.text:
            yield _event("content_block_start", {"index": index, "content_block": {"type": "text", "text": ""}})
            for piece in pieces(answer.text):
                yield _delta(index, {"type": "text_delta", "text": piece})
            yield _event("content_block_stop", {"index": index})
            index += 1
        for position, (name, arguments) in enumerate(answer.tool_calls):
            block: dict[str, JsonValue] = {**_opening(answer, position, name), "input": dict[str, JsonValue]()}
            yield _event("content_block_start", {"index": index, "content_block": block})
            yield _delta(index, {"type": "input_json_delta", "partial_json": arguments})
            yield _event("content_block_stop", {"index": index})
            index += 1
        if has_finish(fault):
            reason = STOP_REASONS.get(answer.finish_reason, "end_turn")
            end: dict[str, JsonValue] = {"delta": {"stop_reason": reason, "stop_sequence": None}}
            if counts is not None:
                end["usage"] = {"output_tokens": counts.output_tokens}
            yield _event("message_delta", end)
            if has_end_mark(fault):
                yield _event("message_stop", {})


def _head(answer: Answer) -> dict[str, JsonValue]:
    return {"id": answer.id, "type": "message", "role": "assistant", "model": answer.model}


def _opening(answer: Answer, position: int, name: str) -> dict[str, JsonValue]:
    return {"type": "tool_use", "id": f"call_{answer.id[5:]}_{position}", "name": name}


def _usage(counts: MockUsage) -> dict[str, JsonValue]:
    return {
        "input_tokens": counts.input_tokens - counts.cached_tokens,
        "cache_read_input_tokens": counts.cached_tokens,
        "cache_creation_input_tokens": 0,
        "output_tokens": counts.output_tokens,
        "output_tokens_details": {"thinking_tokens": counts.reasoning_tokens},
    }


def _event(kind: str, payload: JsonObject) -> bytes:
    return event_of({"type": kind, **payload}, kind)


def _delta(index: int, delta: JsonObject) -> bytes:
    return _event("content_block_delta", {"index": index, "delta": delta})


def _choice(choice: Fields | None) -> JsonValue:
    if choice is None or choice["type"] in ("auto", "none"):
        return None
    return {"function": {"name": choice["name"]}} if choice["type"] == "tool" else "required"


def _messages(turn: Fields) -> list[JsonValue]:
    """One turn as chat messages: results of tools come apart from the rest."""
    content = turn["content"]
    if isinstance(content, str):
        return [{"role": turn["role"], "content": content}]
    results: list[JsonValue] = []
    texts: list[str] = []
    for block in cast("list[Fields]", content):
        if block["type"] == "tool_result":
            results.append({"role": "tool", "content": str(block.get("content", ""))})
        elif block["type"] == "text":
            texts.append(str(block["text"]))
    said: list[JsonValue] = [{"role": turn["role"], "content": "".join(texts)}] if texts or not results else []
    return [*results, *said]
