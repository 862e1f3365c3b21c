"""A deployment: provider + model + region + credential. What an attempt is made at."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from bridge.catalog.entries import ModelEntry
from bridge.catalog.known_providers import KNOWN_PROVIDERS, MOCK, MOCK_SCHEME
from bridge.config import BridgeConfig, CredentialConfig, ProviderConfig
from bridge.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Deployment:
    """One place where one model can be called. The credential never shows in `repr`."""

    name: str
    """`openai/gpt-4o-mini`, or `openai/gpt-4o-mini@eu` for a further site."""
    provider: str
    model_id: str
    """What the provider calls the model."""
    dialect: str
    base_url: str
    entry: ModelEntry
    api_key: str | None = field(default=None, repr=False)
    region: str | None = None
    weight: float = 1.0
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    timeout_s: float = 60.0
    spare_keys: tuple[str, ...] = field(default=(), repr=False)
    """Used in turn when `api_key` is refused or spent."""
    ttft_s: float | None = None
    """Streams: its own limit for the first content."""
    ttft_s_per_ktok: float = 0.0
    """Added to that limit for every 1,000 tokens of the prompt."""
    in_flight_limit: int | None = None

    @property
    def model(self) -> str:
        """The catalogue name, `provider/model`."""
        return self.entry.name


class CredentialSource(Protocol):
    """Where a tenant's own provider keys come from. None: the operator's key is used."""

    def api_key(self, org_id: str, provider: str) -> str | None: ...


class Deployments:
    """All deployments a configuration makes possible, and why others are not.

    Raises:
        ConfigurationError: A provider that is not known by name lacks `dialect` or `base_url`.
    """

    def __init__(self, config: BridgeConfig) -> None:
        self._providers = config.providers
        self._made: dict[str, tuple[Deployment, ...]] = {}
        for name, provider in config.providers.items():
            resolved_dialect(name, provider)
            _base_url(name, provider, provider)

    def of(self, entry: ModelEntry) -> tuple[Deployment, ...]:
        """The places where the model can be called now; empty when its provider is off."""
        if entry.name not in self._made:
            config = self._providers.get(entry.provider)
            usable = config is not None and config.enabled
            self._made[entry.name] = deployments_of(entry, config) if config is not None and usable else ()
        return self._made[entry.name]

    def off_reason(self, provider: str) -> str:
        """Why `of` is empty for the provider's models, in plain words."""
        config = self._providers.get(provider)
        if config is not None:
            return provider_problem(provider, config) or "it has no usable site"
        known = KNOWN_PROVIDERS.get(provider)
        hint = f"; set {known.key_variable}" if known is not None and known.key_variable else ""
        return f"not configured under `providers`{hint}"

    def unavailable(self) -> dict[str, str]:
        """Provider -> why it is off, of the configured ones."""
        problems = ((name, provider_problem(name, config)) for name, config in self._providers.items())
        return {name: problem for name, problem in problems if problem is not None}


def provider_problem(name: str, config: ProviderConfig) -> str | None:
    """Why `name` cannot be used at all, in plain words; None when it can."""
    if not config.enabled:
        return "switched off in the configuration"
    return _credential_problem(name, config, config)


def is_mock(name: str, config: ProviderConfig) -> bool:
    """Is the provider played by the mock? `mock` is, and any whose base URL begins with `mock://`."""
    return config.base_url.startswith(MOCK_SCHEME) if config.base_url is not None else name == MOCK


def resolved_dialect(name: str, config: ProviderConfig) -> str:
    """The wire format of a provider: as configured, else as known by its name.

    Raises:
        ConfigurationError: The name is not known and the configuration does not say.
    """
    known = KNOWN_PROVIDERS.get(name)
    if config.dialect is not None:
        return config.dialect
    if known is None:
        raise ConfigurationError(
            f"providers.{name}: not known by name; give it `dialect` (openai, anthropic, gemini, cohere or ollama)"
            " and `base_url`"
        )
    return known.dialect


def deployments_of(entry: ModelEntry, config: ProviderConfig) -> tuple[Deployment, ...]:
    """All deployments of a model at its provider: the provider's own place first, then its sites with a usable key."""
    places: list[tuple[str, CredentialConfig]] = [(entry.name, config)]
    places += [(f"{entry.name}@{site}", credential) for site, credential in sorted(config.sites.items())]
    return tuple(
        _deployment(name, entry, config, credential)
        for name, credential in places
        if _credential_problem(entry.provider, config, credential) is None
    )


def _deployment(name: str, entry: ModelEntry, config: ProviderConfig, credential: CredentialConfig) -> Deployment:
    return Deployment(
        name=name,
        provider=entry.provider,
        model_id=entry.model_id,
        dialect=resolved_dialect(entry.provider, config),
        base_url=_base_url(entry.provider, config, credential),
        entry=entry,
        api_key=credential.key_text or config.key_text,
        region=credential.region or config.region,
        weight=credential.weight,
        headers=config.headers,
        timeout_s=config.timeout_s,
        spare_keys=(credential if credential.api_key is not None else config).spare_key_texts,
        ttft_s=config.ttft_s,
        ttft_s_per_ktok=_ttft_s_per_ktok(entry.provider, config),
        in_flight_limit=config.limits.in_flight,
    )


def _ttft_s_per_ktok(provider: str, config: ProviderConfig) -> float:
    known = KNOWN_PROVIDERS.get(provider)
    if config.ttft_s_per_ktok is not None:
        return config.ttft_s_per_ktok
    return known.ttft_s_per_ktok if known is not None else 0.0


def _base_url(provider: str, config: ProviderConfig, credential: CredentialConfig) -> str:
    known = KNOWN_PROVIDERS.get(provider)
    base_url = credential.base_url or config.base_url or (known.base_url if known else None)
    if base_url is None:
        raise ConfigurationError(f"providers.{provider}: give it `base_url`")
    return base_url.rstrip("/")


def _credential_problem(provider: str, config: ProviderConfig, credential: CredentialConfig) -> str | None:
    effective = credential if credential.api_key is not None else config
    variable = effective.missing_key_variable
    if variable is not None:
        return f"{variable} is not set"
    known = KNOWN_PROVIDERS.get(provider)
    if effective.key_text == "":
        return "its api_key is empty"
    needs_key = known is not None and known.key_variable is not None and credential.base_url is None
    if needs_key and known is not None and effective.api_key is None:
        return f"{known.key_variable} is not set"
    return None
