"""Our request as the JSON body of generateContent."""

import json
import mimetypes
import re
from collections.abc import Mapping, Sequence
from typing import assert_never
from urllib.parse import urlsplit

from bridge.catalog.deployments import Deployment
from bridge.chat import (
    AudioPart,
    ChatRequest,
    ContentPart,
    DocumentPart,
    ImagePart,
    JsonFormat,
    Message,
    ReasoningPart,
    TextPart,
    ToolCall,
)
from bridge.errors import RejectedError
from bridge.json_types import JsonObject, JsonValue
from bridge.providers.data_urls import inline_data
from bridge.providers.signatures import google_signature

Body = dict[str, JsonValue]
BUDGET_TOKENS = {"none": 0, "minimal": 512, "low": 1024, "medium": 8192, "high": 24576}
"""Thinking budgets for models before Gemini 3, which takes levels."""
LEAST_PRO_BUDGET = 128
"""2.5 Pro cannot leave thinking out."""
LEVELS = {"none": "minimal", "minimal": "minimal", "low": "low", "medium": "medium", "high": "high", "xhigh": "high"}
UNSIGNED = "skip_thought_signature_validator"
"""Gemini 3 refuses a call that it did not sign; this stands for the signature of a call another model made."""
MAX_STOPS = 5
KNOWN_AS = {"audio/x-wav": "audio/wav"}
"""Media types by the names Google lists."""
AS_JSON = "Unless you call a tool, answer with one JSON value and nothing else: no explanation, no code fence."
_VERSION = re.compile(r"gemini-(\d+|[a-z-]+-latest)")


def body_of(request: ChatRequest, target: Deployment) -> Body:
    """The body for `target`; the model and streaming are in the path."""
    texts = [message.text for message in request.messages if message.role == "system"]
    if request.response_format is not None and not takes_format(request, target):
        texts.append(_in_words(request.response_format))
    system = "\n\n".join(text for text in texts if text)
    body: Body = {
        "contents": _contents(request.messages, target),
        "systemInstruction": {"parts": [{"text": system}]} if system else None,
        "generationConfig": _generation(request, target) or None,
        **_tool_fields(request),
    }
    return {name: value for name, value in body.items() if value is not None}


def lacks_of(request: ChatRequest) -> tuple[str, ...]:
    """What the request asks for and the API has no field for, or too few places."""
    asked = {
        "parallel_tool_calls": request.parallel_tool_calls is False and bool(request.tools),
        "stop": len(request.stop) > MAX_STOPS,
    }
    return tuple(name for name, is_asked in asked.items() if is_asked)


def takes_format(request: ChatRequest, target: Deployment) -> bool:
    """May the request name its format? Before Gemini 3 not beside tools: then words ask for it."""
    return not request.tools or is_third_generation(target.model_id)


def _in_words(wanted: JsonFormat) -> str:
    if wanted.schema is None:
        return AS_JSON
    return f"{AS_JSON} It must be valid against this JSON Schema:\n{json.dumps(wanted.schema, default=dict)}"


def _generation(request: ChatRequest, target: Deployment) -> Body:
    wants_logprobs = bool(request.logprobs) or request.top_logprobs is not None
    config: Body = {
        "maxOutputTokens": request.max_output_tokens,
        "temperature": request.temperature,
        "topP": request.top_p,
        "topK": request.top_k,
        "stopSequences": list(request.stop) or None,
        "seed": request.seed,
        "candidateCount": request.n if request.n > 1 else None,
        "frequencyPenalty": request.frequency_penalty,
        "presencePenalty": request.presence_penalty,
        "responseLogprobs": wants_logprobs or None,
        "logprobs": request.top_logprobs,
        "thinkingConfig": _thinking(request, target.model_id),
    }
    if request.response_format is not None and takes_format(request, target):
        config["responseMimeType"] = "application/json"
        config["responseJsonSchema"] = request.response_format.schema
    return {name: value for name, value in config.items() if value is not None}


def is_third_generation(model_id: str) -> bool:
    """Gemini 3 or later (`gemini-flash-latest` is): thinking by level, signed function calls, tools beside a format."""
    found = _VERSION.search(model_id)
    return found is not None and (not found.group(1).isdigit() or int(found.group(1)) >= 3)


def _thinking(request: ChatRequest, model_id: str) -> Body | None:
    effort = request.reasoning_effort
    if effort is None:
        return None
    is_pro = "pro" in model_id
    if is_third_generation(model_id):
        level = LEVELS.get(effort, "high")
        level = "low" if is_pro and level == "minimal" else level
        return {"thinkingLevel": level, "includeThoughts": effort != "none"}
    budget = BUDGET_TOKENS.get(effort, BUDGET_TOKENS["high"])
    if is_pro:
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
        return _results(message, names, target)
    thoughts, said = _signed(message.reasoning)
    parts = [_part(part) for part in message.content if not (isinstance(part, TextPart) and not part.text)]
    signs = is_third_generation(target.model_id)
    calls = [
        _function_call(call, target, must_sign=signs and position == 0)
        for position, call in enumerate(message.tool_calls)
    ]
    return [*thoughts, *parts, *said, *calls]


def _signed(reasoning: Sequence[ReasoningPart]) -> tuple[list[JsonValue], list[JsonValue]]:
    """What Google signed, as it came: thoughts; and signatures of what was said, which may have parts of their own."""
    thoughts: list[JsonValue] = []
    said: list[JsonValue] = []
    for part in reasoning:
        signature = google_signature(part)
        if signature is None:
            continue
        if part.text:
            thoughts.append({"text": part.text, "thought": True, "thoughtSignature": signature})
        else:
            said.append({"text": "", "thoughtSignature": signature})
    return thoughts, said


def _results(message: Message, names: Mapping[str, str], target: Deployment) -> list[JsonValue]:
    """A tool's result. Its files are inside for Gemini 3, beside it for older models."""
    call_id = message.tool_call_id or ""
    response: Body = {"id": call_id, "name": names.get(call_id) or message.name or "tool"}
    response["response"] = _result(message.text)
    files = [_part(part) for part in message.content if not isinstance(part, TextPart)]
    if files and is_third_generation(target.model_id):
        response["parts"] = files
        files = []
    return [{"functionResponse": response}, *files]


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
    guessed = mimetypes.guess_type(urlsplit(url).path)[0] or assumed
    media_type = KNOWN_AS.get(guessed, guessed)
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
    calling = _calling(request)
    return fields if calling is None else {**fields, "toolConfig": {"functionCallingConfig": calling}}


def _calling(request: ChatRequest) -> Body | None:
    """How tools may be chosen. A strict tool's arguments are held to its schema, as they are whenever one is forced."""
    choice = request.tool_choice
    is_strict = any(tool.strict for tool in request.tools)
    words = {None: "VALIDATED" if is_strict else None, "auto": "VALIDATED" if is_strict else "AUTO"}
    words |= {"none": "NONE", "required": "ANY"}
    if choice not in words:
        return {"mode": "ANY", "allowedFunctionNames": [choice]}
    word = words[choice]
    return None if word is None else {"mode": word}
