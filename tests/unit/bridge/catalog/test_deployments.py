import pytest

from bridge.catalog.deployments import deployments_of, provider_problem, resolved_dialect
from bridge.catalog.entries import ModelEntry
from bridge.config import BridgeConfig, ProviderConfig
from bridge.errors import ConfigurationError


def provider(**options: object) -> ProviderConfig:
    return ProviderConfig.model_validate(options)


MINI = ModelEntry(name="openai/gpt-4o-mini", provider="openai", model_id="gpt-4o-mini")


def test_a_known_provider_needs_only_its_key() -> None:
    (deployment,) = deployments_of(MINI, provider(api_key="sk"))

    assert deployment.base_url == "https://api.openai.com/v1"
    assert deployment.dialect == "openai"
    assert deployment.name == deployment.model == "openai/gpt-4o-mini"


def test_the_key_does_not_show_in_repr() -> None:
    (deployment,) = deployments_of(MINI, provider(api_key="sk-secret", headers={"x-org": "secret-header"}))

    assert "secret" not in repr(deployment)


def test_every_site_makes_a_deployment_of_its_own_with_the_provider_key_unless_it_has_one() -> None:
    config = provider(
        api_key="sk",
        region="us",
        sites={
            "eu": {"base_url": "https://eu.api.openai.com/v1", "region": "eu", "weight": 3},
            "spare": {"api_key": "sk-2"},
        },
    )

    names = {d.name: (d.api_key, d.region, d.weight) for d in deployments_of(MINI, config)}

    assert names == {
        "openai/gpt-4o-mini": ("sk", "us", 1.0),
        "openai/gpt-4o-mini@eu": ("sk", "eu", 3.0),
        "openai/gpt-4o-mini@spare": ("sk-2", "us", 1.0),
    }


def test_a_site_whose_key_is_missing_is_left_out() -> None:
    config = provider(api_key="sk", sites={"eu": {"api_key": "${env:EU_KEY}"}})

    assert [d.name for d in deployments_of(MINI, config)] == ["openai/gpt-4o-mini"]


@pytest.mark.parametrize(
    ("name", "options", "problem"),
    [
        ("openai", {}, "OPENAI_API_KEY is not set"),
        ("openai", {"api_key": "${env:WORK_KEY}"}, "WORK_KEY is not set"),
        ("openai", {"api_key": ""}, "its api_key is empty"),
        ("openai", {"api_key": "sk", "enabled": False}, "switched off in the configuration"),
        ("openai", {"base_url": "http://127.0.0.1:1/v1"}, None),
        ("local", {}, None),
        ("acme", {"dialect": "openai", "base_url": "http://10.0.0.5/v1"}, None),
    ],
)
def test_a_provider_says_why_it_is_off(name: str, options: dict[str, object], problem: str | None) -> None:
    assert provider_problem(name, provider(**options)) == problem


def test_an_unknown_provider_without_dialect_is_told_what_to_add() -> None:
    config = BridgeConfig.parse({"providers": {"acme": {"base_url": "http://10.0.0.5/v1"}}}).providers["acme"]

    with pytest.raises(ConfigurationError, match=r"providers\.acme.*dialect"):
        resolved_dialect("acme", config)
