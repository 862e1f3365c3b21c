"""A request for a chat completion as OpenAI's clients write it, read into the bridge's terms.

Source: OpenAI API reference, "Create chat completion".
"""

from typing import Literal

import msgspec

from bridge.chat import (
    ChatRequest,
    ContentPart,
    ImagePart,
    JsonFormat,
    Message,
    TextPart,
    Tool,
    ToolCall,
)
from bridge.json_types import JsonObject
from platform_api.llm.body_reading import decoded
from platform_api.llm.client_dialect import InvalidRequestError


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
    body = decoded(raw, _body_decoder)
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
