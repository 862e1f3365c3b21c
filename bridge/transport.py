"""Bytes to a provider and back: the transport seam, and its HTTP implementation.

The only importer of an HTTP client in the bridge. Whatever implements `Transport` can stand in for the network: the
mock and the local model do, and so do recordings. A call whose task is cancelled is dropped at once, also before
the response head, so that nobody pays for an answer that nobody waits for.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal, Protocol

import aiohttp
import msgspec
from yarl import URL

from bridge.errors import (
    AttemptTimeoutError,
    ConfigurationError,
    MalformedReplyError,
    NotReachedError,
    ProviderError,
    RejectedError,
    UnavailableError,
)
from bridge.json_types import JsonObject

MAX_REPLY_BYTES = 32 * 1024 * 1024
MAX_CONNECTIONS = 2000
KEEPALIVE_S = 30.0
DNS_TTL_S = 60


@dataclass(frozen=True, slots=True)
class WireRequest:
    """One request in a provider's dialect. `path` is relative to the deployment's base URL."""

    path: str
    body: JsonObject
    """Not sent by a GET."""
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    """Credentials and the dialect's own headers."""
    method: Literal["POST", "GET"] = "POST"
    query: Mapping[str, str] = field(default_factory=dict[str, str])
    """Added to the query of the base URL."""


@dataclass(frozen=True, slots=True)
class WireReply:
    """A whole reply. Header names are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Limits of one attempt in seconds."""

    connect_s: float = 5.0
    first_byte_s: float | None = None
    """Streams only: the response head must have come by then."""
    idle_s: float | None = None
    """Streams only: longest silence on the wire."""
    total_s: float = 60.0


class Endpoint(Protocol):
    """Where a request goes. A Deployment is one."""

    @property
    def name(self) -> str: ...
    @property
    def provider(self) -> str: ...
    @property
    def base_url(self) -> str: ...


class WireStream(Protocol):
    """A reply whose body is still coming."""

    @property
    def status(self) -> int: ...
    @property
    def headers(self) -> Mapping[str, str]: ...
    def __aiter__(self) -> AsyncIterator[bytes]:
        """The body in pieces, as they arrive."""
        ...

    async def read(self) -> bytes:
        """The whole rest of the body, bounded."""
        ...


class Transport(Protocol):
    """Carries requests to deployments. Every failure below HTTP is a ProviderError."""

    async def send(self, request: WireRequest, target: Endpoint, *, limits: Timeouts) -> WireReply:
        """The whole reply, whatever its status."""
        ...

    def open_stream(
        self, request: WireRequest, target: Endpoint, *, limits: Timeouts
    ) -> AbstractAsyncContextManager[WireStream]:
        """The reply as soon as its head is there. Leaving the context drops what is still coming."""
        ...

    async def aclose(self) -> None: ...


class HttpTransport:
    """HTTP/1.1 over pooled connections. No cookies, no redirects, no proxies from the environment."""

    def __init__(self, *, max_reply_bytes: int = MAX_REPLY_BYTES) -> None:
        self._max_reply_bytes = max_reply_bytes
        self._session: aiohttp.ClientSession | None = None

    async def send(self, request: WireRequest, target: Endpoint, *, limits: Timeouts) -> WireReply:
        timeout = _timeout_of(limits.total_s, limits.connect_s, None)
        try:
            async with await self._post(request, target, timeout, "gzip, deflate") as response:
                body = await _read_bounded(response, self._max_reply_bytes, target)
                return WireReply(response.status, _lower(response.headers), body)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise fault_of(error, target, limits) from error

    @asynccontextmanager
    async def open_stream(
        self, request: WireRequest, target: Endpoint, *, limits: Timeouts
    ) -> AsyncGenerator[WireStream, None]:
        waits = [limit for limit in (limits.first_byte_s, limits.idle_s) if limit is not None]
        timeout = _timeout_of(limits.total_s, limits.connect_s, max(waits) if waits else None)
        try:
            response = await self._post(request, target, timeout, "identity")
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise fault_of(error, target, limits) from error
        try:
            yield _HttpStream(response, target, limits, self._max_reply_bytes)
        finally:
            response.close()

    async def aclose(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _post(
        self, request: WireRequest, target: Endpoint, wait: aiohttp.ClientTimeout, encoding: str
    ) -> aiohttp.ClientResponse:
        headers = {"content-type": "application/json", "accept-encoding": encoding, **request.headers}
        return await self._opened().request(
            request.method,
            url_of(target, request.path, request.query),
            data=_encoded(request.body, target) if request.method == "POST" else None,
            headers=headers,
            timeout=wait,
            allow_redirects=False,
        )

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(
                limit=MAX_CONNECTIONS, keepalive_timeout=KEEPALIVE_S, ttl_dns_cache=DNS_TTL_S
            )
            self._session = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"user-agent": "modelbridge"},
                trust_env=False,
            )
        return self._session


class _HttpStream:
    """The body of an open response, in the pieces the network delivers."""

    def __init__(
        self, response: aiohttp.ClientResponse, target: Endpoint, limits: Timeouts, max_reply_bytes: int
    ) -> None:
        self._response = response
        self._target = target
        self._limits = limits
        self._max_reply_bytes = max_reply_bytes

    @property
    def status(self) -> int:
        return self._response.status

    @property
    def headers(self) -> Mapping[str, str]:
        return _lower(self._response.headers)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for piece in self._response.content.iter_any():
                yield piece
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise fault_of(error, self._target, self._limits) from error

    async def read(self) -> bytes:
        try:
            return await _read_bounded(self._response, self._max_reply_bytes, self._target)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise fault_of(error, self._target, self._limits) from error


def url_of(target: Endpoint, path: str, query: Mapping[str, str] | None = None) -> URL:
    """Base URL and path joined; a query of the base URL (`?api-version=...`) stays at the end, before `query`.

    Raises:
        ConfigurationError: The base URL is no http(s) URL.
    """
    try:
        base = URL(target.base_url)
    except ValueError as error:
        raise ConfigurationError(f"the base_url of provider {target.provider!r} is no URL") from error
    if base.scheme not in {"http", "https"} or not base.host:
        raise ConfigurationError(f"the base_url of provider {target.provider!r} must be an http(s) URL")
    joined = base.with_path(base.path.rstrip("/") + path).with_query(base.query)
    return joined.update_query(query) if query else joined


@lru_cache(maxsize=256)
def _timeout_of(total_s: float, connect_s: float, read_s: float | None) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=total_s, sock_connect=connect_s, sock_read=read_s)


def encode_json(body: JsonObject) -> bytes:
    """`body` as JSON text. Raises TypeError or ValueError for what JSON cannot hold."""
    return msgspec.json.encode(body, enc_hook=_plain)


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]  # any mapping will do
    raise TypeError(f"{type(value).__name__} is no JSON")


def _encoded(body: JsonObject, target: Endpoint) -> bytes:
    try:
        return encode_json(body)
    except (TypeError, ValueError, RecursionError) as error:
        raise RejectedError(f"the request cannot be written as JSON: {error}", deployment=target.name) from error


def _lower(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


async def _read_bounded(response: aiohttp.ClientResponse, limit: int, target: Endpoint) -> bytes:
    pieces: list[bytes] = []
    size = 0
    async for piece in response.content.iter_any():
        size += len(piece)
        if size > limit:
            response.close()
            raise MalformedReplyError(
                f"{target.name} sent more than {limit} bytes", deployment=target.name, status=response.status
            )
        pieces.append(piece)
    return b"".join(pieces)


def fault_of(error: Exception, target: Endpoint, limits: Timeouts) -> ProviderError:
    """The error tree's word for what went wrong below HTTP. Never quotes headers, bodies or URLs."""
    kind, text = next((kind, text) for cause, kind, text in FAULTS if isinstance(error, cause))
    details = {
        "connect_s": f"{limits.connect_s:g}",
        "host": getattr(error, "host", "its host"),
        "reason": getattr(getattr(error, "os_error", None), "strerror", None) or "connection failed",
    }
    return kind(f"{target.name}: {text.format(**details)}", deployment=target.name)


FAULTS: tuple[tuple[type[Exception], type[ProviderError], str], ...] = (
    (aiohttp.ConnectionTimeoutError, NotReachedError, "no connection within {connect_s} s"),
    (TimeoutError, AttemptTimeoutError, "no answer in time"),
    (aiohttp.ClientConnectorDNSError, NotReachedError, "the host {host} is unknown"),
    (aiohttp.ClientSSLError, NotReachedError, "no TLS with {host}"),
    (aiohttp.ClientConnectorError, NotReachedError, "{reason} at {host}"),
    (aiohttp.InvalidURL, NotReachedError, "its base_url is no usable URL"),
    (aiohttp.ClientPayloadError, UnavailableError, "the reply was cut"),
    (aiohttp.ClientConnectionError, UnavailableError, "the connection was lost"),
    (aiohttp.ClientError, MalformedReplyError, "not a valid HTTP reply"),
    (OSError, UnavailableError, "the connection was lost"),
    (Exception, MalformedReplyError, "not a valid HTTP reply"),
)
"""The first row whose first entry fits: what to raise and its words."""
