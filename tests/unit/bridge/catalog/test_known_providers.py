from genai_prices.data_snapshot import get_snapshot

from bridge.catalog.known_providers import KNOWN_PROVIDERS, default_providers


def test_every_vendor_whose_prices_are_listed_is_found_there() -> None:
    listed = {provider.id for provider in get_snapshot().providers}

    assert {known.prices_of for known in KNOWN_PROVIDERS.values() if known.prices_of} <= listed


def test_the_default_section_asks_for_every_key_and_has_the_local_model_but_no_mock() -> None:
    section = default_providers()

    assert section["openai"] == {"api_key": "${env:OPENAI_API_KEY}"}
    assert section["local"] == {}
    assert "mock" not in section
