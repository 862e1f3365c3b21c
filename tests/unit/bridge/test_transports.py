from datetime import UTC, datetime

import pytest

from bridge.clock import FrozenClock
from bridge.config import BridgeConfig
from bridge.errors import ConfigurationError
from bridge.providers.mock import MockTransport
from bridge.transports import default_transports

CLOCK = FrozenClock(datetime(2026, 11, 24, tzinfo=UTC))


def names(**providers: object) -> set[str]:
    return set(default_transports(BridgeConfig.parse({"providers": providers}), CLOCK))


def test_in_process_transports_exist_only_for_who_is_configured() -> None:
    assert names(openai={"api_key": "k"}) == {"http"}
    assert names(local={}, mock={}) == {"http", "local", "mock"}


def test_a_mock_with_an_address_is_reached_over_http() -> None:
    assert names(mock={"base_url": "http://127.0.0.1:1/v1"}) == {"http"}


def test_the_mock_gets_its_options() -> None:
    transports = default_transports(BridgeConfig.parse({"providers": {"mock": {}}}), CLOCK)

    assert isinstance(transports["mock"], MockTransport)
    with pytest.raises(ConfigurationError):
        names(mock={"options": {"replis": []}})
