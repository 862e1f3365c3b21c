"""Our request as the JSON body of a chat completion."""

import hashlib
from typing import assert_never

from bridge.chat import (
    AudioPart,
    ChatRequest,
    ContentPart,
    DocumentPart,
    ImagePart,
    JsonFormat,
    Message,
    TextPart,
    Tool,
)
from bridge.json_types import JsonObject, JsonValue
from bridge.providers.compatible_vendors import Quirks

Body = dict[str, JsonValue]


def body_of(request: ChatRequest, model_id: str, quirks: Quirks, *, stream: bool) -> Body:
    """The body for `model_id`, in the accent of `quirks`. Fields nobody set are absent."""
    body: Body = {
        "model": model_id,
        "messages": [message_of(message, quirks) for message in request.messages],
        quirks.output_limit_field: request.max_output_tokens,
        "temperature": request.temperature,
        "top_p": request.top_p,
        "top_k": request.top_k if quirks.has_top_k else None,
        "stop": list(request.stop) or None,
        "n": request.n if request.n > 1 else None,
        "frequency_penalty": request.frequency_penalty,
        "presence_penalty": request.presence_penalty,
        "logprobs": request.logprobs,
        "top_logprobs": request.top_logprobs,
        "reasoning_effort": request.reasoning_effort,
        **_tool_fields(request, quirks),
    }
    if quirks.seed_field is not None:
        body[quirks.seed_field] = request.seed
    if request.response_format is not None:
        body["response_format"] = _format_of(request.response_format, quirks)
    if stream:
        body["stream"] = True
        body["stream_options"] = {"include_usage": True} if quirks.has_stream_options else None
    return {name: value for name, value in body.items() if value is not None and name not in quirks.unsupported}


def lacks_of(request: ChatRequest, quirks: Quirks) -> tuple[str, ...]:
    """What the request asks for and the vendor's API has no field for."""
    asked = {
        "seed": request.seed is not None and quirks.seed_field is None,
        "stop": bool(request.stop),
        "n": request.n > 1,
        "logprobs": bool(request.logprobs) or request.top_logprobs is not None,
        "frequency_penalty": request.frequency_penalty is not None,
        "presence_penalty": request.presence_penalty is not None,
        "parallel_tool_calls": request.parallel_tool_calls is False and bool(request.tools),
        "reasoning_effort": request.reasoning_effort is not None,
        "temperature": request.temperature is not None,
        "top_p": request.top_p is not None,
    }
    lacking = [name for name, is_asked in asked.items() if is_asked and (name == "seed" or name in quirks.unsupported)]
    if request.top_k is not None and not quirks.has_top_k:
        lacking.append("top_k")
    return tuple(lacking)


def message_of(message: Message, quirks: Quirks) -> Body:
    """One message. Text alone is sent as a string, which every vendor accepts."""
    body: Body = {"role": message.role, "content": _content_of(message)}
    if message.name is not None:
        body["name"] = message.name
    if message.tool_calls:
        body["tool_calls"] = [
            {
                "id": _call_id(call.id, quirks),
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            }
            for call in message.tool_calls
        ]
        body["content"] = body["content"] or None
    if message.tool_call_id is not None:
        body["tool_call_id"] = _call_id(message.tool_call_id, quirks)
    return body


def _content_of(message: Message) -> JsonValue:
    if all(isinstance(part, TextPart) for part in message.content):
        return message.text
    return [_part_of(part) for part in message.content]


def _part_of(part: ContentPart) -> JsonObject:
    match part:
        case TextPart(text):
            return {"type": "text", "text": text}
        case ImagePart(url, None):
            return {"type": "image_url", "image_url": {"url": url}}
        case ImagePart(url, detail):
            return {"type": "image_url", "image_url": {"url": url, "detail": detail}}
        case DocumentPart(url, name):
            return {"type": "file", "file": {"file_data": url, "filename": name or "document.pdf"}}
        case AudioPart(data, form):
            return {"type": "input_audio", "input_audio": {"data": data, "format": form}}
        case _:
            assert_never(part)


def _call_id(call_id: str, quirks: Quirks) -> str:
    """The id itself where it fits, else one derived from it: a call and its result keep matching."""
    length = quirks.tool_call_id_length
    if length is None or (len(call_id) == length and call_id.isalnum()):
        return call_id
    return hashlib.sha256(call_id.encode("utf-8", "replace")).hexdigest()[:length]


def _tool_fields(request: ChatRequest, quirks: Quirks) -> Body:
    if not request.tools:
        return {}
    choice = request.tool_choice
    tools = request.tools
    fields: Body = {"parallel_tool_calls": request.parallel_tool_calls}
    if choice in ("auto", "none", None):
        fields["tool_choice"] = choice
    elif choice == "required":
        fields["tool_choice"] = quirks.required_tool_word
    elif quirks.has_named_tool_choice:
        fields["tool_choice"] = {"type": "function", "function": {"name": choice}}
    else:
        tools = tuple(tool for tool in tools if tool.name == choice)
        fields["tool_choice"] = quirks.required_tool_word
    return {"tools": [_tool_of(tool, quirks) for tool in tools], **fields}


def _tool_of(tool: Tool, quirks: Quirks) -> JsonObject:
    function: Body = {"name": tool.name, "parameters": tool.parameters or {"type": "object", "properties": {}}}
    if tool.description:
        function["description"] = tool.description
    if tool.strict is not None and quirks.has_strict_schemas:
        function["strict"] = tool.strict
    return {"type": "function", "function": function}


def _format_of(wanted: JsonFormat, quirks: Quirks) -> JsonObject:
    if wanted.schema is None:
        return {"type": "json_object"}
    strict = wanted.strict and (not quirks.has_strict_schemas or is_closed(wanted.schema))
    return {
        "type": "json_schema",
        "json_schema": {"name": _safe_name(wanted.name), "schema": wanted.schema, "strict": strict},
    }


def _safe_name(name: str) -> str:
    """Letters, digits, `_` and `-`, at most 64, as the API asks."""
    return "".join(c if (c.isascii() and c.isalnum()) or c in "_-" else "_" for c in name)[:64] or "answer"


def is_closed(schema: JsonValue) -> bool:
    """Is every object in the schema closed, with all properties required? Only then is `strict: true` accepted.

    Source: OpenAI guide "Structured outputs", supported schemas.
    """
    if isinstance(schema, (list, tuple)):
        return all(is_closed(item) for item in schema)
    if not isinstance(schema, dict):
        return True
    properties = schema.get("properties")
    if properties is not None or schema.get("type") == "object":
        required = schema.get("required", ())
        names = set(properties) if isinstance(properties, dict) else set[str]()
        has_all = isinstance(required, (list, tuple)) and names == {str(name) for name in required}
        if schema.get("additionalProperties") is not False or not has_all:
            return False
    return not OPEN_KEYWORDS & schema.keys() and all(is_closed(value) for value in schema.values())


OPEN_KEYWORDS = frozenset({"allOf", "not", "dependentRequired", "if", "patternProperties", "oneOf", "uniqueItems"})
