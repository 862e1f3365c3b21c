"""A request for a chat completion as OpenAI's clients write it, read into the bridge's terms.

Source: OpenAI API reference, "Create chat completion".
"""

from collections.abc import Sequence
from typing import Annotated, Literal

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
from platform_api.llm.body_reading import (
    Name,
    Penalty,
    Seed,
    Share,
    TokenLimit,
    TopK,
    decoded,
    refuse_deep,
    refuse_unprintable,
)
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
    name: Name
    arguments: str = ""


class _GoogleContent(msgspec.Struct):
    thought_signature: str = ""


class _ExtraContent(msgspec.Struct):
    google: _GoogleContent | None = None


class _ToolCallIn(msgspec.Struct):
    id: Name
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
    name: Name
    description: str | None = None
    parameters: dict[str, object] | None = None
    strict: bool | None = None


class _ToolIn(msgspec.Struct):
    function: _FunctionSpec
    type: Literal["function"] = "function"


class _ChosenFunction(msgspec.Struct):
    name: Name


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
    include_usage: bool | None = False
    include_obfuscation: bool | None = None


Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]


class ChatBody(msgspec.Struct, forbid_unknown_fields=True):
    """The request body. A field that the reference does not know is refused, as OpenAI does.

    Passed over, since the answer does not depend on them: the last ones. What would change it and has no place here is
    refused with a reason (`UNSERVED`).
    """

    model: Name
    messages: Annotated[list[_MessageIn], msgspec.Meta(min_length=1)]
    stream: bool | None = False
    stream_options: _StreamOptions | None = None
    max_tokens: TokenLimit | None = None
    max_completion_tokens: TokenLimit | None = None
    temperature: Annotated[float, msgspec.Meta(ge=0, le=2)] | None = None
    top_p: Share | None = None
    top_k: TopK | None = None
    stop: str | list[str] | None = None
    seed: Seed | None = None
    n: Annotated[int, msgspec.Meta(ge=1, le=16)] | None = None
    frequency_penalty: Penalty | None = None
    presence_penalty: Penalty | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, msgspec.Meta(ge=0, le=20)] | None = None
    logit_bias: Annotated[dict[str, float], msgspec.Meta(max_length=0)] | None = None
    reasoning_effort: Effort | None = None
    tools: list[_ToolIn] | None = None
    tool_choice: Literal["none", "auto", "required"] | _ToolChoiceIn | None = None
    parallel_tool_calls: bool | None = None
    response_format: _FormatIn | None = None
    functions: None = None
    function_call: None = None
    prediction: None = None
    web_search_options: None = None
    audio: None = None
    modalities: Annotated[list[Literal["text"]], msgspec.Meta(max_length=1)] | None = None
    verbosity: Literal["medium"] | None = None
    moderation: None = None
    store: bool | None = None
    metadata: dict[str, str] | None = None
    user: str | None = None
    safety_identifier: str | None = None
    service_tier: str | None = None
    prompt_cache_key: str | None = None
    prompt_cache_options: dict[str, object] | None = None
    prompt_cache_retention: str | None = None

    @property
    def wants_usage(self) -> bool:
        """Does the caller want a last event with the usage?"""
        return self.stream_options is not None and bool(self.stream_options.include_usage)


UNSERVED = {
    "logit_bias": "token numbers belong to one vendor's vocabulary, and the router may choose another",
    "functions": "it is deprecated: give tools",
    "function_call": "it is deprecated: give tool_choice",
    "prediction": "no provider but OpenAI has it",
    "web_search_options": "searching runs on the provider's side",
    "audio": "answers are text",
    "modalities": "answers are text",
    "moderation": "it runs on OpenAI's side",
    "verbosity": "no provider but OpenAI has another than medium",
}
"""Why a field is refused."""
_body_decoder = msgspec.json.Decoder(ChatBody)


def read_body(raw: bytes) -> ChatBody:
    """The body, parsed once. Raises InvalidRequestError."""
    body = decoded(raw, _body_decoder, UNSERVED)
    refuse_unprintable(body.model, "model")
    if isinstance(body.tool_choice, _ToolChoiceIn):
        _check_chosen(body.tool_choice.function.name, body.tools or ())
    return body


def _check_chosen(name: str, tools: Sequence[_ToolIn]) -> None:
    if all(tool.function.name != name for tool in tools):
        raise InvalidRequestError(f"tool_choice names {name!r}, which is not among tools", param="tool_choice")


def to_request(body: ChatBody) -> ChatRequest:
    """The request in the bridge's terms."""
    limit = body.max_completion_tokens if body.max_completion_tokens is not None else body.max_tokens
    stop = (body.stop,) if isinstance(body.stop, str) else tuple(body.stop or ())
    choice = body.tool_choice
    return ChatRequest(
        model=body.model,
        messages=tuple(_message(message, n) for n, message in enumerate(body.messages)),
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


def _message(message: _MessageIn, number: int) -> Message:
    content = message.content
    parts: tuple[ContentPart, ...]
    if content is None:
        _check_silent(message, number)
        parts = ()
    elif isinstance(content, str):
        parts = (TextPart(content),)
    elif content:
        parts = tuple(_part(part, number, n) for n, part in enumerate(content))
    else:
        raise InvalidRequestError("at least one part is needed", param=f"messages[{number}].content")
    if message.role == "tool" and not message.tool_call_id:
        raise InvalidRequestError("a tool's message needs it", param=f"messages[{number}].tool_call_id")
    return Message(
        role="system" if message.role == "developer" else message.role,
        content=parts,
        tool_calls=tuple(_tool_call(call, number) for call in message.tool_calls or ()),
        tool_call_id=message.tool_call_id,
        name=message.name,
        reasoning=tuple(_thought(detail) for detail in message.reasoning_details or ()),
    )


def _check_silent(message: _MessageIn, number: int) -> None:
    """Only an assistant may say nothing, and only while it calls or thinks."""
    if message.role != "assistant" or not (message.tool_calls or message.reasoning_details):
        raise InvalidRequestError("this field is required", param=f"messages[{number}].content")


def _tool_call(call: _ToolCallIn, number: int) -> ToolCall:
    refuse_deep(call.function.arguments.encode(), f"messages[{number}].tool_calls")
    google = None if call.extra_content is None else call.extra_content.google
    signature = "" if google is None else google.thought_signature
    return ToolCall(call.id, call.function.name, call.function.arguments, signature)


def _thought(detail: _ReasoningDetail) -> ReasoningPart:
    """What a provider signed, as the reply told it: see `openai_chat_reply.reasoning_details`."""
    if detail.data is not None:
        return ReasoningPart("", detail.data, is_redacted=True)
    return ReasoningPart(detail.text or "", detail.signature or "")


def _part(part: _PartIn, number: int, place: int) -> ContentPart:
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
                    "files that were uploaded are not supported: send file_data",
                    param=f"messages[{number}].content[{place}].file",
                )
            return DocumentPart(file.file_data, file.filename)


def _tool(tool: _ToolIn) -> Tool:
    spec = tool.function
    parameters: JsonObject = spec.parameters or {}  # pyright: ignore[reportAssignmentType]  # parsed JSON
    return Tool(name=spec.name, description=spec.description or "", parameters=parameters, strict=spec.strict)


def _format(wanted: _FormatIn | None) -> JsonFormat | None:
    if wanted is None or wanted.type == "text":
        return None
    if wanted.type == "json_object":
        return JsonFormat()
    schema = wanted.json_schema
    if schema is None or schema.schema is None:
        raise InvalidRequestError("this field is required", param="response_format.json_schema.schema")
    given: JsonObject = schema.schema  # pyright: ignore[reportAssignmentType]  # parsed JSON
    return JsonFormat(schema=given, name=schema.name, strict=bool(schema.strict))
