"""A request for a response as OpenAI's clients write it, read into the bridge's terms.

Source: OpenAI API reference, "Create a model response". Whatever needs state on the server (earlier responses,
conversations, background work, stored prompts) or tools that run there is refused; `store` is answered with false.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Literal

import msgspec

from bridge.chat import (
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
    Share,
    TokenLimit,
    decoded,
    refuse_deep,
    refuse_unprintable,
)
from platform_api.llm.carried_signatures import restored
from platform_api.llm.client_dialect import InvalidRequestError

JsonDict = dict[str, object]
Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]
Summary = Literal["auto", "concise", "detailed"]
NeverTrue = Annotated[bool, msgspec.Meta(extra_json_schema={"const": False})]


class _Part(msgspec.Struct):
    type: str
    text: str = ""
    refusal: str = ""
    image_url: str | None = None
    detail: Literal["auto", "low", "high", "original"] | None = None
    file_data: str | None = None
    file_url: str | None = None
    file_id: str | None = None
    filename: str | None = None


class _Item(msgspec.Struct):
    """Any item: which fields count depends on `type`, which a plain message may leave out."""

    type: str = "message"
    role: Literal["user", "assistant", "system", "developer"] | None = None
    content: str | list[_Part] | None = None
    call_id: str = ""
    name: str = ""
    arguments: str = ""
    output: str | list[_Part] = ""
    summary: list[_Part] = []
    encrypted_content: str | None = None


class _ToolIn(msgspec.Struct):
    type: str
    name: str = ""
    description: str | None = None
    parameters: dict[str, object] | None = None
    strict: bool | None = None


class _Choice(msgspec.Struct):
    type: str
    name: str | None = None


class _Format(msgspec.Struct):
    type: Literal["text", "json_object", "json_schema"]
    name: str = "answer"
    schema: dict[str, object] | None = None
    strict: bool | None = None


class _TextConfig(msgspec.Struct):
    format: _Format | None = None
    verbosity: Literal["medium"] | None = None


class _Reasoning(msgspec.Struct):
    effort: Effort | None = None
    summary: Summary | None = None
    generate_summary: Summary | None = None


class ResponsesBody(msgspec.Struct, forbid_unknown_fields=True):
    """The request body. A field that the reference does not know is refused, as OpenAI does.

    Passed over, since the answer does not depend on them: the last ones. What would change it and has no place here is
    refused with a reason (`UNSERVED`).
    """

    model: Name
    input: Annotated[str, msgspec.Meta(min_length=1)] | Annotated[list[_Item], msgspec.Meta(min_length=1)]
    instructions: str | None = None
    stream: bool | None = False
    max_output_tokens: TokenLimit | None = None
    temperature: Annotated[float, msgspec.Meta(ge=0, le=2)] | None = None
    top_p: Share | None = None
    top_logprobs: Annotated[int, msgspec.Meta(ge=0, le=20)] | None = None
    tools: list[_ToolIn] | None = None
    tool_choice: Literal["none", "auto", "required"] | _Choice | None = None
    parallel_tool_calls: bool | None = None
    reasoning: _Reasoning | None = None
    text: _TextConfig | None = None
    truncation: Literal["disabled"] | None = None
    background: NeverTrue | None = None
    previous_response_id: None = None
    conversation: None = None
    prompt: None = None
    moderation: None = None
    context_management: Annotated[list[object], msgspec.Meta(max_length=0)] | None = None
    metadata: dict[str, str] | None = None
    include: list[str] | None = None
    max_tool_calls: int | None = None
    prompt_cache_key: str | None = None
    prompt_cache_options: dict[str, object] | None = None
    prompt_cache_retention: str | None = None
    safety_identifier: str | None = None
    service_tier: str | None = None
    store: bool | None = None
    stream_options: dict[str, object] | None = None
    user: str | None = None


_STATE = "send the whole conversation in input"
UNSERVED = {
    "previous_response_id": _STATE,
    "conversation": _STATE,
    "prompt": _STATE,
    "background": "the answer comes in the reply",
    "truncation": "shorten input yourself",
    "moderation": "it runs on OpenAI's side",
    "context_management": "it runs on OpenAI's side",
    "text.verbosity": "no provider but OpenAI has another than medium",
}
"""Why a field is refused."""
_decoder = msgspec.json.Decoder(ResponsesBody)


def read_body(raw: bytes) -> ResponsesBody:
    """The body, parsed once. Raises InvalidRequestError."""
    body = decoded(raw, _decoder, UNSERVED)
    refuse_unprintable(body.model, "model")
    if body.background:
        raise InvalidRequestError(f"not supported ({UNSERVED['background']})", param="background")
    return body


def to_request(body: ResponsesBody) -> ChatRequest:
    """The request in the bridge's terms. Raises InvalidRequestError."""
    first = (Message.of("system", body.instructions),) if body.instructions else ()
    return ChatRequest(
        model=body.model,
        messages=(*first, *_messages(body.input)),
        max_output_tokens=body.max_output_tokens,
        temperature=body.temperature,
        top_p=body.top_p,
        logprobs=True if body.top_logprobs else None,
        top_logprobs=body.top_logprobs or None,
        tools=tuple(_tool(tool, n) for n, tool in enumerate(body.tools or ())),
        tool_choice=_choice(body.tool_choice, body.tools or ()),
        parallel_tool_calls=body.parallel_tool_calls,
        reasoning_effort=None if body.reasoning is None else body.reasoning.effort,
        response_format=_format(body.text),
    )


def _messages(given: str | list[_Item]) -> tuple[Message, ...]:
    """Items as messages: what the assistant thought, said and called in a row is one turn."""
    if isinstance(given, str):
        return (Message.of("user", given),)
    found: list[Message] = []
    for n, item in enumerate(given):
        made = _message(item, f"input[{n}]")
        before = found[-1] if found else None
        if before is not None and before.role == made.role == "assistant":
            found[-1] = replace(
                before,
                content=(*before.content, *made.content),
                tool_calls=(*before.tool_calls, *made.tool_calls),
                reasoning=(*before.reasoning, *made.reasoning),
            )
        else:
            found.append(made)
    return tuple(restored(message) for message in found)


def _message(item: _Item, place: str) -> Message:
    match item.type:
        case "message":
            _check_filled(item, place, "role")
            if item.role is None or item.content is None or item.content == []:
                raise InvalidRequestError("this field is required", param=f"{place}.content")
            role = "system" if item.role == "developer" else item.role
            return Message(role, _parts(item.content, f"{place}.content"))
        case "function_call":
            _check_filled(item, place, "call_id", "name")
            refuse_deep(item.arguments.encode(), f"{place}.arguments")
            return Message("assistant", tool_calls=(ToolCall(item.call_id, item.name, item.arguments),))
        case "function_call_output":
            _check_filled(item, place, "call_id")
            return Message("tool", _parts(item.output, f"{place}.output"), tool_call_id=item.call_id)
        case "reasoning":
            own = item.content if isinstance(item.content, list) else []
            text = "".join(part.text for part in (*item.summary, *own))
            signature = item.encrypted_content or ""
            return Message("assistant", reasoning=(ReasoningPart(text, signature, is_redacted=not text),))
        case other:
            raise InvalidRequestError(f"items of type {other!r} are not supported", param=f"{place}.type")


def _check_filled(item: _Item, place: str, *names: str) -> None:
    for name in names:
        if not getattr(item, name):
            raise InvalidRequestError("this field is required", param=f"{place}.{name}")


def _parts(content: str | Sequence[_Part], place: str) -> tuple[ContentPart, ...]:
    if isinstance(content, str):
        return (TextPart(content),)
    return tuple(_part(part, f"{place}[{n}]") for n, part in enumerate(content))


def _part(part: _Part, place: str) -> ContentPart:
    if part.file_id is not None:
        raise InvalidRequestError("files that were uploaded are not supported: send file_data or file_url", param=place)
    match part.type:
        case "input_text" | "output_text" | "text":
            return TextPart(part.text)
        case "refusal":
            return TextPart(part.refusal)
        case "input_image" if part.image_url is not None:
            return ImagePart(part.image_url, detail=None if part.detail == "original" else part.detail)
        case "input_file" if part.file_data is not None or part.file_url is not None:
            return DocumentPart(part.file_data or part.file_url or "", part.filename)
        case other:
            raise InvalidRequestError(f"content of type {other!r} cannot be read", param=f"{place}.type")


def _tool(tool: _ToolIn, number: int) -> Tool:
    if tool.type != "function" or not tool.name:
        said = f"tools of type {tool.type!r} run on the provider's side and are not supported; give functions"
        raise InvalidRequestError(said, param=f"tools[{number}].type")
    return Tool(tool.name, tool.description or "", _object(tool.parameters or {}), tool.strict)


def _choice(choice: str | _Choice | None, tools: Sequence[_ToolIn]) -> str | None:
    if not isinstance(choice, _Choice):
        return choice
    if choice.type != "function" or not choice.name:
        raise InvalidRequestError(f"a tool_choice of type {choice.type!r} is not supported", param="tool_choice.type")
    if all(tool.name != choice.name for tool in tools):
        raise InvalidRequestError(f"{choice.name!r} is not among tools", param="tool_choice.name")
    return choice.name


def _format(text: _TextConfig | None) -> JsonFormat | None:
    wanted = None if text is None else text.format
    if wanted is None or wanted.type == "text":
        return None
    if wanted.type == "json_object":
        return JsonFormat()
    if wanted.schema is None:
        raise InvalidRequestError("text.format.schema is missing", param="text.format.schema")
    return JsonFormat(schema=_object(wanted.schema), name=wanted.name, strict=bool(wanted.strict))


def _object(value: dict[str, object]) -> JsonObject:
    return value  # pyright: ignore[reportReturnType]  # parsed JSON
