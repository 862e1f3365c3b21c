"""A request for a chat completion as OpenAI's clients write it, read into the bridge's terms.

Source: OpenAI API reference, "Create chat completion".
"""

from typing import Literal

import msgspec

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


class _AudioData(msgspec.Struct):
    data: str
    format: str


class _AudioIn(msgspec.Struct, tag_field="type", tag="input_audio"):
    input_audio: _AudioData


class _FileData(msgspec.Struct):
    file_data: str | None = None
    filename: str | None = None
    file_id: str | None = None


class _FileIn(msgspec.Struct, tag_field="type", tag="file"):
    file: _FileData


class _RefusalIn(msgspec.Struct, tag_field="type", tag="refusal"):
    refusal: str


_PartIn = _TextIn | _ImageIn | _AudioIn | _FileIn | _RefusalIn


class _FunctionIn(msgspec.Struct):
    name: str
    arguments: str = ""


class _GoogleContent(msgspec.Struct):
    thought_signature: str = ""


class _ExtraContent(msgspec.Struct):
    google: _GoogleContent | None = None


class _ToolCallIn(msgspec.Struct):
    id: str
    function: _FunctionIn
    type: Literal["function"] = "function"
    extra_content: _ExtraContent | None = None


class _ReasoningDetail(msgspec.Struct):
    type: str
    text: str | None = None
    signature: str | None = None
    data: str | None = None


class _MessageIn(msgspec.Struct):
    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[_PartIn] | None = None
    reasoning_details: list[_ReasoningDetail] | None = None
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
    """The request body.

    Passed over, since the answer does not depend on them: store, metadata, user, safety_identifier, service_tier,
    prompt_cache_key, prompt_cache_retention. What would change it and has no place here is refused (`UNSERVED`).
    """

    model: str
    messages: list[_MessageIn]
    stream: bool | None = False
    stream_options: _StreamOptions | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
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
    functions: object = None
    function_call: object = None
    prediction: object = None
    web_search_options: object = None
    audio: object = None
    modalities: list[str] | None = None
    verbosity: str | None = None

    @property
    def wants_usage(self) -> bool:
        """Does the caller want a last event with the usage?"""
        return self.stream_options is not None and self.stream_options.include_usage


UNSERVED = {
    "logit_bias": "token numbers belong to one vendor's vocabulary, and the router may choose another",
    "functions": "it is deprecated: give tools",
    "function_call": "it is deprecated: give tool_choice",
    "prediction": "no provider but OpenAI has it",
    "web_search_options": "searching runs on the provider's side",
    "audio": "answers are text",
}
"""Why a field is refused."""
_body_decoder = msgspec.json.Decoder(ChatBody)


def read_body(raw: bytes) -> ChatBody:
    """The body, parsed once. Raises InvalidRequestError."""
    body = decoded(raw, _body_decoder)
    if not body.messages:
        raise InvalidRequestError("messages must hold at least one message", param="messages")
    for name, why in UNSERVED.items():
        if getattr(body, name):
            raise InvalidRequestError(f"{name} is not supported: {why}", param=name)
    if body.modalities is not None and body.modalities != ["text"]:
        raise InvalidRequestError("modalities other than text are not supported", param="modalities")
    if body.verbosity not in (None, "medium"):
        raise InvalidRequestError("verbosity is not supported", param="verbosity")
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
        top_k=body.top_k,
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
        tool_calls=tuple(_tool_call(call) for call in message.tool_calls or ()),
        tool_call_id=message.tool_call_id,
        name=message.name,
        reasoning=tuple(_thought(detail) for detail in message.reasoning_details or ()),
    )


def _tool_call(call: _ToolCallIn) -> ToolCall:
    google = None if call.extra_content is None else call.extra_content.google
    signature = "" if google is None else google.thought_signature
    return ToolCall(call.id, call.function.name, call.function.arguments, signature)


def _thought(detail: _ReasoningDetail) -> ReasoningPart:
    """What a provider signed, as the reply told it: see `openai_chat_reply.reasoning_details`."""
    if detail.data is not None:
        return ReasoningPart("", detail.data, is_redacted=True)
    return ReasoningPart(detail.text or "", detail.signature or "")


def _part(part: _PartIn) -> ContentPart:
    match part:
        case _TextIn(text=text) | _RefusalIn(refusal=text):
            return TextPart(text)
        case _ImageIn(image_url=image):
            return ImagePart(image.url, detail=image.detail)
        case _AudioIn(input_audio=audio):
            return AudioPart(audio.data, audio.format)
        case _FileIn(file=file):
            if file.file_data is None:
                raise InvalidRequestError(
                    "files that were uploaded are not supported: send file_data", param="messages"
                )
            return DocumentPart(file.file_data, file.filename)


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
