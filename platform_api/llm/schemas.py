"""Bodies of the native LLM API."""

from datetime import date
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Text = str


class Turn(BaseModel):
    """One message."""

    model_config = ConfigDict(extra="forbid")

    role: Literal["system", "user", "assistant"]
    content: str


class Generate(BaseModel):
    """What to ask: a prompt, or messages. `model` is an alias or `provider/model`."""

    model_config = ConfigDict(extra="forbid")

    model: str = Field(default="balanced", min_length=1, max_length=200)
    prompt: str | None = Field(default=None, min_length=1)
    messages: list[Turn] = Field(default_factory=list[Turn])
    system: str | None = None
    max_tokens: int | None = Field(default=None, ge=1)
    temperature: float | None = Field(default=None, ge=0, le=2)
    stop: list[str] = Field(default_factory=list[str], max_length=8)
    seed: int | None = None
    task: str | None = Field(default=None, max_length=200)
    deadline_s: float | None = Field(default=None, ge=0.01, le=3600)


class GenerateStructured(Generate):
    """The same, and the answer must be JSON that fits `schema`."""

    json_schema: dict[str, Any] = Field(alias="schema")


class TokenUsage(BaseModel):
    """Tokens of an answer."""

    input_tokens: int
    output_tokens: int
    cached_tokens: int
    reasoning_tokens: int
    is_estimated: bool


class Generated(BaseModel):
    """An answer and how it was obtained."""

    call_id: str
    text: str
    finish_reason: str | None
    model: str
    provider: str
    attempts: int
    cache: str
    usage: TokenUsage | None
    cost_usd: float | None
    duration_ms: float


class GeneratedStructured(Generated):
    """An answer as validated JSON."""

    json_value: Any = Field(serialization_alias="json")
    re_asks: int
    """How often the model was asked again because its first answer did not fit."""


class ModelItem(BaseModel):
    """A model that can be called now. Prices are dollars per million tokens; null: unknown."""

    name: str
    provider: str
    capabilities: list[str]
    context_window: int | None
    max_output_tokens: int | None
    quality: float | None
    regions: list[str]
    input_usd_per_mtok: float | None
    output_usd_per_mtok: float | None
    circuit: str | None
    """How calls of this process fared: `closed`, `open` or `half_open`; null: it was not called lately."""
    deprecated_on: date | None


class AliasItem(BaseModel):
    """A name for several models."""

    name: str
    policy: str
    candidates: list[str]
    fallback: list[str]
    is_built_in: bool


class Catalogue(BaseModel):
    """What can be called, and which providers are off and why."""

    models: list[ModelItem]
    aliases: list[AliasItem]
    unavailable: dict[str, str]


class ProviderItem(BaseModel):
    """A configured provider as it stands."""

    provider: str
    is_on: bool
    reason: str | None
    deployments: dict[str, dict[str, Any]]
