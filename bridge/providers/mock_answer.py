"""What the mock answers to a request: scripted, by schema, a tool call, or an echo."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from bridge.json_types import JsonObject, JsonValue
from bridge.providers.json_from_schema import value_for
from bridge.providers.mock_script import Asked, MockOptions, MockReply, MockUsage

BYTES_PER_TOKEN = 4
Fields = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer, before it is put on the wire."""

    model: str
    text: str
    usage: MockUsage
    reasoning: str = ""
    tool_calls: tuple[tuple[str, str], ...] = field(default=())
    """Name and arguments, as JSON text."""
    finish_reason: str = "stop"
    id: str = ""


def asked_of(body: JsonObject) -> Asked:
    """The request as scripts see it."""
    messages = cast("Sequence[Fields]", body.get("messages") or ())
    texts = [_text_of(message) for message in messages]
    by_user = [text for message, text in zip(messages, texts, strict=True) if message.get("role") == "user"]
    return Asked(
        model=str(body.get("model", "")),
        newest_text=by_user[-1] if by_user else (texts[-1] if texts else ""),
        all_text="\n".join(texts),
        is_stream=bool(body.get("stream")),
        has_tools=bool(body.get("tools")),
    )


def answer_for(body: JsonObject, asked: Asked, reply: MockReply | None, options: MockOptions) -> Answer:
    """The answer to `body`: the scripted one, else one that keeps to what the request demands."""
    key = hashlib.sha256(f"{options.seed}:{asked.model}:{asked.all_text}".encode("utf-8", "replace")).hexdigest()
    text, calls = _scripted(reply, asked) if reply is not None else _made_up(body, asked, options, key)
    text, is_cut = _within_limit(text, body)
    finish = "length" if is_cut else "tool_calls" if calls else "stop"
    counted = MockUsage(
        input_tokens=max(1, len(json.dumps(body.get("messages"), default=list)) // BYTES_PER_TOKEN),
        output_tokens=max(1, tokens_in(text) + sum(tokens_in(name + arguments) for name, arguments in calls)),
    )
    return Answer(
        model=asked.model,
        text=text,
        usage=(reply.usage if reply else None) or counted,
        reasoning=reply.reasoning if reply else "",
        tool_calls=calls,
        finish_reason=(reply.finish_reason if reply else None) or finish,
        id=f"mock-{key[:16]}",
    )


def tokens_in(text: str) -> int:
    """The mock's count: four bytes a token, rounded up."""
    return -(-len(text.encode("utf-8", "replace")) // BYTES_PER_TOKEN)


def _scripted(reply: MockReply, asked: Asked) -> tuple[str, tuple[tuple[str, str], ...]]:
    calls = tuple(
        (call.name, call.arguments if isinstance(call.arguments, str) else json.dumps(call.arguments))
        for call in reply.tool_calls
    )
    if reply.text is not None:
        return reply.text.replace("{text}", asked.newest_text), calls
    if reply.json_value is not None:
        return json.dumps(reply.json_value, ensure_ascii=False), calls
    return "", calls


def _made_up(body: JsonObject, asked: Asked, options: MockOptions, key: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    tool = _tool_to_call(body)
    if tool is not None:
        arguments = value_for(tool.get("parameters") or {"type": "object"}, key)
        return "", ((str(tool["name"]), json.dumps(arguments)),)
    wanted = cast("Fields", body.get("response_format") or {})
    if wanted.get("type") == "json_schema":
        return json.dumps(value_for(wanted["json_schema"]["schema"], key)), ()
    text = options.default_text.replace("{text}", asked.newest_text)
    return (json.dumps({"answer": text}) if wanted.get("type") == "json_object" else text), ()


def _tool_to_call(body: JsonObject) -> Fields | None:
    """The tool that the request insists on; None when it leaves the choice."""
    tools = cast("Sequence[Fields]", body.get("tools") or ())
    functions: list[Fields] = [tool["function"] for tool in tools]
    choice: JsonValue = body.get("tool_choice")
    if not functions or choice in (None, "auto", "none"):
        return None
    if isinstance(choice, Mapping):
        named = cast("Fields", choice["function"])
        return next((function for function in functions if function["name"] == named["name"]), None)
    return functions[0]


def _within_limit(text: str, body: JsonObject) -> tuple[str, bool]:
    """`text` cut at the request's output limit, and whether it was cut."""
    limit = body.get("max_tokens") or body.get("max_completion_tokens")
    if not isinstance(limit, int) or tokens_in(text) <= limit:
        return text, False
    return text.encode("utf-8", "replace")[: limit * BYTES_PER_TOKEN].decode("utf-8", "ignore"), True


def _text_of(message: Fields) -> str:
    content = message.get("content")
    if isinstance(content, str):
        return content
    return "".join(str(part.get("text", "")) for part in content or ())
