"""Frozen configuration of the bridge: providers, models, aliases and the numbers of reliability.

The bridge reads no environment. A key that is still written `${env:NAME}` means that NAME was not set: the provider
is off, and `Bridge.unavailable()` says so.
"""

import re
from collections.abc import Mapping
from datetime import date
from typing import Annotated, Literal

from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    SecretStr,
    ValidationError,
    field_validator,
)

from bridge.config_problems import problems_of
from bridge.errors import ConfigurationError

Policy = Literal[
    "fastest",
    "cheapest",
    "best",
    "balanced",
    "priority",
    "weighted",
    "round_robin",
    "least_busy",
    "latency",
    "geo",
    "semantic",
    "cascade",
    "experiment",
]
Dialect = Literal["openai", "anthropic", "gemini", "cohere", "ollama"]
CacheMode = Literal["exact", "semantic", "off"]
"""`semantic` looks for the same request first, then for one that means the same."""
Capability = Literal[
    "chat",
    "stream",
    "tools",
    "json_schema",
    "json_object",
    "vision",
    "documents",
    "audio",
    "reasoning",
    "embeddings",
    "rerank",
    "prefill",
]
"""`prefill`: continues an answer that the request begins."""

_UNSET_REFERENCE = re.compile(r"^\$\{env:([A-Za-z_][A-Za-z0-9_]*)\}$")
PRICE_LIMIT_USD_PER_MTOK = 100_000.0


class Frozen(BaseModel):
    """Base of configuration objects: immutable, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def _empty_when_none(value: object) -> object:
    """`local:` with nothing behind it is the same as `local: {}` in YAML."""
    return {} if value is None else value


class CredentialConfig(Frozen):
    """Where and as whom a provider is reached."""

    base_url: str | None = Field(default=None, pattern=r"^(https?|mock)://[^\s]+$", description="None: known by name.")
    api_key: SecretStr | None = Field(default=None, description="None: the provider asks for no key.")
    region: str | None = Field(default=None, min_length=1, max_length=40, description="Where requests are served.")
    weight: float = Field(default=1.0, ge=0, le=1000, description="Share of traffic among equals.")
    spare_keys: tuple[SecretStr, ...] = Field(default=(), description="Used in turn when a key is refused or spent.")

    @property
    def missing_key_variable(self) -> str | None:
        """The environment variable that the key should have come from and did not."""
        found = _UNSET_REFERENCE.match(self.key_text or "")
        return found.group(1) if found else None

    @property
    def key_text(self) -> str | None:
        """The key itself. Never log it."""
        return None if self.api_key is None else self.api_key.get_secret_value()

    @property
    def spare_key_texts(self) -> tuple[str, ...]:
        """The spare keys, without those whose environment variable is not set. Never log them."""
        texts = (key.get_secret_value() for key in self.spare_keys)
        return tuple(text for text in texts if text and not _UNSET_REFERENCE.match(text))


class RateConfig(Frozen):
    """What a provider allows one deployment. None: no limit known."""

    requests_per_minute: float | None = Field(default=None, gt=0)
    tokens_per_minute: float | None = Field(default=None, gt=0, description="Input and output together.")
    in_flight: int | None = Field(default=None, ge=1, description="Calls at the same time.")
    burst_s: float = Field(default=60.0, gt=0, le=3600, description="Seconds' worth that may be used at once.")


class ProviderConfig(CredentialConfig):
    """One provider. `dialect` and `base_url` may be left out for providers known by name."""

    dialect: Dialect | None = Field(default=None, description="The wire format it speaks.")
    headers: dict[str, str] = Field(default_factory=dict[str, str], description="Sent with every request.")
    timeout_s: float = Field(default=60.0, gt=0, le=3600, description="Limit of one attempt.")
    ttft_s: float | None = Field(
        default=None,
        gt=0,
        le=3600,
        description="Streams: first content must have come by then. None: `streams.ttft_s`.",
    )
    ttft_s_per_ktok: float | None = Field(
        default=None, ge=0, le=3600, description="Added to it for every 1,000 tokens of the prompt. None: by provider."
    )
    enabled: bool = Field(default=True, description="False: none of its models is a candidate.")
    limits: RateConfig = Field(default_factory=RateConfig, description="For each of its deployments.")
    prices_of: str | None = Field(default=None, description="The genai-prices provider whose models and prices apply.")
    sites: dict[str, CredentialConfig] = Field(
        default_factory=dict[str, CredentialConfig],
        description="Further regions or credentials; `eu` makes a deployment `provider/model@eu` of every model.",
    )
    options: dict[str, JsonValue] = Field(
        default_factory=dict[str, JsonValue], description="For `mock` and `local`: script, fault plan, model path."
    )


class ModelConfig(Frozen):
    """Facts about a model, laid over what the catalogue knows. None: as the catalogue says."""

    model_id: str | None = Field(default=None, min_length=1, description="What the provider calls it.")
    input_usd_per_mtok: float | None = Field(default=None, ge=0, le=PRICE_LIMIT_USD_PER_MTOK)
    output_usd_per_mtok: float | None = Field(default=None, ge=0, le=PRICE_LIMIT_USD_PER_MTOK)
    cache_read_usd_per_mtok: float | None = Field(default=None, ge=0, le=PRICE_LIMIT_USD_PER_MTOK)
    cache_write_usd_per_mtok: float | None = Field(default=None, ge=0, le=PRICE_LIMIT_USD_PER_MTOK)
    context_window: int | None = Field(default=None, gt=0, description="Tokens, input and output together.")
    max_output_tokens: int | None = Field(default=None, gt=0)
    capabilities: frozenset[Capability] | None = None
    quality: float | None = Field(default=None, ge=0, le=1, description="Prior until own scores exist.")
    regions: frozenset[str] | None = Field(default=None, description="Where it is served.")
    deprecated_on: date | None = None
    tags: frozenset[str] | None = Field(default=None, description="Own words that aliases may ask for.")
    alias_default: bool | None = Field(default=None, description="Is it a candidate of the built-in aliases?")


class ScoreWeights(Frozen):
    """How much each term counts for `balanced`; only their ratio matters."""

    cost: float = Field(default=0.0, ge=0)
    latency: float = Field(default=0.0, ge=0)
    quality: float = Field(default=0.0, ge=0)
    reliability: float = Field(default=0.0, ge=0)


class RampConfig(Frozen):
    """A scheduled change of `weights`: from the alias's own to these, in even steps of time."""

    to: dict[str, float] = Field(description="By candidate.")
    starts_at: AwareDatetime
    ends_at: AwareDatetime
    steps: int = Field(default=10, ge=1, le=1000)


class GeoConfig(Frozen):
    """For `geo`: where the caller is when the request does not say, and what may leave a region."""

    home: str | None = Field(default=None, description="Region that distances count from.")
    is_strict: bool = Field(default=False, description="True: what serves elsewhere is no candidate (residency).")


class IntentConfig(Frozen):
    """For `semantic`: what a prompt of this kind sounds like, and who answers it."""

    examples: tuple[str, ...] = Field(min_length=1)
    candidates: tuple[str, ...] = Field(min_length=1, description="Of the alias's candidates.")
    threshold: float = Field(default=0.35, ge=-1, le=1, description="Least cosine similarity to the nearest example.")


class CascadeConfig(Frozen):
    """For `cascade`: when the answer of a cheaper model is passed over and the next one is asked."""

    min_chars: int = Field(default=1, ge=0, description="A shorter answer escalates.")
    refusal_patterns: tuple[str, ...] = Field(default=(), description="Regular expressions; a match escalates.")
    min_mean_logprob: float | None = Field(default=None, le=0, description="Lower confidence escalates.")
    on_length: bool = Field(default=True, description="An answer cut by the token limit escalates.")
    max_escalations: int = Field(default=2, ge=1, le=10)

    @field_validator("refusal_patterns")
    @classmethod
    def _compiles(cls, patterns: tuple[str, ...]) -> tuple[str, ...]:
        for pattern in patterns:
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(f"{pattern!r} is no regular expression: {error}") from error
        return patterns


class ExperimentConfig(Frozen):
    """For `experiment`: arms with their shares; an assignment sticks to its unit."""

    name: str = Field(min_length=1)
    arms: dict[str, float] = Field(min_length=2, description="Candidate -> share; only the ratio matters.")
    unit: Literal["request", "user", "key", "conversation"] = "user"


class AffinityConfig(Frozen):
    """Keeps a conversation at one deployment while its cached prompt is cheaper to read there."""

    ttl_s: float = Field(default=3600.0, gt=0)


class HedgeConfig(Frozen):
    """Opt-in: a second target is asked when the first is slower than it usually is."""

    quantile: float = Field(default=0.95, gt=0, lt=1, description="Of the first target's time to first token.")
    max_share: float = Field(default=0.05, gt=0, le=1, description="Of all calls; a token bucket.")
    burst: float = Field(default=5.0, ge=1)


class SemanticCacheConfig(Frozen):
    """For `cache: semantic`."""

    threshold: float = Field(default=0.95, gt=0, le=1, description="Least cosine similarity of the prompts.")
    max_messages: int = Field(default=3, ge=1, description="Longer conversations are not looked up.")
    max_entries: int = Field(default=1000, ge=1, le=100_000, description="Per organisation and alias.")


class AliasConfig(Frozen):
    """A public name: candidates, constraints and the policy that chooses."""

    policy: Policy = "priority"
    candidates: tuple[str, ...] = Field(min_length=1, description="`provider/model` or another alias.")
    fallback: tuple[str, ...] = Field(default=(), description="Tried in this order when no candidate answers.")
    capabilities: frozenset[Capability] = frozenset()
    context_window: int | None = Field(default=None, gt=0, description="Smallest window that will do.")
    regions: frozenset[str] = frozenset()
    max_input_usd_per_mtok: float | None = Field(default=None, ge=0)
    max_output_usd_per_mtok: float | None = Field(default=None, ge=0)
    max_latency_ms: float | None = Field(default=None, gt=0)
    quality_floor: float | None = Field(default=None, ge=0, le=1)
    weights: dict[str, float] = Field(default_factory=dict[str, float], description="For `weighted`: by candidate.")
    cache: CacheMode = "off"
    cache_ttl_s: float | None = Field(default=None, gt=0)
    max_tokens: int | None = Field(default=None, gt=0, description="Output limit when the request has none.")
    deadline_s: float | None = Field(default=None, gt=0)
    on_content_filter: Literal["stop", "fallback"] = "stop"
    epsilon: float | None = Field(default=None, ge=0, lt=1, description="For `balanced`: quality that may be given up.")
    score_weights: ScoreWeights | None = Field(
        default=None, description="For `balanced`: None lets price alone decide."
    )
    exploration: float = Field(
        default=0.0, ge=0, le=0.2, description="For `best`: share of calls that try another model; 0.02-0.05 is usual."
    )
    learned_weights: bool = Field(
        default=False, description="Weights follow measured success and speed; `weights` is where they start."
    )
    tags: frozenset[str] = Field(default=frozenset(), description="A candidate must have all of these.")
    may_drop: frozenset[str] = Field(
        default=frozenset(), description="Request features (`seed`, `logprobs`) that may go unheeded."
    )
    ramp: RampConfig | None = None
    geo: GeoConfig | None = None
    intents: dict[str, IntentConfig] = Field(default_factory=dict[str, IntentConfig])
    cascade: CascadeConfig | None = None
    experiment: ExperimentConfig | None = None
    affinity: AffinityConfig | None = None
    hedge: HedgeConfig | None = None
    semantic_cache: SemanticCacheConfig = Field(default_factory=SemanticCacheConfig)
    rescue: Literal["continue", "off"] | None = Field(default=None, description="None: as `streams.rescue` says.")


class RetryConfig(Frozen):
    """How long one deployment is tried before failover moves on."""

    max_per_target: int = Field(default=2, ge=1, le=5, description="Tries at one deployment, the first included.")
    deadline_s: float = Field(default=60.0, gt=0, description="Wall time for all tries together.")
    base_s: float = Field(default=0.5, gt=0, description="First back-off ceiling; doubles with every try.")
    cap_s: float = Field(default=8.0, gt=0, description="Largest back-off ceiling.")
    budget_share: float = Field(default=0.2, ge=0, le=1, description="Retries allowed per call, on average.")
    budget_burst: float = Field(default=10.0, ge=0, description="Retries that may be saved up.")
    refused_key_s: float = Field(default=300.0, ge=0, description="For so long a key that was refused is not used.")


class StreamConfig(Frozen):
    """Limits of streamed answers."""

    ttft_s: float = Field(default=10.0, gt=0, description="First content must have come by then.")
    idle_s: float = Field(default=20.0, gt=0, description="Longest silence inside an answer.")
    rescue: Literal["continue", "off"] = Field(
        default="continue", description="After the first content: may another target take a cut answer up?"
    )


class BreakerConfig(Frozen):
    """When a deployment is taken out, and how it comes back."""

    window_s: float = Field(default=60.0, gt=0)
    buckets: int = Field(default=10, ge=1, le=100)
    consecutive: int = Field(default=5, ge=1, description="Transient failures in a row that open it.")
    min_requests: int = Field(default=20, ge=1, description="Below this many the failure share does not count.")
    failure_share: float = Field(default=0.5, gt=0, le=1)
    open_s: float = Field(default=5.0, gt=0, description="First pause; doubles with every failed probe.")
    open_max_s: float = Field(default=120.0, gt=0)
    close_after: int = Field(default=2, ge=1, description="Successful probes that close it.")
    ramp: tuple[float, ...] = Field(default=(0.1, 0.5, 1.0), min_length=1, description="Traffic shares after closing.")
    ramp_step_s: float = Field(default=10.0, gt=0)


class CacheConfig(Frozen):
    """The exact cache."""

    ttl_s: float = Field(default=3600.0, gt=0)
    deterministic_ttl_s: float = Field(default=86_400.0, gt=0, description="For temperature 0.")
    max_entries: int = Field(default=10_000, ge=1)
    wait_for_same_s: float = Field(
        default=30.0, ge=0, description="How long a call waits for the answer to the same request of another call."
    )
    stream_wait_for_same_s: float = Field(default=2.0, ge=0, description="The same for a streamed call.")


class HealthConfig(Frozen):
    """Probes of deployments that nobody calls."""

    probe_after_s: float = Field(default=300.0, gt=0, description="Without traffic for so long, a probe is due.")
    is_active: bool = Field(default=False, description="True: probe in the background.")


class DefaultsConfig(Frozen):
    """What is sent when a request does not say."""

    max_tokens: int = Field(default=1024, gt=0, description="Output limit of calls under a budget.")
    expected_output_tokens: int = Field(default=300, gt=0, description="For predictions of cost and latency.")
    epsilon: float = Field(default=0.1, ge=0, lt=1, description="`balanced`: quality that may be given up.")
    latency_target_ms: float = Field(
        default=10_000.0, gt=0, description="`balanced`: p95 wanted without max_latency_ms."
    )


ProviderSection = Annotated[ProviderConfig, BeforeValidator(_empty_when_none)]


class BridgeConfig(Frozen):
    """Everything the bridge can be told."""

    providers: dict[str, ProviderSection] = Field(default_factory=lambda: {"local": ProviderConfig()})
    models: dict[str, ModelConfig] = Field(default_factory=dict[str, ModelConfig])
    aliases: dict[str, AliasConfig] = Field(default_factory=dict[str, AliasConfig])
    retry: RetryConfig = Field(default_factory=RetryConfig)
    streams: StreamConfig = Field(default_factory=StreamConfig)
    breaker: BreakerConfig = Field(default_factory=BreakerConfig)
    cache: CacheConfig = Field(default_factory=CacheConfig)
    health: HealthConfig = Field(default_factory=HealthConfig)
    defaults: DefaultsConfig = Field(default_factory=DefaultsConfig)

    @classmethod
    def parse(cls, raw: Mapping[str, object]) -> "BridgeConfig":
        """The configuration in `raw` (the bridge's sections of modelbridge.yaml).

        Raises:
            ConfigurationError: Every problem at once, each with its path and, where one is near, the right name.
        """
        try:
            return cls.model_validate(dict(raw))
        except ValidationError as error:
            problems = problems_of(error, cls)
            text = "the configuration is invalid:\n" + "\n".join(f"  {problem}" for problem in problems)
            raise ConfigurationError(text, problems=problems) from error

    @classmethod
    def sections(cls) -> frozenset[str]:
        """The top-level keys of modelbridge.yaml that belong to the bridge."""
        return frozenset(cls.model_fields)
