"""A request for a message as Anthropic's clients write it, read into the bridge's terms.

Source: Anthropic API reference, "Messages".
"""

from collections.abc import Sequence
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
from bridge.providers.anthropic_messages_request import BUDGET_TOKENS
from platform_api.llm.body_reading import (
    Name,
    Share,
    TokenLimit,
    TopK,
    decoded,
    refuse_unprintable,
)
from platform_api.llm.carried_signatures import restored
from platform_api.llm.client_dialect import InvalidRequestError


class _CacheControl(msgspec.Struct):
    type: Literal["ephemeral"]
    ttl: Literal["5m", "1h"] = "5m"


class _Base64(msgspec.Struct, tag_field="type", tag="base64"):
    media_type: str
    data: str


class _Url(msgspec.Struct, tag_field="type", tag="url"):
    url: str


class _PlainText(msgspec.Struct, tag_field="type", tag="text"):
    data: str
    media_type: Literal["text/plain"] = "text/plain"


class _Text(msgspec.Struct, tag_field="type", tag="text"):
    text: str
    cache_control: _CacheControl | None = None


class _Image(msgspec.Struct, tag_field="type", tag="image"):
    source: _Base64 | _Url
    cache_control: _CacheControl | None = None


class _Citations(msgspec.Struct):
    enabled: bool | None = None


class _Document(msgspec.Struct, tag_field="type", tag="document"):
    source: _Base64 | _Url | _PlainText
    title: str | None = None
    context: str | None = None
    citations: _Citations | None = None
    cache_control: _CacheControl | None = None


class _Thinking(msgspec.Struct, tag_field="type", tag="thinking"):
    thinking: str
    signature: str = ""


class _RedactedThinking(msgspec.Struct, tag_field="type", tag="redacted_thinking"):
    data: str


class _ToolUse(msgspec.Struct, tag_field="type", tag="tool_use"):
    id: Name
    name: Name
    input: msgspec.Raw = msgspec.field(default_factory=lambda: msgspec.Raw(b"{}"))
    cache_control: _CacheControl | None = None


class _ToolResult(msgspec.Struct, tag_field="type", tag="tool_result"):
    tool_use_id: Name
    content: str | list[_Text | _Image | _Document] | None = None
    is_error: bool | None = False
    cache_control: _CacheControl | None = None


_Block = _Text | _Image | _Document | _Thinking | _RedactedThinking | _ToolUse | _ToolResult


class _Turn(msgspec.Struct):
    role: Literal["user", "assistant", "system"]
    content: str | list[_Block]


class _ToolIn(msgspec.Struct):
    name: Name
    input_schema: dict[str, object] | None = None
    description: str | None = None
    type: str | None = None
    strict: bool | None = None
    cache_control: _CacheControl | None = None


class _ToolChoice(msgspec.Struct):
    type: Literal["auto", "any", "tool", "none"]
    name: Name | None = None
    disable_parallel_tool_use: bool | None = None


class _ThinkingConfig(msgspec.Struct):
    type: Literal["enabled", "disabled", "adaptive"]
    budget_tokens: Annotated[int, msgspec.Meta(ge=1024, le=2**31 - 1)] | None = None
    display: Literal["summarized", "omitted"] | None = None


class _OutputFormat(msgspec.Struct):
    type: Literal["json_schema"]
    schema: dict[str, object]


class _OutputConfig(msgspec.Struct):
    effort: Literal["low", "medium", "high", "xhigh", "max"] | None = None
    format: _OutputFormat | None = None


class MessagesBody(msgspec.Struct, forbid_unknown_fields=True):
    """The request body. A field that the reference does not know is refused, as Anthropic does.

    `max_tokens` is asked for by Messages and has no place in count_tokens. The last fields concern Anthropic's own
    platform or the price, and are passed over; what would change the answer and has no place here is refused with a
    reason (`UNSERVED`).
    """

    model: Name
    messages: Annotated[list[_Turn], msgspec.Meta(min_length=1)]
    max_tokens: TokenLimit | None = None
    system: str | list[_Text] | None = None
    stream: bool | None = False
    temperature: Share | None = None
    top_p: Share | None = None
    top_k: TopK | None = None
    stop_sequences: list[str] | None = None
    tools: list[_ToolIn] | None = None
    tool_choice: _ToolChoice | None = None
    thinking: _ThinkingConfig | None = None
    output_config: _OutputConfig | None = None
    output_format: _OutputFormat | None = None
    mcp_servers: Annotated[list[object], msgspec.Meta(max_length=0)] | None = None
    context_management: None = None
    compaction: None = None
    thread: None = None
    fallbacks: None = None
    metadata: dict[str, object] | None = None
    service_tier: str | None = None
    container: object = None
    inference_geo: str | None = None
    cache_control: _CacheControl | None = None
    speed: str | None = None
    diagnostics: object = None
    user_profile_id: str | None = None
    workspace_id: str | None = None


UNSERVED = {
    "mcp_servers": "they are called from Anthropic's side",
    "context_management": "it runs on Anthropic's side",
    "compaction": "it runs on Anthropic's side",
    "thread": "nothing is kept between calls: send the whole conversation in messages",
    "fallbacks": "an alias says who answers instead",
}
"""Why a field is refused."""
_decoder = msgspec.json.Decoder(MessagesBody)


def read_body(raw: bytes, *, is_count: bool = False) -> MessagesBody:
    """The body, parsed once. Raises InvalidRequestError."""
    body = decoded(raw, _decoder, UNSERVED)
    refuse_unprintable(body.model, "model")
    if body.max_tokens is None and not is_count:
        raise InvalidRequestError("this field is required", param="max_tokens")
    if body.thinking is not None and body.thinking.type == "enabled" and body.thinking.budget_tokens is None:
        raise InvalidRequestError("this field is required", param="thinking.budget_tokens")
    return body


def to_request(body: MessagesBody) -> ChatRequest:
    """The request in the bridge's terms. Raises InvalidRequestError."""
    choice = body.tool_choice
    wanted = body.output_format if body.output_config is None else body.output_config.format or body.output_format
    return ChatRequest(
        model=body.model,
        messages=(*_system(body.system), *(one for n, turn in enumerate(body.messages) for one in _messages(turn, n))),
        max_output_tokens=body.max_tokens,
        temperature=body.temperature,
        top_p=body.top_p,
        top_k=body.top_k,
        stop=tuple(body.stop_sequences or ()),
        tools=tuple(_tool(tool, n) for n, tool in enumerate(body.tools or ())),
        tool_choice=None if choice is None else _choice(choice, body.tools or ()),
        parallel_tool_calls=False if choice is not None and choice.disable_parallel_tool_use else None,
        reasoning_effort=_effort(body),
        response_format=None if wanted is None else JsonFormat(schema=_object(wanted.schema)),
    )


def _system(system: str | list[_Text] | None) -> tuple[Message, ...]:
    if system is None:
        return ()
    if isinstance(system, str):
        return (Message.of("system", system),)
    texts = tuple(TextPart(block.text) for block in system)
    return (Message("system", texts, cache_ttl=_ttl(*system)),)


def _messages(turn: _Turn, number: int) -> list[Message]:
    """A turn as messages: each tool result is one of its own, and comes before what else the user says."""
    if isinstance(turn.content, str):
        return [Message.of(turn.role, turn.content)]
    if not turn.content:
        raise InvalidRequestError("at least one block is needed", param=f"messages[{number}].content")
    found: list[Message] = []
    parts: list[ContentPart] = []
    calls: list[ToolCall] = []
    thoughts: list[ReasoningPart] = []
    marked: list[_Block] = []
    for n, block in enumerate(turn.content):
        match block:
            case _ToolResult():
                found.append(_result(block, f"messages[{number}].content[{n}]"))
                continue
            case _ToolUse(id=call_id, name=name, input=arguments):
                calls.append(ToolCall(call_id, name, bytes(arguments).decode()))
            case _Thinking(thinking=text, signature=signature):
                thoughts.append(ReasoningPart(text, signature))
            case _RedactedThinking(data=data):
                thoughts.append(ReasoningPart("", data, is_redacted=True))
            case _:
                parts.append(_part(block, f"messages[{number}].content[{n}]"))
        marked.append(block)
    if parts or calls or thoughts:
        ttl = _ttl(*marked)
        made = Message(turn.role, tuple(parts), tool_calls=tuple(calls), reasoning=tuple(thoughts), cache_ttl=ttl)
        found.append(restored(made))
    return found


def _result(block: _ToolResult, place: str) -> Message:
    """What a tool gave back. That it failed is said in words, which every provider's model reads."""
    content = block.content or ""
    parts = (TextPart(content),) if isinstance(content, str) else tuple(_part(part, place) for part in content)
    if block.is_error:
        parts = (TextPart("The tool failed: "), *parts)
    return Message("tool", parts, tool_call_id=block.tool_use_id, cache_ttl=_ttl(block))


def _part(block: _Text | _Image | _Document, place: str) -> ContentPart:
    if isinstance(block, _Text):
        return TextPart(block.text)
    if isinstance(block, _Document):
        _check_document(block, place)
    source = block.source
    if isinstance(source, _PlainText):
        return TextPart(source.data)
    url = source.url if isinstance(source, _Url) else f"data:{source.media_type};base64,{source.data}"
    return ImagePart(url) if isinstance(block, _Image) else DocumentPart(url, block.title)


def _check_document(block: _Document, place: str) -> None:
    if block.citations is not None and block.citations.enabled:
        raise InvalidRequestError("citations are not supported", param=f"{place}.citations")
    if block.context is not None:
        raise InvalidRequestError("it is not supported: say it in a text block", param=f"{place}.context")


def _ttl(*blocks: _Block) -> Literal["5m", "1h"] | None:
    """How long the prompt up to here is to be cached; the last mark counts."""
    marks = [mark for block in blocks if (mark := getattr(block, "cache_control", None)) is not None]
    return marks[-1].ttl if marks else None


def _tool(tool: _ToolIn, number: int) -> Tool:
    if tool.type not in (None, "custom"):
        said = f"{tool.type!r} runs on Anthropic's side and is not carried; give tools with an input_schema"
        raise InvalidRequestError(said, param=f"tools[{number}].type")
    if tool.input_schema is None:
        raise InvalidRequestError("this field is required", param=f"tools[{number}].input_schema")
    ttl = None if tool.cache_control is None else tool.cache_control.ttl
    return Tool(tool.name, tool.description or "", _object(tool.input_schema), tool.strict, cache_ttl=ttl)


def _choice(choice: _ToolChoice, tools: Sequence[_ToolIn]) -> str:
    if choice.type == "tool":
        if not choice.name:
            raise InvalidRequestError("the tool's name is missing", param="tool_choice.name")
        if all(tool.name != choice.name for tool in tools):
            raise InvalidRequestError(f"{choice.name!r} is not among tools", param="tool_choice.name")
        return choice.name
    return "required" if choice.type == "any" else choice.type


def _effort(body: MessagesBody) -> str | None:
    """A budget of thinking tokens is the least effort that has as many."""
    asked = None if body.output_config is None else body.output_config.effort
    if body.thinking is None:
        return asked
    if body.thinking.type == "disabled":
        return "none"
    budget = body.thinking.budget_tokens
    if asked is not None or budget is None:
        return asked or "high"
    return next((effort for effort, tokens in BUDGET_TOKENS.items() if budget <= tokens), "max")


def _object(value: dict[str, object]) -> JsonObject:
    return value  # pyright: ignore[reportReturnType]  # parsed JSON
