"""The mock's side of Cohere's v2 chat dialect."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, cast

from bridge.json_types import JsonObject, JsonValue
from bridge.providers.mock_answer import Answer
from bridge.providers.mock_script import MockFault, MockUsage
from bridge.providers.mock_wording import (
    MALFORMED,
    counts_of,
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
FINISH_REASONS = {
    "stop": "COMPLETE",
    "length": "MAX_TOKENS",
    "tool_calls": "TOOL_CALL",
    "content_filter": "ERROR_TOXIC",
}
_WORDS = {"context_length": "too many tokens: size limit exceeded by 25836 tokens."}


class CohereMock:
    """v2 chat, from the provider's side."""

    stream_type = "text/event-stream"
    preamble = 2
    broken_event = b'event: content-delta\ndata: {"broken": \n\n'

    def chat_body(self, request: WireRequest) -> JsonObject:
        body = cast("Fields", request.body)
        chat: dict[str, JsonValue] = {
            **body,
            "tool_choice": "required" if body.get("tool_choice") == "REQUIRED" else None,
        }
        wanted: Fields = body.get("response_format") or NOTHING
        if wanted.get("json_schema"):
            chat["response_format"] = {"type": "json_schema", "json_schema": {"schema": wanted["json_schema"]}}
        return chat

    def refusal(self, fault: MockFault) -> WireReply:
        body = {"id": "mock", "message": _WORDS.get(fault.kind, words_of(fault))}
        return WireReply(status_of(fault), refusal_headers(fault), json.dumps(body).encode())

    def whole(self, answer: Answer, fault: MockFault | None) -> bytes:
        if is_malformed(fault):
            return MALFORMED
        content: list[JsonValue] = []
        if answer.reasoning:
            content.append({"type": "thinking", "thinking": answer.reasoning})
        if answer.text:
            content.append({"type": "text", "text": answer.text})
        message: dict[str, JsonValue] = {"role": "assistant", "content": content}
        if answer.tool_calls:
            message["tool_calls"] = [_call(answer, position) for position in range(len(answer.tool_calls))]
        reply: dict[str, JsonValue] = {"id": answer.id, "message": message}
        if has_finish(fault):
            reply["finish_reason"] = FINISH_REASONS.get(answer.finish_reason, "COMPLETE")
        counts = counts_of(answer, fault)
        if counts is not None:
            reply["usage"] = _usage(counts)
        return json.dumps(reply).encode()

    def events(self, answer: Answer, fault: MockFault | None) -> Iterator[bytes]:
        yield _event("message-start", {"id": answer.id, "delta": {"message": {"role": "assistant", "content": []}}})
        index = 0
        for key, text in (("thinking", answer.reasoning), ("text", answer.text)):
            if text:
                yield _event("content-start", {"index": index, "delta": _content({"type": key, key: ""})})
                for piece in pieces(text):
                    yield _event("content-delta", {"index": index, "delta": _content({key: piece})})
                yield _event("content-end", {"index": index})
                index += 1
        for position, (name, arguments) in enumerate(answer.tool_calls):
            opening = {**_call(answer, position), "function": {"name": name, "arguments": ""}}
            yield _event("tool-call-start", {"index": position, "delta": {"message": {"tool_calls": opening}}})
            more = {"function": {"arguments": arguments}}
            yield _event("tool-call-delta", {"index": position, "delta": {"message": {"tool_calls": more}}})
            yield _event("tool-call-end", {"index": position})
        if has_finish(fault):
            delta: dict[str, JsonValue] = {"finish_reason": FINISH_REASONS.get(answer.finish_reason, "COMPLETE")}
            counts = counts_of(answer, fault)
            if counts is not None:
                delta["usage"] = _usage(counts)
            yield _event("message-end", {"delta": delta})
            if has_end_mark(fault):
                yield b"data: [DONE]\n\n"


def _content(block: JsonObject) -> JsonObject:
    return {"message": {"content": block}}


def _event(kind: str, payload: JsonObject) -> bytes:
    return event_of({"type": kind, **payload}, kind)


def _call(answer: Answer, position: int) -> dict[str, JsonValue]:
    name, arguments = answer.tool_calls[position]
    return {
        "id": f"call_{answer.id[5:]}_{position}",
        "type": "function",
        "function": {"name": name, "arguments": arguments},
    }


def _usage(counts: MockUsage) -> JsonObject:
    tokens: JsonObject = {
        "input_tokens": counts.input_tokens,
        "output_tokens": counts.output_tokens,
        "reasoning_tokens": counts.reasoning_tokens,
    }
    return {"tokens": tokens, "cached_tokens": counts.cached_tokens}
