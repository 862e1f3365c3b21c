from types import MappingProxyType

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey

from bridge.errors import (
    AttemptTimeoutError,
    ConfigurationError,
    MalformedReplyError,
    NotReachedError,
    ProviderError,
    UnavailableError,
)
from bridge.transport import Timeouts, encode_json, fault_of, url_of
from tests.support.wire import deployment

PLACE = ConnectionKey("api.acme.test", 443, True, True, None, None, None)  # the library's own order


@pytest.mark.parametrize(
    ("base_url", "url"),
    [
        ("https://a.test/v1", "https://a.test/v1/chat/completions"),
        ("https://a.test/v1/", "https://a.test/v1/chat/completions"),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000/chat/completions"),
        (
            "https://a.test/openai/deployments/gpt?api-version=2024-10-21",
            "https://a.test/openai/deployments/gpt/chat/completions?api-version=2024-10-21",
        ),
    ],
)
def test_the_path_goes_between_base_url_and_query(base_url: str, url: str) -> None:
    assert str(url_of(deployment(base_url=base_url), "/chat/completions")) == url


@pytest.mark.parametrize("base_url", ["", "acme", "ftp://a.test", "http://", "http://[broken"])
def test_a_base_url_that_is_none_is_the_operators_to_change(base_url: str) -> None:
    with pytest.raises(ConfigurationError, match="base_url of provider 'acme'"):
        url_of(deployment(base_url=base_url), "/x")


def test_any_mapping_is_written_as_an_object() -> None:
    assert encode_json({"a": MappingProxyType({"b": (1, None)})}) == b'{"a":{"b":[1,null]}}'


def test_what_json_cannot_hold_is_refused() -> None:
    with pytest.raises(TypeError):
        encode_json({"a": object()})  # pyright: ignore[reportArgumentType]  # the point of the test


@pytest.mark.parametrize(
    ("cause", "kind", "said"),
    [
        (aiohttp.ConnectionTimeoutError(), NotReachedError, "no connection within 5 s"),
        (aiohttp.SocketTimeoutError(), AttemptTimeoutError, "no answer in time"),
        (TimeoutError(), AttemptTimeoutError, "no answer in time"),
        (aiohttp.ClientConnectorDNSError(PLACE, OSError()), NotReachedError, "the host api.acme.test is unknown"),
        (
            aiohttp.ClientConnectorError(PLACE, OSError(111, "Connection refused")),
            NotReachedError,
            "Connection refused at api.acme.test",
        ),
        (aiohttp.ClientConnectorSSLError(PLACE, OSError()), NotReachedError, "no TLS with api.acme.test"),
        (aiohttp.ServerDisconnectedError(), UnavailableError, "the connection was lost"),
        (ConnectionResetError(), UnavailableError, "the connection was lost"),
        (aiohttp.ClientPayloadError(), UnavailableError, "the reply was cut"),
        (ValueError("secret header"), MalformedReplyError, "not a valid HTTP reply"),
    ],
)
def test_what_goes_wrong_below_http_has_a_word(cause: Exception, kind: type[ProviderError], said: str) -> None:
    error = fault_of(cause, deployment(), Timeouts())

    assert type(error) is kind
    assert str(error) == f"acme/m: {said}"
