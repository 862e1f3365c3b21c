"""The catalogue: name -> what is known about a model. Configuration first, then overrides.yaml, then genai-prices."""

from datetime import UTC, date, datetime
from decimal import Decimal

from genai_prices.types import ModelInfo, ModelPrice, Provider, TieredPrices

from bridge.catalog import genai_data
from bridge.catalog.deployments import is_mock
from bridge.catalog.entries import ModelEntry, PriceOverride
from bridge.catalog.known_providers import FREE_PROVIDERS, KNOWN_PROVIDERS, LOCAL
from bridge.catalog.overrides import Overrides, load_overrides
from bridge.config import BridgeConfig, ModelConfig
from bridge.config_problems import nearest
from bridge.errors import ConfigurationError, UnknownModelError

LOCAL_SLOTS = 2
ASSUMED_CHAT = frozenset({"chat", "stream", "tools", "json_object"})
"""What a chat model is taken to do when nobody says."""

Layers = tuple[tuple[str, ModelConfig], ...]
"""Where facts come from, the strongest first."""


class ModelCatalog:
    """All models a configuration can name. `today` decides which listed price is shown."""

    def __init__(self, config: BridgeConfig, *, today: date, overrides: Overrides | None = None) -> None:
        self._config = config
        self._overrides = overrides or load_overrides()
        self._at = datetime(today.year, today.month, today.day, tzinfo=UTC)
        self._found: dict[str, ModelEntry | None] = {}
        for name in config.models:
            if self.find(name) is None:
                raise ConfigurationError(
                    f"models.{name}: write it `provider/model`, with a provider that is configured"
                )

    def find(self, name: str) -> ModelEntry | None:
        """The model called `name` (`provider/model` or a nickname), None when nobody knows it."""
        canonical = self._overrides.nicknames.get(name, name)
        if canonical not in self._found:
            self._found[canonical] = self._build(canonical)
        return self._found[canonical]

    def get(self, name: str) -> ModelEntry:
        """The model called `name`. Raises UnknownModelError with the nearest name."""
        entry = self.find(name)
        if entry is None:
            raise UnknownModelError(name, suggestion=self.suggest(name))
        return entry

    def suggest(self, name: str) -> str | None:
        """The known name that was most likely meant."""
        return nearest(name, self.names())

    def names(self) -> tuple[str, ...]:
        """Every model of every configured provider, sorted."""
        names = set(self._config.models)
        for provider in self._config.providers:
            names.update(name for name in self._overrides.models if name.startswith(f"{provider}/"))
            names.update(f"{provider}/{model}" for model in genai_data.chat_model_ids(self._prices_of(provider) or ""))
        return tuple(sorted(name for name in names if self.find(name) is not None))

    def alias_defaults(self) -> tuple[ModelEntry, ...]:
        """The chat models that built-in aliases choose from, of configured providers, sorted by name."""
        named = sorted({*self._overrides.models, *self._config.models})
        entries = (self.find(name) for name in named if name.split("/", 1)[0] in self._config.providers)
        return tuple(entry for entry in entries if entry is not None and entry.is_alias_default)

    def _build(self, name: str) -> ModelEntry | None:
        provider, slash, model = name.partition("/")
        if not slash or not model or not provider:
            return None
        configured, row = self._config.models.get(name), self._overrides.models.get(name)
        model_id = _first(configured and configured.model_id, row and row.model_id) or model
        prices_of = self._prices_of(provider)
        listed = genai_data.find_model(prices_of, model_id) if prices_of else None
        if configured is None and row is None and listed is None and not self._is_open(provider):
            return None
        if provider not in self._config.providers and provider not in KNOWN_PROVIDERS:
            return None
        origins = (("configuration", configured), (f"overrides {self._overrides.checked.isoformat()}", row))
        layers = tuple((origin, layer) for origin, layer in origins if layer is not None)
        return self._entry(name, model_id, layers, listed)

    def _entry(
        self,
        name: str,
        model_id: str,
        layers: Layers,
        listed: tuple[Provider, ModelInfo] | None,
    ) -> ModelEntry:
        provider = name.split("/", 1)[0]
        merged = _merged(layers)
        price = _override_of(name, layers)
        is_free = provider in FREE_PROVIDERS or (listed is None and self._is_mock(provider))
        shown = _shown_prices(price, listed, self._at, is_free=is_free)
        return ModelEntry(
            name=name,
            provider=provider,
            model_id=model_id,
            capabilities=_capabilities(merged, model_id),
            context_window=self._local_window(provider)
            or merged.context_window
            or (listed[1].context_window if listed else None),
            max_output_tokens=merged.max_output_tokens,
            quality=merged.quality,
            regions=merged.regions or frozenset(),
            input_usd_per_mtok=shown[0],
            output_usd_per_mtok=shown[1],
            cache_read_usd_per_mtok=shown[2],
            deprecated_on=merged.deprecated_on,
            tags=merged.tags or frozenset(),
            is_alias_default=bool(merged.alias_default),
            price_override=price,
            prices_of=self._prices_of(provider),
            is_free=is_free,
        )

    def _is_mock(self, provider: str) -> bool:
        configured = self._config.providers.get(provider)
        return configured is not None and is_mock(provider, configured)

    def _local_window(self, provider: str) -> int | None:
        """The window of one slot of the local model, when the options say how large it is."""
        configured = self._config.providers.get(provider) if provider == LOCAL else None
        n_ctx = configured.options.get("n_ctx") if configured is not None else None
        slots = configured.options.get("slots", LOCAL_SLOTS) if configured is not None else LOCAL_SLOTS
        return n_ctx // max(slots, 1) if isinstance(n_ctx, int) and isinstance(slots, int) else None

    def _prices_of(self, provider: str) -> str | None:
        configured = self._config.providers.get(provider)
        if configured is not None and configured.prices_of is not None:
            return configured.prices_of
        known = KNOWN_PROVIDERS.get(provider)
        return known.prices_of if known else None

    def _is_open(self, provider: str) -> bool:
        """Does the provider serve models that no catalogue can list? Then any name is taken."""
        return provider in self._config.providers and provider != LOCAL and self._prices_of(provider) is None


def _merged(layers: Layers) -> ModelConfig:
    """The first layer that says something wins, field by field."""
    values = {
        name: next((value for _, layer in layers if (value := getattr(layer, name)) is not None), None)
        for name in ModelConfig.model_fields
    }
    return ModelConfig.model_validate(values)


def _capabilities(merged: ModelConfig, model_id: str) -> frozenset[str]:
    if merged.capabilities is not None:
        return frozenset(str(capability) for capability in merged.capabilities)
    if genai_data.is_chat(model_id):
        return ASSUMED_CHAT
    return frozenset({"embeddings"}) if "embed" in model_id.lower() else frozenset()


def _override_of(name: str, layers: Layers) -> PriceOverride | None:
    """The price of the first layer that has one."""
    for origin, layer in layers:
        if layer.input_usd_per_mtok is None and layer.output_usd_per_mtok is None:
            continue
        if layer.input_usd_per_mtok is None or layer.output_usd_per_mtok is None:
            raise ConfigurationError(f"models.{name}: give both input_usd_per_mtok and output_usd_per_mtok, or none")
        return PriceOverride(
            model=name,
            origin=origin,
            input_usd_per_mtok=_decimal(layer.input_usd_per_mtok),
            output_usd_per_mtok=_decimal(layer.output_usd_per_mtok),
            cache_read_usd_per_mtok=_decimal_or_none(layer.cache_read_usd_per_mtok),
            cache_write_usd_per_mtok=_decimal_or_none(layer.cache_write_usd_per_mtok),
        )
    return None


def _shown_prices(
    price: PriceOverride | None, listed: tuple[Provider, ModelInfo] | None, at: datetime, *, is_free: bool
) -> tuple[float | None, float | None, float | None]:
    if is_free and price is None:
        return 0.0, 0.0, 0.0
    if price is not None:
        read = price.cache_read_usd_per_mtok
        return float(price.input_usd_per_mtok), float(price.output_usd_per_mtok), None if read is None else float(read)
    if listed is None:
        return None, None, None
    prices = genai_data.row_at(*listed, at).prices
    return _base(prices, "input_mtok"), _base(prices, "output_mtok"), _base(prices, "cache_read_mtok")


def _base(prices: ModelPrice, key: str) -> float | None:
    value: Decimal | TieredPrices | None = getattr(prices, key)
    if value is None:
        return None
    return float(value.base if isinstance(value, TieredPrices) else value)


def _decimal(value: float) -> Decimal:
    """The decimal a person wrote: 0.1 is a tenth, not its nearest binary fraction."""
    return Decimal(repr(value))


def _decimal_or_none(value: float | None) -> Decimal | None:
    return None if value is None else _decimal(value)


def _first(*values: str | None) -> str | None:
    return next((value for value in values if value), None)
