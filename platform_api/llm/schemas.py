"""Bodies of the native LLM API."""

import json
from datetime import date
from typing import Annotated, Any, Literal, cast

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from bridge.errors import UnsupportedFeatureError
from bridge.structured_output import schema_problem
from platform_api.llm.body_reading import refuse_deep
from platform_api.llm.client_dialect import InvalidRequestError

MAX_FIELDS = 100
"""Of a body; the validator tells every one that is unknown."""


def _is_name(value: str) -> str:
    if not value.isprintable():
        raise ValueError("must hold no control characters")
    return value


def _is_schema(value: dict[str, Any]) -> dict[str, Any]:
    try:
        refuse_deep(json.dumps(value).encode(), "schema")
        schema_problem(None, value)
    except (InvalidRequestError, UnsupportedFeatureError) as error:
        raise ValueError(str(error)) from error
    except RecursionError as error:
        raise ValueError("nests too deep") from error
    return value


class Turn(BaseModel):
    """One message."""

    model_config = ConfigDict(extra="forbid", strict=True)

    role: Literal["system", "user", "assistant"]
    content: str


class Generate(BaseModel):
    """What to ask: a prompt, or messages. `model` is an alias or `provider/model`."""

    model_config = ConfigDict(extra="forbid", strict=True)

    model: Annotated[str, AfterValidator(_is_name)] = Field(default="balanced", min_length=1, max_length=256)
    prompt: str | None = Field(default=None, min_length=1)
    messages: list[Turn] = Field(default_factory=list[Turn])
    system: str | None = None
    max_tokens: int | None = Field(default=None, ge=1, le=2**31 - 1)
    temperature: float | None = Field(default=None, ge=0, le=2)
    stop: list[str] = Field(default_factory=list[str], max_length=8)
    seed: int | None = Field(default=None, ge=-(2**63), lt=2**63)
    task: str | None = Field(default=None, max_length=200)
    deadline_s: float | None = Field(default=None, ge=0.01, le=3600)

    @model_validator(mode="before")
    @classmethod
    def _has_few_fields(cls, given: Any) -> Any:
        if isinstance(given, dict) and len(cast("dict[str, Any]", given)) > MAX_FIELDS:
            raise ValueError(f"must have at most {MAX_FIELDS} fields")
        return cast("Any", given)


class GenerateStructured(Generate):
    """The same, and the answer must be JSON that fits `schema`."""

    json_schema: Annotated[dict[str, Any], AfterValidator(_is_schema)] = Field(alias="schema")


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
