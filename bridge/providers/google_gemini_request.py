"""Our request as the JSON body of generateContent."""

import json
import mimetypes
import re
from collections.abc import Mapping, Sequence
from typing import assert_never
from urllib.parse import urlsplit

from bridge.catalog.deployments import Deployment
from bridge.chat import AudioPart, ChatRequest, ContentPart, DocumentPart, ImagePart, Message, TextPart, ToolCall
from bridge.errors import RejectedError
from bridge.json_types import JsonObject, JsonValue
from bridge.providers.data_urls import inline_data

Body = dict[str, JsonValue]
BUDGET_TOKENS = {"none": 0, "minimal": 512, "low": 1024, "medium": 8192, "high": 24576}
"""Thinking budgets for models before Gemini 3, which takes levels."""
LEAST_PRO_BUDGET = 128
"""2.5 Pro cannot leave thinking out."""
LEVELS = {"none": "minimal", "minimal": "minimal", "low": "low", "medium": "medium", "high": "high", "xhigh": "high"}
UNSIGNED = "skip_thought_signature_validator"
"""Gemini 3 refuses a call that it did not sign; this stands for the signature of a call another model made."""
_VERSION = re.compile(r"gemini-(\d+)")


def body_of(request: ChatRequest, target: Deployment) -> Body:
    """The body for `target`; the model and streaming are in the path."""
    system = "\n\n".join(message.text for message in request.messages if message.role == "system")
    body: Body = {
        "contents": _contents(request.messages, target),
        "systemInstruction": {"parts": [{"text": system}]} if system else None,
        "generationConfig": _generation(request, target) or None,
        **_tool_fields(request),
    }
    return {name: value for name, value in body.items() if value is not None}


def lacks_of(request: ChatRequest) -> tuple[str, ...]:
    """What the request asks for and the API has no field for."""
    return ("parallel_tool_calls",) if request.parallel_tool_calls is False and request.tools else ()


def _generation(request: ChatRequest, target: Deployment) -> Body:
    config: Body = {
        "maxOutputTokens": request.max_output_tokens,
        "temperature": request.temperature,
        "topP": request.top_p,
        "stopSequences": list(request.stop) or None,
        "seed": request.seed,
        "candidateCount": request.n if request.n > 1 else None,
        "frequencyPenalty": request.frequency_penalty,
        "presencePenalty": request.presence_penalty,
        "responseLogprobs": request.logprobs or None,
        "logprobs": request.top_logprobs if request.logprobs else None,
        "thinkingConfig": _thinking(request, target.model_id),
    }
    if request.response_format is not None:
        config["responseMimeType"] = "application/json"
        config["responseJsonSchema"] = request.response_format.schema
    return {name: value for name, value in config.items() if value is not None}


def is_third_generation(model_id: str) -> bool:
    """Gemini 3 or later: thinking by level, signed function calls."""
    found = _VERSION.search(model_id)
    return found is not None and int(found.group(1)) >= 3


def _thinking(request: ChatRequest, model_id: str) -> Body | None:
    effort = request.reasoning_effort
    if effort is None:
        return None
    if is_third_generation(model_id):
        return {"thinkingLevel": LEVELS.get(effort, "high"), "includeThoughts": effort != "none"}
    budget = BUDGET_TOKENS.get(effort, BUDGET_TOKENS["high"])
    if "pro" in model_id:
        budget = max(budget, LEAST_PRO_BUDGET)
    return {"thinkingBudget": budget, "includeThoughts": effort != "none"}


def _contents(messages: Sequence[Message], target: Deployment) -> list[JsonValue]:
    """Turns of `user` and `model` in alternation; a tool's result is the user's and names the tool."""
    names = {call.id: call.name for message in messages for call in message.tool_calls}
    turns: list[tuple[str, list[JsonValue]]] = []
    for message in messages:
        if message.role == "system":
            continue
        side = "model" if message.role == "assistant" else "user"
        parts = _parts(message, names, target)
        if turns and turns[-1][0] == side:
            turns[-1][1].extend(parts)
        elif parts:
            turns.append((side, parts))
    return [{"role": side, "parts": parts} for side, parts in turns]


def _parts(message: Message, names: Mapping[str, str], target: Deployment) -> list[JsonValue]:
    if message.role == "tool":
        call_id = message.tool_call_id or ""
        response: Body = {"id": call_id, "name": names.get(call_id) or message.name or "tool"}
        response["response"] = _result(message.text)
        others = [_part(part) for part in message.content if not isinstance(part, TextPart)]
        return [{"functionResponse": response}, *others]
    parts = [_part(part) for part in message.content if not (isinstance(part, TextPart) and not part.text)]
    signs = is_third_generation(target.model_id)
    calls = [
        _function_call(call, target, must_sign=signs and position == 0)
        for position, call in enumerate(message.tool_calls)
    ]
    return [*parts, *calls]


def _result(text: str) -> JsonValue:
    """The response must be an object: a result that is none is wrapped."""
    try:
        value: JsonValue = json.loads(text)
    except ValueError:
        return {"result": text}
    return value if isinstance(value, dict) else {"result": value}


def _function_call(call: ToolCall, target: Deployment, *, must_sign: bool) -> JsonObject:
    try:
        arguments = json.loads(call.arguments or "{}")
    except ValueError as error:
        said = f"{target.name}: the arguments of the tool call {call.name!r} in the conversation are no JSON"
        raise RejectedError(said, deployment=target.name) from error
    part: Body = {"functionCall": {"id": call.id, "name": call.name, "args": arguments}}
    signature = call.signature or (UNSIGNED if must_sign else "")
    if signature:
        part["thoughtSignature"] = signature
    return part


def _part(part: ContentPart) -> JsonValue:
    match part:
        case TextPart(text):
            return {"text": text}
        case ImagePart(url):
            return _file(url, "image/jpeg")
        case DocumentPart(url):
            return _file(url, "application/pdf")
        case AudioPart(data, form):
            return {"inlineData": {"mimeType": f"audio/{form}", "data": data}}
        case _:
            assert_never(part)


def _file(url: str, assumed: str) -> JsonObject:
    inline = inline_data(url)
    if inline is not None:
        return {"inlineData": {"mimeType": inline.media_type, "data": inline.data}}
    media_type = mimetypes.guess_type(urlsplit(url).path)[0] or assumed
    return {"fileData": {"mimeType": media_type, "fileUri": url}}


def _tool_fields(request: ChatRequest) -> Body:
    if not request.tools:
        return {}
    declarations: list[JsonValue] = []
    for tool in request.tools:
        declaration: Body = {"name": tool.name, "description": tool.description}
        if tool.parameters:
            declaration["parametersJsonSchema"] = tool.parameters
        declarations.append(declaration)
    fields: Body = {"tools": [{"functionDeclarations": declarations}]}
    choice = request.tool_choice
    if choice is None:
        return fields
    words = {"auto": "AUTO", "none": "NONE", "required": "ANY"}
    calling: Body = {"mode": words[choice]} if choice in words else {"mode": "ANY", "allowedFunctionNames": [choice]}
    return {**fields, "toolConfig": {"functionCallingConfig": calling}}
