"""Our request as the JSON body of Cohere's v2 chat."""

from typing import assert_never

from bridge.catalog.deployments import Deployment
from bridge.chat import AudioPart, ChatRequest, ContentPart, DocumentPart, ImagePart, Message, TextPart
from bridge.errors import RejectedError
from bridge.json_types import JsonObject, JsonValue

Body = dict[str, JsonValue]
THINKING_TOKENS = {"minimal": 512, "low": 1024, "medium": 4096, "high": 16384}
CHOICES: dict[str, str | None] = {"auto": None, "none": "NONE", "required": "REQUIRED"}


def body_of(request: ChatRequest, target: Deployment, *, stream: bool) -> Body:
    """The body for `target`. Fields nobody set are absent."""
    body: Body = {
        "model": target.model_id,
        "messages": [_message(message, target) for message in request.messages],
        "max_tokens": request.max_output_tokens,
        "temperature": request.temperature,
        "p": request.top_p,
        "k": request.top_k,
        "stop_sequences": list(request.stop) or None,
        "seed": request.seed,
        "frequency_penalty": request.frequency_penalty,
        "presence_penalty": request.presence_penalty,
        "logprobs": request.logprobs,
        "thinking": _thinking(request),
        "response_format": _format(request),
        **_tool_fields(request),
    }
    body["stream"] = stream
    return {name: value for name, value in body.items() if value is not None}


def lacks_of(request: ChatRequest) -> tuple[str, ...]:
    """What the request asks for and the API has no field for."""
    parts = [part for message in request.messages for part in message.content]
    asked = {
        "n": request.n > 1,
        "top_logprobs": request.top_logprobs is not None and request.top_logprobs > 0,
        "parallel_tool_calls": request.parallel_tool_calls is False and bool(request.tools),
        "documents": any(isinstance(part, DocumentPart) for part in parts),
        "audio": any(isinstance(part, AudioPart) for part in parts),
        "response_format": request.response_format is not None and bool(request.tools),
    }
    return tuple(name for name, is_asked in asked.items() if is_asked)


def _message(message: Message, target: Deployment) -> JsonObject:
    body: Body = {"role": message.role}
    parts = [_part(part, target) for part in message.content if not (isinstance(part, TextPart) and not part.text)]
    has_text_only = all(isinstance(part, TextPart) for part in message.content)
    if message.role == "tool":
        return {**body, "tool_call_id": message.tool_call_id or "", "content": message.text}
    if message.tool_calls:
        body["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments or "{}"}}
            for call in message.tool_calls
        ]
    if parts or not message.tool_calls:
        body["content"] = message.text if has_text_only else parts
    return body


def _part(part: ContentPart, target: Deployment) -> JsonValue:
    match part:
        case TextPart(text):
            return {"type": "text", "text": text}
        case ImagePart(url, detail):
            image: Body = {"url": url} if detail is None else {"url": url, "detail": detail}
            return {"type": "image_url", "image_url": image}
        case DocumentPart() | AudioPart():
            raise RejectedError(f"{target.name} takes no documents and no audio", deployment=target.name)
        case _:
            assert_never(part)


def _thinking(request: ChatRequest) -> Body | None:
    effort = request.reasoning_effort
    if effort is None:
        return None
    if effort == "none":
        return {"type": "disabled"}
    budget = THINKING_TOKENS.get(effort)
    return {"type": "enabled"} if budget is None else {"type": "enabled", "token_budget": budget}


def _format(request: ChatRequest) -> Body | None:
    wanted = request.response_format
    if wanted is None:
        return None
    return {"type": "json_object"} if wanted.schema is None else {"type": "json_object", "json_schema": wanted.schema}


def _tool_fields(request: ChatRequest) -> Body:
    """Tools; a single named tool is forced by offering nothing else."""
    if not request.tools:
        return {}
    choice = request.tool_choice
    tools = request.tools
    if choice is None or choice in CHOICES:
        word = None if choice is None else CHOICES[choice]
    else:
        tools, word = tuple(tool for tool in tools if tool.name == choice), "REQUIRED"
    offered: list[JsonValue] = []
    for tool in tools:
        function: Body = {"name": tool.name, "parameters": tool.parameters or {"type": "object", "properties": {}}}
        if tool.description:
            function["description"] = tool.description
        offered.append({"type": "function", "function": function})
    fields: Body = {"tools": offered, "tool_choice": word}
    if any(tool.strict for tool in tools):
        fields["strict_tools"] = True
    return fields
