"""Ollama's own chat dialect: newline-delimited JSON, options in a map. Source: Ollama docs, "API", /api/chat.

A base URL that ends in `/v1` is its OpenAI-compatible API instead and is spoken to in that dialect.
"""

from typing import assert_never
from urllib.parse import urlsplit

import msgspec

from bridge.catalog.deployments import Deployment
from bridge.chat import (
    AudioPart,
    ChatRequest,
    ChatResponse,
    DocumentPart,
    FinishReason,
    ImagePart,
    Message,
    StreamChunk,
    TextPart,
    ToolCall,
    ToolCallDelta,
    Usage,
)
from bridge.errors import MalformedReplyError, RejectedError
from bridge.json_types import JsonObject, JsonValue
from bridge.providers.data_urls import inline_data
from bridge.providers.openai_chat import OpenAiChat
from bridge.providers.openai_chat_stream import OpenAiEventReader
from bridge.providers.rejections import in_band_error
from bridge.streaming import ServerSentEvent
from bridge.transport import WireRequest

Body = dict[str, JsonValue]
FINISH_REASONS: dict[str, FinishReason] = {"stop": "stop", "length": "length", "load": "other", "unload": "other"}


class WireFunction(msgspec.Struct):
    """Name and decoded arguments."""

    name: str = ""
    arguments: dict[str, object] | None = None


class WireToolCall(msgspec.Struct):
    """A call: always whole."""

    function: WireFunction
    id: str | None = None


class WireMessage(msgspec.Struct):
    """The message, or what a line adds to it."""

    content: str | None = None
    thinking: str | None = None
    tool_calls: list[WireToolCall] | None = None


class WireReply(msgspec.Struct):
    """A whole reply or one line of a stream."""

    model: str | None = None
    created_at: str | None = None
    message: WireMessage | None = None
    done: bool = False
    done_reason: str | None = None
    prompt_eval_count: int | None = None
    eval_count: int | None = None
    error: object = None
    logprobs: list[dict[str, object]] | None = None


class OllamaChat:
    """/api/chat. Pure mapping: no sockets, no clock, no retries."""

    def __init__(self) -> None:
        self._compatible = OpenAiChat()

    def build(self, request: ChatRequest, target: Deployment, *, stream: bool) -> WireRequest:
        if is_compatible(target):
            return self._compatible.build(request, target, stream=stream)
        headers = dict(target.headers)
        if target.api_key:
            headers["authorization"] = f"Bearer {target.api_key}"
        return WireRequest(path="/api/chat", body=body_of(request, target, stream=stream), headers=headers)

    def parse(self, payload: JsonObject, target: Deployment) -> ChatResponse:
        return self._compatible.parse(payload, target) if is_compatible(target) else response_of(payload, target)

    def reader(self, target: Deployment) -> "OpenAiEventReader | OllamaEventReader":
        return self._compatible.reader(target) if is_compatible(target) else OllamaEventReader(target)

    def lacks(self, request: ChatRequest, target: Deployment) -> tuple[str, ...]:
        if is_compatible(target):
            return self._compatible.lacks(request, target)
        parts = [part for message in request.messages for part in message.content]
        asked = {
            "n": request.n > 1,
            "tool_choice": bool(request.tools) and request.tool_choice not in ("auto", "none", None),
            "parallel_tool_calls": request.parallel_tool_calls is False and bool(request.tools),
            "documents": any(isinstance(part, DocumentPart) for part in parts),
            "audio": any(isinstance(part, AudioPart) for part in parts),
        }
        return tuple(name for name, is_asked in asked.items() if is_asked)


def is_compatible(target: Deployment) -> bool:
    """Is it Ollama's OpenAI-compatible API?"""
    return urlsplit(target.base_url).path.rstrip("/").endswith("/v1")


def body_of(request: ChatRequest, target: Deployment, *, stream: bool) -> Body:
    """The body for `target`. The context is as large as the catalogue says: Ollama's own default is short."""
    wanted = request.response_format
    options: Body = {
        "num_predict": request.max_output_tokens,
        "num_ctx": target.entry.context_window,
        "temperature": request.temperature,
        "top_p": request.top_p,
        "top_k": request.top_k,
        "stop": list(request.stop) or None,
        "seed": request.seed,
        "frequency_penalty": request.frequency_penalty,
        "presence_penalty": request.presence_penalty,
    }
    names = {call.id: call.name for message in request.messages for call in message.tool_calls}
    body: Body = {
        "model": target.model_id,
        "messages": [_message(message, names, target) for message in request.messages],
        "stream": stream,
        "format": None if wanted is None else "json" if wanted.schema is None else wanted.schema,
        "options": {name: value for name, value in options.items() if value is not None} or None,
        "think": _think(request.reasoning_effort),
        "logprobs": request.logprobs or None,
        "top_logprobs": request.top_logprobs if request.logprobs else None,
        "tools": _tools(request),
    }
    return {name: value for name, value in body.items() if value is not None}


def _think(effort: str | None) -> JsonValue:
    if effort is None:
        return None
    return effort if effort in ("low", "medium", "high") else effort not in ("none", "minimal")


def _tools(request: ChatRequest) -> JsonValue:
    if not request.tools or request.tool_choice == "none":
        return None
    return [
        {
            "type": "function",
            "function": {
                "name": tool.name,
                "description": tool.description,
                "parameters": tool.parameters or {"type": "object", "properties": {}},
            },
        }
        for tool in request.tools
    ]


def _message(message: Message, names: dict[str, str], target: Deployment) -> JsonObject:
    body: Body = {"role": message.role, "content": message.text}
    images: list[JsonValue] = []
    for part in message.content:
        match part:
            case TextPart():
                continue
            case ImagePart(url):
                images.append(_image(url, target))
            case DocumentPart() | AudioPart():
                raise RejectedError(f"{target.name} takes no documents and no audio", deployment=target.name)
            case _:
                assert_never(part)
    if images:
        body["images"] = images
    if message.tool_calls:
        body["tool_calls"] = [_call(call, target) for call in message.tool_calls]
    if message.role == "tool":
        body["tool_name"] = names.get(message.tool_call_id or "", message.name or "")
    return body


def _image(url: str, target: Deployment) -> str:
    inline = inline_data(url)
    if inline is None:
        raise RejectedError(f"{target.name} takes images as data: URLs only", deployment=target.name)
    return inline.data


def _call(call: ToolCall, target: Deployment) -> JsonObject:
    try:
        arguments: JsonValue = msgspec.json.decode(call.arguments or "{}")
    except msgspec.DecodeError as error:
        said = f"{target.name}: the arguments of the tool call {call.name!r} in the conversation are no JSON"
        raise RejectedError(said, deployment=target.name) from error
    return {"function": {"name": call.name, "arguments": arguments}}


def response_of(payload: JsonObject, target: Deployment) -> ChatResponse:
    """The answer in a whole reply.

    Raises:
        ProviderError: The reply holds an error or is not the dialect.
    """
    try:
        reply = msgspec.convert(payload, WireReply)
    except msgspec.ValidationError as error:
        raise MalformedReplyError(f"{target.name}: {error}", deployment=target.name) from error
    if reply.error:
        raise in_band_error(reply.error, target)
    if reply.message is None:
        raise MalformedReplyError(f"{target.name}: the reply has no message", deployment=target.name)
    calls = tuple(
        ToolCall(
            call.id or f"call_{reply.created_at or ''}_{position}",
            call.function.name,
            msgspec.json.encode(call.function.arguments or {}).decode(),
        )
        for position, call in enumerate(reply.message.tool_calls or ())
    )
    return ChatResponse(
        text=reply.message.content or "",
        reasoning=reply.message.thinking or "",
        finish_reason=_finish(reply, has_calls=bool(calls)),
        usage=_usage(reply),
        tool_calls=calls,
        model=reply.model or "",
        logprobs={"content": reply.logprobs} if reply.logprobs else None,  # pyright: ignore[reportArgumentType]  # decoded JSON
    )


def _finish(reply: WireReply, *, has_calls: bool) -> FinishReason | None:
    """A reply that says it is done and not why has stopped by itself: older servers give no reason."""
    if not reply.done:
        return None
    reason = FINISH_REASONS.get(reply.done_reason or "stop", "other")
    return "tool_calls" if reason == "stop" and has_calls else reason


def _usage(reply: WireReply) -> Usage | None:
    if reply.eval_count is None and reply.prompt_eval_count is None:
        return None
    return Usage(reply.prompt_eval_count or 0, reply.eval_count or 0)


class OllamaEventReader:
    """Reads one stream: a JSON object a line, the last one `done`."""

    def __init__(self, target: Deployment) -> None:
        self._target = target
        self._calls = 0
        self._is_done = False

    @property
    def is_done(self) -> bool:
        return self._is_done

    def read(self, event: ServerSentEvent) -> tuple[StreamChunk, ...]:
        try:
            reply = msgspec.json.decode(event.data, type=WireReply)
        except (msgspec.DecodeError, msgspec.ValidationError, RecursionError) as problem:
            raise MalformedReplyError(
                f"{self._target.name}: a line of the stream cannot be read", deployment=self._target.name
            ) from problem
        if reply.error:
            raise in_band_error(reply.error, self._target)
        message = reply.message or WireMessage()
        deltas = tuple(self._delta(call, reply.created_at or "") for call in message.tool_calls or ())
        self._is_done = reply.done
        return (
            StreamChunk(
                text=message.content or "",
                reasoning=message.thinking or "",
                tool_calls=deltas,
                finish_reason=_finish(reply, has_calls=self._calls > 0),
                usage=_usage(reply) if reply.done else None,
                model=reply.model or "",
                logprobs={"content": reply.logprobs} if reply.logprobs else None,  # pyright: ignore[reportArgumentType]  # decoded JSON
            ),
        )

    def _delta(self, call: WireToolCall, sent_at: str) -> ToolCallDelta:
        slot, self._calls = self._calls, self._calls + 1
        arguments = msgspec.json.encode(call.function.arguments or {}).decode()
        return ToolCallDelta(slot, call.id or f"call_{sent_at}_{slot}", call.function.name, arguments)
