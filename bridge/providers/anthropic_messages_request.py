"""Our request as the JSON body of the Messages API."""

import json
import re
from collections.abc import Iterable, Sequence
from typing import assert_never

from bridge.catalog.deployments import Deployment
from bridge.chat import (
    AudioPart,
    CacheTtl,
    ChatRequest,
    ContentPart,
    DocumentPart,
    ImagePart,
    Message,
    ReasoningPart,
    TextPart,
    Tool,
    ToolCall,
)
from bridge.errors import RejectedError
from bridge.json_types import JsonObject, JsonValue
from bridge.providers.data_urls import inline_data
from bridge.providers.signatures import google_signature

Body = dict[str, JsonValue]
DEFAULT_MAX_TOKENS = 4096
"""Sent when nobody set a limit and the catalogue knows none: the API demands one."""
LEAST_BUDGET_TOKENS = 1024
BUDGET_TOKENS = {"low": 2048, "medium": 8192, "high": 16384, "xhigh": 24576, "max": 32000}
"""For models that take a thinking budget instead of an effort."""
NO_EFFORT = frozenset({"none", "minimal"})
_VERSION = re.compile(r"claude-(?:opus|sonnet|haiku|[a-z]+)-(\d+)(?:-(\d{1,2}))?(?!\d)")


def body_of(request: ChatRequest, target: Deployment, *, stream: bool) -> Body:
    """The body for `target`. Fields nobody set are absent."""
    limit = limit_of(request, target)
    thinking, effort = _thinking(request, target.model_id, limit)
    config: Body = {}
    if effort is not None:
        config["effort"] = effort
    if request.response_format is not None and request.response_format.schema is not None:
        config["format"] = {"type": "json_schema", "schema": request.response_format.schema}
    body: Body = {
        "model": target.model_id,
        "max_tokens": limit,
        "messages": _turns(request.messages, target),
        "system": _system(request.messages),
        "temperature": request.temperature,
        "top_p": request.top_p,
        "top_k": request.top_k,
        "stop_sequences": list(request.stop) or None,
        "thinking": thinking,
        "output_config": config or None,
        **_tool_fields(request),
    }
    if stream:
        body["stream"] = True
    return {name: value for name, value in body.items() if value is not None}


def limit_of(request: ChatRequest, target: Deployment) -> int:
    """The output limit that is sent: the API has no default."""
    return request.max_output_tokens or target.entry.max_output_tokens or DEFAULT_MAX_TOKENS


def lacks_of(request: ChatRequest, target: Deployment) -> tuple[str, ...]:
    """What the request asks for and the API has no field for, or not in this combination."""
    is_thinking = wants_thinking(request)
    has_budget = is_thinking and not has_effort(target.model_id)
    forced = request.tool_choice not in ("auto", "none", None) and bool(request.tools)
    asked = {
        "seed": request.seed is not None,
        "n": request.n > 1,
        "logprobs": bool(request.logprobs) or request.top_logprobs is not None,
        "frequency_penalty": request.frequency_penalty is not None,
        "presence_penalty": request.presence_penalty is not None,
        "temperature": request.temperature is not None
        and (request.temperature > 1 or (is_thinking and request.temperature != 1)),
        "tool_choice": has_budget and forced,
        "reasoning_effort": has_budget and limit_of(request, target) <= LEAST_BUDGET_TOKENS,
        "audio": any(isinstance(part, AudioPart) for message in request.messages for part in message.content),
    }
    return tuple(name for name, is_asked in asked.items() if is_asked)


def wants_thinking(request: ChatRequest) -> bool:
    """Is an effort asked for that means thinking?"""
    return request.reasoning_effort is not None and request.reasoning_effort not in NO_EFFORT


def has_effort(model_id: str) -> bool:
    """Does the model take `thinking: adaptive` with an effort? From version 4.6 on; older ones take a budget."""
    found = _VERSION.search(model_id)
    return found is not None and (int(found.group(1)), int(found.group(2) or 0)) >= (4, 6)


def _thinking(request: ChatRequest, model_id: str, limit: int) -> tuple[Body | None, str | None]:
    """The `thinking` field and the effort."""
    if not wants_thinking(request):
        return None, None
    effort = request.reasoning_effort or "medium"
    if has_effort(model_id):
        return {"type": "adaptive", "display": "summarized"}, effort
    if limit <= LEAST_BUDGET_TOKENS:
        return None, None
    budget = min(BUDGET_TOKENS.get(effort, BUDGET_TOKENS["medium"]), limit - 1)
    return {"type": "enabled", "budget_tokens": max(budget, LEAST_BUDGET_TOKENS)}, None


def _system(messages: Iterable[Message]) -> JsonValue:
    """All system texts in one: the API has one place for them."""
    found = [message for message in messages if message.role == "system"]
    text = "\n\n".join(message.text for message in found)
    ttl: CacheTtl | None = next((one.cache_ttl for one in reversed(found) if one.cache_ttl is not None), None)
    if not text:
        return None
    return text if ttl is None else [{"type": "text", "text": text, "cache_control": _cached_for(ttl)}]


def _cached_for(ttl: CacheTtl) -> JsonObject:
    return {"type": "ephemeral", "ttl": ttl}


def _turns(messages: Sequence[Message], target: Deployment) -> list[JsonValue]:
    """User and assistant turns in alternation: neighbours of one side are one turn, tool results are the user's."""
    turns: list[tuple[str, list[JsonValue]]] = []
    for message in messages:
        if message.role == "system":
            continue
        side = "assistant" if message.role == "assistant" else "user"
        blocks = _blocks(message, target)
        if turns and turns[-1][0] == side:
            turns[-1][1].extend(blocks)
        elif blocks:
            turns.append((side, blocks))
    if turns and turns[-1][0] == "assistant":
        _trim_prefill(turns[-1][1])
    return [{"role": side, "content": _content(blocks)} for side, blocks in turns]


def _content(blocks: list[JsonValue]) -> JsonValue:
    """A turn of one text is sent as a string."""
    only = blocks[0] if len(blocks) == 1 else None
    if isinstance(only, dict) and only.get("type") == "text" and "cache_control" not in only:
        return only["text"]
    return blocks


def _trim_prefill(blocks: list[JsonValue]) -> None:
    """An answer that is to be continued must not end in white space."""
    last = blocks[-1]
    if isinstance(last, dict) and last.get("type") == "text":
        blocks[-1] = {**last, "text": str(last["text"]).rstrip()}


def _blocks(message: Message, target: Deployment) -> list[JsonValue]:
    parts = [_part(part, target) for part in message.content if not (isinstance(part, TextPart) and not part.text)]
    if message.role == "tool":
        result: Body = {"type": "tool_result", "tool_use_id": message.tool_call_id or ""}
        if parts:
            result["content"] = _content(parts)
        return _marked([result], message.cache_ttl)
    thoughts = [_thought(part) for part in message.reasoning if part.signature and google_signature(part) is None]
    return _marked([*thoughts, *parts, *(_tool_use(call, target) for call in message.tool_calls)], message.cache_ttl)


def _marked(blocks: list[JsonValue], ttl: CacheTtl | None) -> list[JsonValue]:
    """The blocks with the mark that the prompt is to be cached up to here; thoughts cannot carry it."""
    last = blocks[-1] if blocks else None
    if ttl is None or not isinstance(last, dict) or last.get("type") in ("thinking", "redacted_thinking"):
        return blocks
    return [*blocks[:-1], {**last, "cache_control": _cached_for(ttl)}]


def _thought(part: ReasoningPart) -> JsonObject:
    """What the model signed goes back unchanged; unsigned reasoning is no part of the conversation."""
    if part.is_redacted:
        return {"type": "redacted_thinking", "data": part.signature}
    return {"type": "thinking", "thinking": part.text, "signature": part.signature}


def _part(part: ContentPart, target: Deployment) -> JsonValue:
    match part:
        case TextPart(text):
            return {"type": "text", "text": text}
        case ImagePart(url):
            return {"type": "image", "source": _source(url)}
        case DocumentPart(url, name):
            document: Body = {"type": "document", "source": _source(url)}
            if name is not None:
                document["title"] = name
            return document
        case AudioPart():
            raise RejectedError(f"{target.name} takes no audio", deployment=target.name)
        case _:
            assert_never(part)


def _source(url: str) -> JsonObject:
    inline = inline_data(url)
    if inline is None:
        return {"type": "url", "url": url}
    return {"type": "base64", "media_type": inline.media_type, "data": inline.data}


def _tool_use(call: ToolCall, target: Deployment) -> JsonObject:
    try:
        arguments = json.loads(call.arguments or "{}")
    except ValueError as error:
        said = f"{target.name}: the arguments of the tool call {call.name!r} in the conversation are no JSON"
        raise RejectedError(said, deployment=target.name) from error
    return {"type": "tool_use", "id": call.id, "name": call.name, "input": arguments}


def _tool_fields(request: ChatRequest) -> Body:
    """Tools and how they may be chosen. `none` keeps them listed: earlier turns may have used them."""
    if not request.tools:
        return {}
    fields: Body = {"tools": [_tool(tool) for tool in request.tools]}
    words = {"auto": "auto", "none": "none", "required": "any", None: None}
    choice: Body = {}
    if request.tool_choice in words:
        word = words[request.tool_choice]
        choice = {} if word is None else {"type": word}
    else:
        choice = {"type": "tool", "name": request.tool_choice}
    if request.parallel_tool_calls is False and choice.get("type") != "none":
        choice = {"type": "auto", **choice, "disable_parallel_tool_use": True}
    return {**fields, "tool_choice": choice} if choice else fields


def _tool(tool: Tool) -> JsonObject:
    body: Body = {"name": tool.name, "input_schema": tool.parameters or {"type": "object", "properties": {}}}
    if tool.description:
        body["description"] = tool.description
    if tool.strict:
        body["strict"] = True
    if tool.cache_ttl is not None:
        body["cache_control"] = _cached_for(tool.cache_ttl)
    return body
