import pytest

from bridge.providers.compatible_vendors import GENERIC, VENDORS, vendor_of
from tests.support.wire import deployment


def test_names_are_unique() -> None:
    names = [vendor.name for vendor in VENDORS]

    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("provider", "base_url", "vendor"),
    [
        ("groq", "https://api.groq.com/openai/v1", "groq"),
        ("groq", "http://127.0.0.1:9000/openai/v1", "groq"),
        ("fast", "https://api.groq.com/openai/v1", "groq"),
        ("corp", "https://corp.openai.azure.com/openai/v1", "azure"),
        ("corp", "https://evil-openai.azure.com.test/v1", "generic"),
        ("acme", "https://acme.test/v1", "generic"),
    ],
)
def test_a_vendor_is_known_by_host_and_else_by_name(provider: str, base_url: str, vendor: str) -> None:
    assert vendor_of(deployment(provider, base_url=base_url)).name == vendor


def test_the_ollama_dialect_has_its_quirks_under_any_name() -> None:
    assert vendor_of(deployment("box", dialect="ollama")).name == "ollama"


def test_an_unknown_vendor_speaks_the_plain_dialect() -> None:
    assert vendor_of(deployment("acme")) is GENERIC
