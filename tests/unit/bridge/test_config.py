import pytest

from bridge.config import AliasConfig, BridgeConfig
from bridge.errors import ConfigurationError


def test_the_example_of_the_product_page_parses() -> None:
    config = BridgeConfig.parse(
        {
            "providers": {
                "openai": {"api_key": "sk-1"},
                "anthropic": {"api_key": "sk-2", "region": "us", "weight": 2},
                "acme": {"dialect": "openai", "base_url": "http://10.0.0.5:8000/v1", "api_key": "k"},
                "local": None,
            },
            "models": {
                "acme/llama-70b": {
                    "input_usd_per_mtok": 0.6,
                    "output_usd_per_mtok": 0.9,
                    "context_window": 131072,
                    "max_output_tokens": 8192,
                    "capabilities": ["chat", "stream", "tools", "json_schema"],
                    "quality": 0.7,
                    "regions": ["eu"],
                }
            },
            "aliases": {
                "support": {
                    "policy": "balanced",
                    "candidates": ["openai/gpt-4o-mini", "acme/llama-70b"],
                    "max_latency_ms": 4000,
                    "regions": ["eu"],
                    "fallback": ["local/smollm2"],
                    "cache": "exact",
                }
            },
            "retry": {"max_per_target": 2, "deadline_s": 60},
            "streams": {"ttft_s": 10, "idle_s": 20},
            "breaker": {"window_s": 60, "consecutive": 5},
        }
    )

    assert config.providers["anthropic"].weight == 2
    assert config.aliases["support"].fallback == ("local/smollm2",)
    assert config.models["acme/llama-70b"].regions == frozenset({"eu"})
    assert config.providers["local"].api_key is None


def test_every_problem_is_reported_at_once_with_its_path_and_the_name_that_was_meant() -> None:
    with pytest.raises(ConfigurationError) as caught:
        BridgeConfig.parse(
            {
                "providrs": {},
                "providers": {"openai": {"api_kye": "x", "sites": {"eu": {"regon": "eu"}}}},
                "aliases": {"fast": {"policy": "balancd"}},
                "retry": {"max_per_target": 9},
            }
        )

    assert set(caught.value.problems) == {
        "providrs: unknown key; did you mean 'providers'?",
        "providers.openai.api_kye: unknown key; did you mean 'api_key'?",
        "providers.openai.sites.eu.regon: unknown key; did you mean 'region'?",
        "aliases.fast.policy: 'balancd' is not one of fastest, cheapest, best, balanced, priority, weighted,"
        " round_robin, least_busy, latency, geo, semantic, cascade, experiment; did you mean 'balanced'?",
        "aliases.fast.candidates: field required",
        "retry.max_per_target: input should be less than or equal to 5",
    }


def test_a_key_is_never_part_of_what_a_configuration_prints() -> None:
    config = BridgeConfig.parse({"providers": {"openai": {"api_key": "sk-secret"}}})

    assert "sk-secret" not in repr(config)
    assert "sk-secret" not in config.model_dump_json()


def test_a_reference_that_was_not_filled_in_names_its_variable() -> None:
    config = BridgeConfig.parse({"providers": {"openai": {"api_key": "${env:OPENAI_API_KEY}"}}})

    assert config.providers["openai"].missing_key_variable == "OPENAI_API_KEY"


def test_without_any_provider_the_local_model_is_configured() -> None:
    assert list(BridgeConfig.parse({}).providers) == ["local"]


def test_an_alias_needs_a_candidate() -> None:
    with pytest.raises(ConfigurationError, match=r"aliases\.empty\.candidates"):
        BridgeConfig.parse({"aliases": {"empty": {"candidates": []}}})


def test_a_configuration_cannot_be_changed() -> None:
    alias = AliasConfig(candidates=("local/smollm2",))

    with pytest.raises(ValueError, match="frozen"):
        alias.policy = "best"  # pyright: ignore[reportAttributeAccessIssue]  # the point of the test
