from datetime import date

import pytest

from bridge.catalog.models import ModelCatalog
from bridge.config import BridgeConfig
from bridge.errors import ConfigurationError, UnknownModelError

TODAY = date(2026, 11, 24)


def catalog(**sections: object) -> ModelCatalog:
    return ModelCatalog(BridgeConfig.parse(sections), today=TODAY)


def test_a_model_of_genai_prices_is_known_without_an_override() -> None:
    nano = catalog().get("openai/gpt-4.1-nano")

    assert (nano.input_usd_per_mtok, nano.output_usd_per_mtok, nano.context_window) == (0.1, 0.4, 1_000_000)
    assert not nano.is_alias_default
    assert "chat" in nano.capabilities


def test_a_nickname_stands_for_the_current_model_of_its_family() -> None:
    assert catalog().get("anthropic/claude-haiku").name == "anthropic/claude-haiku-5-5"


def test_an_unknown_model_names_the_nearest_one() -> None:
    models = catalog(providers={"openai": {"api_key": "sk"}})

    with pytest.raises(UnknownModelError, match="did you mean 'openai/gpt-4o-mini'"):
        models.get("openai/gpt-4o-mni")


def test_configuration_wins_over_what_is_listed_field_by_field() -> None:
    mini = catalog(providers={"openai": {"api_key": "sk"}}, models={"openai/gpt-4o-mini": {"quality": 0.9}}).get(
        "openai/gpt-4o-mini"
    )

    assert mini.quality == 0.9
    assert mini.input_usd_per_mtok == 0.15
    assert mini.context_window == 128_000


def test_half_a_price_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="both"):
        catalog(providers={"openai": {}}, models={"openai/gpt-4o-mini": {"input_usd_per_mtok": 1}})


def test_a_model_of_a_provider_nobody_knows_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"models\.nowhere/x"):
        catalog(models={"nowhere/x": {}})


def test_a_provider_that_no_catalogue_lists_serves_any_name() -> None:
    llama = catalog(providers={"acme": {"dialect": "openai", "base_url": "http://h/v1"}}).get("acme/llama")

    assert llama.input_usd_per_mtok is None
    assert llama.prices_of is None


def test_a_provider_may_borrow_the_models_and_prices_of_another() -> None:
    models = catalog(providers={"gateway": {"dialect": "openai", "base_url": "http://h/v1", "prices_of": "openai"}})

    assert models.get("gateway/gpt-4o-mini").input_usd_per_mtok == 0.15
    assert models.find("gateway/no-such-model") is None


def test_the_local_provider_serves_only_the_model_in_the_box() -> None:
    assert catalog().find("local/other") is None
    assert catalog().get("local/smollm2").input_usd_per_mtok == 0


def test_built_in_aliases_choose_from_configured_providers_and_never_from_the_mock() -> None:
    models = catalog(providers={"local": {}, "mock": {}, "openai": {"api_key": "sk"}})
    names = [entry.name for entry in models.alias_defaults()]

    assert "local/smollm2" in names
    assert "openai/gpt-6-luna" in names
    assert not any(name.startswith(("mock/", "anthropic/")) for name in names)


def test_every_override_names_a_model_that_exists_and_every_alias_default_has_price_window_and_quality() -> None:
    models = ModelCatalog(
        BridgeConfig.parse(
            {
                "providers": {
                    name: {"api_key": "k"}
                    for name in (
                        "openai",
                        "anthropic",
                        "google",
                        "mistral",
                        "deepseek",
                        "groq",
                        "together",
                        "cohere",
                        "perplexity",
                        "local",
                    )
                }
            }
        ),
        today=TODAY,
    )
    entries = models.alias_defaults()

    assert len(entries) > 15
    for entry in entries:
        assert entry.input_usd_per_mtok is not None, entry.name
        assert entry.context_window is not None, entry.name
        assert entry.quality is not None, entry.name
        assert {"chat", "stream"} <= entry.capabilities, entry.name
    for name in models.names():
        assert models.get(name).name
