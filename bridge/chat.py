"""A chat call as values: request, messages and parts, tools, reply, usage, stream chunk. No provider's spelling."""

from dataclasses import dataclass, field
from typing import Literal

from bridge.config import Policy
from bridge.json_types import JsonObject

Role = Literal["system", "user", "assistant", "tool"]
CacheTtl = Literal["5m", "1h"]
FinishReason = Literal["stop", "length", "tool_calls", "content_filter", "other"]


@dataclass(frozen=True, slots=True)
class TextPart:
    """Plain text."""

    text: str


@dataclass(frozen=True, slots=True)
class ImagePart:
    """An image by `https:` or `data:` URL."""

    url: str
    detail: Literal["auto", "low", "high"] | None = None


@dataclass(frozen=True, slots=True)
class DocumentPart:
    """A document (PDF, mostly) by `https:` or `data:` URL."""

    url: str
    name: str | None = None


@dataclass(frozen=True, slots=True)
class AudioPart:
    """A recording: base64 data and its format (`wav`, `mp3`)."""

    data: str
    format: str


ContentPart = TextPart | ImagePart | DocumentPart | AudioPart


@dataclass(frozen=True, slots=True)
class ReasoningPart:
    """A piece of a model's reasoning. Some providers sign it and want it back unchanged in the next turn."""

    text: str
    signature: str = ""
    """Opaque; valid at the provider that made it only. With `is_redacted` it is all there is."""
    is_redacted: bool = False


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call the model asks for. `arguments` is JSON text exactly as the model wrote it, possibly invalid."""

    id: str
    name: str
    arguments: str
    signature: str = ""
    """The provider's opaque mark, sent back with the call (Gemini's thought signature)."""


@dataclass(frozen=True, slots=True)
class Message:
    """One turn. `tool_call_id` is set on `tool` messages only."""

    role: Role
    content: tuple[ContentPart, ...] = ()
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    name: str | None = None
    reasoning: tuple[ReasoningPart, ...] = ()
    """Of an assistant's turn, as the provider gave it."""
    cache_ttl: CacheTtl | None = None
    """The caller wants the prompt up to here cached at the provider, where that is asked for (Anthropic)."""

    @classmethod
    def of(cls, role: Role, text: str) -> "Message":
        """A message of one text part."""
        return cls(role=role, content=(TextPart(text),))

    @property
    def text(self) -> str:
        """The text parts, joined."""
        return "".join(part.text for part in self.content if isinstance(part, TextPart))


@dataclass(frozen=True, slots=True)
class Tool:
    """A function the model may call; `parameters` is its JSON Schema."""

    name: str
    description: str = ""
    parameters: JsonObject = field(default_factory=dict[str, object])  # pyright: ignore[reportAssignmentType]  # an empty object is a JsonObject
    strict: bool | None = None
    cache_ttl: CacheTtl | None = None
    """As in Message."""


@dataclass(frozen=True, slots=True)
class JsonFormat:
    """The answer must be JSON; with a `schema` it must validate against it (JSON Schema 2020-12)."""

    schema: JsonObject | None = None
    name: str = "answer"
    strict: bool = True


ToolChoice = Literal["auto", "none", "required"] | str
"""A mode, or the name of the one tool that must be called."""


@dataclass(frozen=True, slots=True)
class RoutingOverrides:
    """What a single request asks of the router, on top of its alias."""

    policy: Policy | None = None
    candidates: tuple[str, ...] = ()
    fallback: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()
    max_cost_usd: float | None = None
    max_latency_ms: float | None = None
    quality_floor: float | None = None
    near: str | None = None
    """Where the caller is, for `geo` and residency: `eu-west-1`, `de`, `eu`."""
    may_drop: frozenset[str] = frozenset()
    """Fields of the request that may go unheeded, beside those of the alias."""


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """What a caller wants answered. `model` is an alias or `provider/model`."""

    model: str
    messages: tuple[Message, ...]
    max_output_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    n: int = 1
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    reasoning_effort: str | None = None
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    response_format: JsonFormat | None = None
    routing: RoutingOverrides | None = None
    deadline_s: float | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one attempt. `input_tokens` includes cached and cache-written ones, `output_tokens` reasoning."""

    input_tokens: int
    output_tokens: int
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    is_estimated: bool = False
    billed_input_tokens: int | None = None
    """Where a vendor bills other numbers than it counts (Cohere leaves its own prompt template out)."""
    billed_output_tokens: int | None = None

    @property
    def billed(self) -> "Usage":
        """The tokens that prices apply to."""
        if self.billed_input_tokens is None and self.billed_output_tokens is None:
            return self
        inputs, outputs = self.billed_input_tokens, self.billed_output_tokens
        return Usage(
            self.input_tokens if inputs is None else inputs,
            self.output_tokens if outputs is None else outputs,
            is_estimated=self.is_estimated,
        )

    @property
    def total_tokens(self) -> int:
        """Input and output together."""
        return self.input_tokens + self.output_tokens


@dataclass(frozen=True, slots=True)
class ChatResponse:
    """One whole answer, as the provider gave it. `model` is the provider's own name for what answered."""

    text: str
    finish_reason: FinishReason | None
    usage: Usage | None
    tool_calls: tuple[ToolCall, ...] = ()
    reasoning: str = ""
    reasoning_parts: tuple[ReasoningPart, ...] = ()
    """The same reasoning in the provider's pieces, where it signs them."""
    refusal: str = ""
    model: str = ""
    logprobs: JsonObject | None = None
    other_choices: tuple["ChatResponse", ...] = ()
    provider_cost_usd: float | None = None


@dataclass(frozen=True, slots=True)
class ToolCallDelta:
    """A piece of a streamed tool call; `index` tells which call it belongs to."""

    index: int
    id: str | None = None
    name: str | None = None
    arguments: str = ""
    signature: str = ""


@dataclass(frozen=True, slots=True)
class StreamChunk:
    """What one event of a stream adds. Every field is a difference; `usage` and `finish_reason` come once."""

    text: str = ""
    reasoning: str = ""
    reasoning_parts: tuple[ReasoningPart, ...] = ()
    """Signed pieces that have come to their end; their text was in `reasoning` before."""
    refusal: str = ""
    tool_calls: tuple[ToolCallDelta, ...] = ()
    finish_reason: FinishReason | None = None
    usage: Usage | None = None
    model: str = ""
    choice: int = 0
    logprobs: JsonObject | None = None
    """Of this piece, in the shape of chat completions (`content` lists)."""
    provider_cost_usd: float | None = None

    @property
    def has_content(self) -> bool:
        """Does it carry something a caller would see?"""
        return bool(self.text or self.reasoning or self.refusal or self.tool_calls)

    @property
    def is_text_only(self) -> bool:
        """Is it a piece of text and nothing else, as nearly all chunks are?"""
        return bool(self.text) and not (
            self.reasoning
            or self.tool_calls
            or self.finish_reason
            or self.usage
            or self.refusal
            or self.reasoning_parts
            or self.logprobs
            or self.provider_cost_usd is not None
        )
