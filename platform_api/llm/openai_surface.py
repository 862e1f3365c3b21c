"""The OpenAI chat dialect as our clients speak it: requests in; replies, stream events and errors out. Pure mapping.

Source: OpenAI API reference, "Create chat completion" and "The chat completion chunk object".
"""

from collections.abc import Iterator
from typing import Literal

import msgspec

from bridge.chat import (
    ChatRequest,
    ChatResponse,
    ContentPart,
    ImagePart,
    JsonFormat,
    Message,
    StreamChunk,
    TextPart,
    Tool,
    ToolCall,
    Usage,
)
from bridge.json_types import JsonObject

JsonDict = dict[str, object]

DONE = b"data: [DONE]\n\n"

_FINISH: dict[str, str] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "content_filter": "content_filter",
    "other": "stop",
}


class InvalidRequestError(Exception):
    """The body is no chat request we can serve. `param` is the field at fault, when there is one."""

    def __init__(self, message: str, *, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param


class _TextIn(msgspec.Struct, tag_field="type", tag="text"):
    text: str


class _ImageUrl(msgspec.Struct):
    url: str
    detail: Literal["auto", "low", "high"] | None = None


class _ImageIn(msgspec.Struct, tag_field="type", tag="image_url"):
    image_url: _ImageUrl


class _FunctionIn(msgspec.Struct):
    name: str
    arguments: str = ""


class _ToolCallIn(msgspec.Struct):
    id: str
    function: _FunctionIn
    type: Literal["function"] = "function"


class _MessageIn(msgspec.Struct):
    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[_TextIn | _ImageIn] | None = None
    name: str | None = None
    tool_calls: list[_ToolCallIn] | None = None
    tool_call_id: str | None = None


class _FunctionSpec(msgspec.Struct):
    name: str
    description: str = ""
    parameters: dict[str, object] | None = None
    strict: bool | None = None


class _ToolIn(msgspec.Struct):
    function: _FunctionSpec
    type: Literal["function"] = "function"


class _ChosenFunction(msgspec.Struct):
    name: str


class _ToolChoiceIn(msgspec.Struct):
    function: _ChosenFunction
    type: Literal["function"] = "function"


class _SchemaIn(msgspec.Struct):
    name: str = "answer"
    schema: dict[str, object] | None = None
    strict: bool | None = None


class _FormatIn(msgspec.Struct):
    type: Literal["text", "json_object", "json_schema"]
    json_schema: _SchemaIn | None = None


class _StreamOptions(msgspec.Struct):
    include_usage: bool = False


class ChatBody(msgspec.Struct):
    """The request body; fields that only OpenAI's own platform reads (store, metadata, user, ...) are passed over."""

    model: str
    messages: list[_MessageIn]
    stream: bool | None = False
    stream_options: _StreamOptions | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    stop: str | list[str] | None = None
    seed: int | None = None
    n: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    logit_bias: dict[str, float] | None = None
    reasoning_effort: str | None = None
    tools: list[_ToolIn] | None = None
    tool_choice: str | _ToolChoiceIn | None = None
    parallel_tool_calls: bool | None = None
    response_format: _FormatIn | None = None

    @property
    def wants_usage(self) -> bool:
        """Does the caller want a last event with the usage?"""
        return self.stream_options is not None and self.stream_options.include_usage


_body_decoder = msgspec.json.Decoder(ChatBody)


def read_body(raw: bytes) -> ChatBody:
    """The body, parsed once. Raises InvalidRequestError."""
    try:
        body = _body_decoder.decode(raw)
    except msgspec.ValidationError as error:
        text, _, place = str(error).partition(" - at `$.")
        raise InvalidRequestError(str(error), param=place.rstrip("`") or _missing_field(text)) from error
    except msgspec.DecodeError as error:
        raise InvalidRequestError(f"the body is not valid JSON: {error}") from error
    if not body.messages:
        raise InvalidRequestError("messages must hold at least one message", param="messages")
    if body.logit_bias:
        raise InvalidRequestError("logit_bias is not supported", param="logit_bias")
    if body.n is not None and not 1 <= body.n <= 16:
        raise InvalidRequestError("n must be between 1 and 16", param="n")
    return body


def to_request(body: ChatBody) -> ChatRequest:
    """The request in the bridge's terms."""
    limit = body.max_completion_tokens if body.max_completion_tokens is not None else body.max_tokens
    if limit is not None and limit < 1:
        raise InvalidRequestError("max_tokens must be at least 1", param="max_tokens")
    stop = (body.stop,) if isinstance(body.stop, str) else tuple(body.stop or ())
    choice = body.tool_choice
    return ChatRequest(
        model=body.model,
        messages=tuple(_message(message) for message in body.messages),
        max_output_tokens=limit,
        temperature=body.temperature,
        top_p=body.top_p,
        stop=stop,
        seed=body.seed,
        n=body.n or 1,
        frequency_penalty=body.frequency_penalty,
        presence_penalty=body.presence_penalty,
        logprobs=body.logprobs,
        top_logprobs=body.top_logprobs,
        reasoning_effort=body.reasoning_effort,
        tools=tuple(_tool(tool) for tool in body.tools or ()),
        tool_choice=choice.function.name if isinstance(choice, _ToolChoiceIn) else choice,
        parallel_tool_calls=body.parallel_tool_calls,
        response_format=_format(body.response_format),
    )


def completion(response: ChatResponse, *, call_id: str, model: str, created: int) -> bytes:
    """The body of a whole reply."""
    choices = [_choice(index, each) for index, each in enumerate((response, *response.other_choices))]
    return msgspec.json.encode(
        {
            "id": f"chatcmpl-{call_id}",
            "object": "chat.completion",
            "created": created,
            "model": model,
            "choices": choices,
            "usage": None if response.usage is None else usage_object(response.usage),
            "system_fingerprint": None,
        }
    )


class StreamEncoder:
    """Turns chunks into the bytes of `chat.completion.chunk` events."""

    def __init__(self, *, model: str, call_id: str, created: int, wants_usage: bool) -> None:
        self._head: JsonDict = {
            "id": f"chatcmpl-{call_id}",
            "object": "chat.completion.chunk",
            "created": created,
            "model": model,
        }
        self._wants_usage = wants_usage
        self._opened: set[int] = set()
        self._usage: Usage | None = None
        self._encode = msgspec.json.Encoder().encode

    def chunk(self, chunk: StreamChunk) -> bytes:
        """The events for one chunk; empty when it holds nothing a client reads now."""
        if chunk.usage is not None:
            self._usage = chunk.usage
        delta = _delta(chunk)
        if chunk.choice not in self._opened:
            if not delta and chunk.finish_reason is None:
                return b""
            self._opened.add(chunk.choice)
            delta = {"role": "assistant", "content": "", **delta}
        if not delta and chunk.finish_reason is None:
            return b""
        finish = None if chunk.finish_reason is None else _FINISH[chunk.finish_reason]
        choice: JsonDict = {"index": chunk.choice, "delta": delta, "logprobs": None, "finish_reason": finish}
        return self._event([choice], usage=None)

    def end(self, usage: Usage | None = None, *, cost_usd: float | None = None) -> bytes:
        """The last events: usage and what it cost where asked for, and the end mark."""
        usage = usage or self._usage
        if not self._wants_usage or usage is None:
            return DONE
        return self._event([], usage={**usage_object(usage), "cost_usd": cost_usd}) + DONE

    def _event(self, choices: list[JsonDict], *, usage: JsonDict | None) -> bytes:
        event = {**self._head, "choices": choices}
        if self._wants_usage:
            event["usage"] = usage
        return b"data: " + self._encode(event) + b"\n\n"


def error_body(message: str, *, kind: str, code: str | None, param: str | None = None) -> bytes:
    """An error as the SDKs read it."""
    return msgspec.json.encode({"error": {"message": message, "type": kind, "param": param, "code": code}})


def error_event(message: str, *, kind: str, code: str | None) -> bytes:
    """An error in the middle of a stream. No end mark follows: a cut answer must not look finished."""
    return b"data: " + error_body(message, kind=kind, code=code) + b"\n\n"


def model_object(name: str, owner: str, *, created: int) -> bytes:
    """The body of `GET /v1/models/{model}`."""
    return msgspec.json.encode({"id": name, "object": "model", "created": created, "owned_by": owner})


def models_list(names: Iterator[tuple[str, str]], *, created: int) -> bytes:
    """The body of `GET /v1/models` from pairs of model name and owner."""
    items = [{"id": name, "object": "model", "created": created, "owned_by": owner} for name, owner in names]
    return msgspec.json.encode({"object": "list", "data": items})


def usage_object(usage: Usage) -> JsonDict:
    """Usage in the dialect's words."""
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.total_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
    }


def _message(message: _MessageIn) -> Message:
    content = message.content
    parts: tuple[ContentPart, ...]
    if content is None:
        parts = ()
    elif isinstance(content, str):
        parts = (TextPart(content),)
    else:
        parts = tuple(_part(part) for part in content)
    return Message(
        role="system" if message.role == "developer" else message.role,
        content=parts,
        tool_calls=tuple(
            ToolCall(id=call.id, name=call.function.name, arguments=call.function.arguments)
            for call in message.tool_calls or ()
        ),
        tool_call_id=message.tool_call_id,
        name=message.name,
    )


def _part(part: _TextIn | _ImageIn) -> ContentPart:
    if isinstance(part, _TextIn):
        return TextPart(part.text)
    return ImagePart(part.image_url.url, detail=part.image_url.detail)


def _tool(tool: _ToolIn) -> Tool:
    spec = tool.function
    parameters: JsonObject = spec.parameters or {}  # pyright: ignore[reportAssignmentType]  # parsed JSON
    return Tool(name=spec.name, description=spec.description, parameters=parameters, strict=spec.strict)


def _format(wanted: _FormatIn | None) -> JsonFormat | None:
    if wanted is None or wanted.type == "text":
        return None
    if wanted.type == "json_object":
        return JsonFormat()
    schema = wanted.json_schema
    if schema is None or schema.schema is None:
        raise InvalidRequestError("response_format.json_schema.schema is missing", param="response_format")
    given: JsonObject = schema.schema  # pyright: ignore[reportAssignmentType]  # parsed JSON
    return JsonFormat(schema=given, name=schema.name, strict=bool(schema.strict))


def _choice(index: int, response: ChatResponse) -> JsonDict:
    message: JsonDict = {
        "role": "assistant",
        "content": response.text if response.text or not response.tool_calls else None,
        "refusal": response.refusal or None,
    }
    if response.reasoning:
        message["reasoning_content"] = response.reasoning
    if response.tool_calls:
        message["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in response.tool_calls
        ]
    finish = _FINISH[response.finish_reason or "stop"]
    return {"index": index, "message": message, "logprobs": response.logprobs, "finish_reason": finish}


def _delta(chunk: StreamChunk) -> JsonDict:
    delta: JsonDict = {}
    if chunk.text:
        delta["content"] = chunk.text
    if chunk.reasoning:
        delta["reasoning_content"] = chunk.reasoning
    if chunk.refusal:
        delta["refusal"] = chunk.refusal
    if chunk.tool_calls:
        delta["tool_calls"] = [_tool_delta(call.index, call.id, call.name, call.arguments) for call in chunk.tool_calls]
    return delta


def _tool_delta(index: int, call_id: str | None, name: str | None, arguments: str) -> JsonDict:
    function: JsonDict = {"arguments": arguments}
    if name is not None:
        function["name"] = name
    delta: JsonDict = {"index": index, "function": function}
    if call_id is not None:
        delta |= {"id": call_id, "type": "function"}
    return delta


def _missing_field(text: str) -> str | None:
    """`Object missing required field `x`` names its field in the text itself."""
    return text.split("`")[1] if text.startswith("Object missing required field") else None
