import pytest

from bridge.providers.compatible_vendors import Quirks
from bridge.providers.openai_endpoint import headers_for, path_for
from tests.support.wire import deployment


@pytest.mark.parametrize(
    ("dialect", "base_url", "path"),
    [
        ("openai", "https://a.test/v1", "/chat/completions"),
        ("openai", "https://a.test", "/chat/completions"),
        ("ollama", "http://127.0.0.1:11434", "/v1/chat/completions"),
        ("ollama", "http://127.0.0.1:11434/v1", "/chat/completions"),
    ],
)
def test_only_ollamas_own_address_lacks_the_version(dialect: str, base_url: str, path: str) -> None:
    assert path_for(deployment(dialect=dialect, base_url=base_url), "/chat/completions") == path


def test_azure_takes_the_key_in_a_header_of_its_own() -> None:
    assert headers_for(deployment(), Quirks(auth_header="api-key")) == {"api-key": "secret-key-1234"}


def test_configured_headers_go_along_and_no_key_means_no_credential() -> None:
    assert headers_for(deployment(api_key=None, headers={"x-team": "a"}), Quirks()) == {"x-team": "a"}
