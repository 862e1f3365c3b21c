"""The mock's side of Google's generateContent dialect."""

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
FINISH_REASONS = {"stop": "STOP", "length": "MAX_TOKENS", "tool_calls": "STOP", "content_filter": "SAFETY"}
_STATUS_WORDS = {400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 429: "RESOURCE_EXHAUSTED", 503: "UNAVAILABLE"}
_WORDS = {"context_length": "The input token count (250000) exceeds the maximum number of tokens allowed (200000)."}


class GeminiMock:
    """generateContent, from the provider's side."""

    stream_type = "text/event-stream"
    preamble = 0
    broken_event = b'data: {"broken": \r\n\r\n'

    def chat_body(self, request: WireRequest) -> JsonObject:
        body = cast("Fields", request.body)
        config: Fields = body.get("generationConfig") or NOTHING
        messages: list[JsonValue] = []
        system = body.get("systemInstruction")
        if system:
            messages.append({"role": "system", "content": _text(system)})
        for turn in body.get("contents") or ():
            messages += _messages(turn)
        declarations = [one for tool in body.get("tools") or () for one in tool.get("functionDeclarations") or ()]
        chat: dict[str, JsonValue] = {
            "model": request.path.rpartition("/")[2].partition(":")[0],
            "messages": messages,
            "stream": request.path.endswith(":streamGenerateContent"),
            "max_tokens": config.get("maxOutputTokens"),
            "tools": [
                {
                    "type": "function",
                    "function": {"name": one["name"], "parameters": one.get("parametersJsonSchema")},
                }
                for one in declarations
            ],
            "tool_choice": _choice(body.get("toolConfig") or NOTHING),
        }
        if config.get("responseJsonSchema"):
            chat["response_format"] = {"type": "json_schema", "json_schema": {"schema": config["responseJsonSchema"]}}
        elif config.get("responseMimeType") == "application/json":
            chat["response_format"] = {"type": "json_object"}
        return chat

    def refusal(self, fault: MockFault) -> WireReply:
        if fault.kind == "content_filter":
            blocked = {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}}
            return WireReply(200, refusal_headers(fault), json.dumps(blocked).encode())
        status = status_of(fault)
        error: dict[str, JsonValue] = {
            "code": status,
            "message": _WORDS.get(fault.kind, words_of(fault)),
            "status": _STATUS_WORDS.get(status, "INTERNAL"),
        }
        return WireReply(status, refusal_headers(fault), json.dumps({"error": error}).encode())

    def whole(self, answer: Answer, fault: MockFault | None) -> bytes:
        if is_malformed(fault):
            return MALFORMED
        parts = [*_thought(answer.reasoning), *_said(answer.text), *_calls(answer)]
        return json.dumps(_reply(answer, parts, fault, is_last=True)).encode()

    def events(self, answer: Answer, fault: MockFault | None) -> Iterator[bytes]:
        for piece in pieces(answer.reasoning):
            yield _event(_reply(answer, _thought(piece), fault, is_last=False))
        for piece in pieces(answer.text):
            yield _event(_reply(answer, _said(piece), fault, is_last=False))
        for call in _calls(answer):
            yield _event(_reply(answer, [call], fault, is_last=False))
        if has_finish(fault):
            yield _event(_reply(answer, [{"text": ""}], fault, is_last=True))


def _event(payload: JsonObject) -> bytes:
    return event_of(payload).replace(b"\n", b"\r\n")


def _reply(answer: Answer, parts: list[JsonValue], fault: MockFault | None, *, is_last: bool) -> JsonObject:
    candidate: dict[str, JsonValue] = {"content": {"role": "model", "parts": parts}, "index": 0}
    reply: dict[str, JsonValue] = {
        "candidates": [candidate],
        "modelVersion": answer.model,
        "responseId": answer.id,
    }
    if is_last and has_finish(fault):
        candidate["finishReason"] = FINISH_REASONS.get(answer.finish_reason, "STOP")
    counts = counts_of(answer, fault)
    if is_last and counts is not None:
        reply["usageMetadata"] = _usage(counts)
    return reply


def _usage(counts: MockUsage) -> JsonObject:
    said = counts.output_tokens - counts.reasoning_tokens
    return {
        "promptTokenCount": counts.input_tokens,
        "candidatesTokenCount": said,
        "thoughtsTokenCount": counts.reasoning_tokens,
        "cachedContentTokenCount": counts.cached_tokens,
        "totalTokenCount": counts.input_tokens + counts.output_tokens,
    }


def _thought(text: str) -> list[JsonValue]:
    return [{"text": text, "thought": True}] if text else []


def _said(text: str) -> list[JsonValue]:
    return [{"text": text}] if text else []


def _calls(answer: Answer) -> list[JsonValue]:
    return [
        {
            "functionCall": {
                "id": f"call_{answer.id[5:]}_{position}",
                "name": name,
                "args": decoded_arguments(arguments),
            }
        }
        for position, (name, arguments) in enumerate(answer.tool_calls)
    ]


def _choice(tool_config: Fields) -> JsonValue:
    calling: Fields = tool_config.get("functionCallingConfig") or NOTHING
    if calling.get("mode") != "ANY":
        return None
    names = calling.get("allowedFunctionNames")
    return {"function": {"name": names[0]}} if names else "required"


def _text(content: Fields) -> str:
    return "".join(str(part.get("text", "")) for part in content.get("parts") or ())


def _messages(turn: Fields) -> list[JsonValue]:
    results: list[JsonValue] = [
        {"role": "tool", "content": json.dumps(part["functionResponse"].get("response"))}
        for part in turn.get("parts") or ()
        if "functionResponse" in part
    ]
    text = _text(turn)
    role = "assistant" if turn.get("role") == "model" else "user"
    said: list[JsonValue] = [{"role": role, "content": text}] if text or not results else []
    return [*results, *said]
