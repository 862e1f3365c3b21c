"""The mock's side of Ollama's own chat dialect."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, cast

from bridge.json_types import JsonObject, JsonValue
from bridge.providers.mock_answer import Answer
from bridge.providers.mock_script import MockFault
from bridge.providers.mock_wording import (
    MALFORMED,
    counts_of,
    decoded_arguments,
    has_finish,
    is_malformed,
    pieces,
    refusal_headers,
    status_of,
    words_of,
)
from bridge.transport import WireReply, WireRequest

SENT_AT = "2026-01-01T00:00:00Z"


class OllamaMock:
    """/api/chat, from the provider's side."""

    stream_type = "application/x-ndjson"
    preamble = 0
    broken_event = b'{"broken": \n'

    def chat_body(self, request: WireRequest) -> JsonObject:
        body = cast("Mapping[str, Any]", request.body)
        chat: dict[str, JsonValue] = {**body, "max_tokens": (body.get("options") or {}).get("num_predict")}
        wanted = body.get("format")
        if isinstance(wanted, Mapping):
            chat["response_format"] = {"type": "json_schema", "json_schema": {"schema": cast("JsonObject", wanted)}}
        elif wanted == "json":
            chat["response_format"] = {"type": "json_object"}
        return chat

    def refusal(self, fault: MockFault) -> WireReply:
        return WireReply(status_of(fault), refusal_headers(fault), json.dumps({"error": words_of(fault)}).encode())

    def whole(self, answer: Answer, fault: MockFault | None) -> bytes:
        if is_malformed(fault):
            return MALFORMED
        message: dict[str, JsonValue] = {"role": "assistant", "content": answer.text}
        if answer.reasoning:
            message["thinking"] = answer.reasoning
        if answer.tool_calls:
            message["tool_calls"] = _calls(answer)
        return json.dumps({**_line(answer, message), **_end(answer, fault)}).encode()

    def events(self, answer: Answer, fault: MockFault | None) -> Iterator[bytes]:
        for key, text in (("thinking", answer.reasoning), ("content", answer.text)):
            for piece in pieces(text):
                yield _written({**_line(answer, {"role": "assistant", "content": "", key: piece}), "done": False})
        if answer.tool_calls:
            message: dict[str, JsonValue] = {"role": "assistant", "content": "", "tool_calls": _calls(answer)}
            yield _written({**_line(answer, message), "done": False})
        if has_finish(fault):
            yield _written({**_line(answer, {"role": "assistant", "content": ""}), **_end(answer, fault)})


def _line(answer: Answer, message: JsonObject) -> dict[str, JsonValue]:
    return {"model": answer.model, "created_at": SENT_AT, "message": message}


def _end(answer: Answer, fault: MockFault | None) -> dict[str, JsonValue]:
    if not has_finish(fault):
        return {"done": False}
    end: dict[str, JsonValue] = {"done": True, "done_reason": "length" if answer.finish_reason == "length" else "stop"}
    counts = counts_of(answer, fault)
    if counts is not None:
        end |= {"prompt_eval_count": counts.input_tokens, "eval_count": counts.output_tokens}
    return end


def _calls(answer: Answer) -> list[JsonValue]:
    return [{"function": {"name": name, "arguments": decoded_arguments(text)}} for name, text in answer.tool_calls]


def _written(payload: JsonObject) -> bytes:
    return json.dumps(payload).encode() + b"\n"
