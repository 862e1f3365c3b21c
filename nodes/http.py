"""Call a URL. The only importer of httpx among the nodes; every address passes the guard of `nodes.ssrf`."""

import asyncio
import codecs
import json
import ssl
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Annotated, ClassVar, Literal, Self, cast

import httpx
from pydantic import Field, model_validator

from bridge.json_types import JsonObject, JsonValue
from nodes.context import HttpRules, NodeContext
from nodes.errors import InvalidInputError, NodeError, SealedNetworkError
from nodes.http_body import ACCEPTED_ENCODINGS, read_body
from nodes.http_rules import Expected, is_expected, refused_headers, status_error
from nodes.node import AnyJson, Block, Node, NodeOutput, node_type
from nodes.ssrf import Destination, checked_destination

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]
Scalar = str | int | float | bool | None
REDIRECTS = frozenset({301, 302, 303, 307, 308})
KEPT_ELSEWHERE = frozenset({"accept", "accept-language", "content-type", "user-agent"})
"""Request headers that follow a redirect to another origin; all others may be secrets and stay behind."""
MAX_ADDRESSES_TRIED = 3
TEXT_ENCODINGS = ("utf-8", "utf-16", "ascii", "iso8859", "cp125", "shift_jis", "euc_", "gb", "big5", "koi8")


class Basic(Block):
    """User name and password."""

    username: str
    password: str


class Auth(Block):
    """How the request proves who sends it: one of the two."""

    bearer: str | None = Field(default=None, description="Sent as `Authorization: Bearer`.")
    basic: Basic | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.bearer is None) == (self.basic is None):
            raise ValueError("auth is either bearer or basic")
        return self

    def header(self) -> str:
        """The value of the Authorization header."""
        if self.basic is None:
            return f"Bearer {self.bearer}"
        return "Basic " + b64encode(f"{self.basic.username}:{self.basic.password}".encode()).decode()


class HttpOutput(NodeOutput):
    """The answer of the other side."""

    status: int = Field(ge=0, le=599)
    headers: dict[str, str] = Field(
        default_factory=dict, description="Names in lower case; repeated ones joined by commas."
    )
    json_value: AnyJson = Field(default=None, alias="json", description="The parsed body; null when it is no JSON.")
    text: str = Field(default="", description="The body as text.")


@dataclass(frozen=True, slots=True)
class _Request:
    method: str
    url: httpx.URL
    headers: Mapping[str, str]
    content: bytes | None


@node_type("http")
class HttpNode(Node[HttpOutput]):
    """Call a URL on the public internet. A status that is not expected fails the step with the class it means.

    Redirects are followed and checked like the first address; on the way to another origin, authorization, cookies
    and own headers are left behind. Private addresses are refused unless the operator opened them.
    """

    output_type = HttpOutput
    is_replayable = False
    secret_fields: ClassVar[frozenset[str]] = frozenset({"headers", "auth"})

    url: Annotated[str, Field(min_length=1, max_length=8_192)]
    method: Method = "GET"
    query: dict[str, Scalar | list[Scalar]] = Field(
        default_factory=dict, description="Added to the URL; null is left out."
    )
    headers: dict[str, str] = Field(default_factory=dict)
    json_body: AnyJson = Field(default=None, alias="json", description="Sent as JSON.")
    body: str | None = Field(default=None, description="Sent as UTF-8 text, instead of `json`.")
    auth: Auth | None = None
    expect: Expected | list[Expected] = Field(
        default="2xx", description="Statuses that are no failure: numbers, or classes as `4xx`."
    )
    parse: Literal["auto", "json", "text"] = Field(
        default="auto", description="auto: JSON when the answer says so. json: anything else fails the step."
    )
    follow_redirects: bool = True

    @model_validator(mode="after")
    def _one_body(self) -> Self:
        if self.body is not None and self.json_body is not None:
            raise ValueError("give either json or body")
        return self

    def secret_texts(self) -> tuple[str, ...]:
        """The encoded user name and password."""
        return (self.auth.header().removeprefix("Basic "),) if self.auth is not None and self.auth.basic else ()

    async def run(self, context: NodeContext) -> HttpOutput:
        """One request with its redirects, within the operator's limits of time and size. Raises NodeError."""
        rules = context.http
        try:
            async with asyncio.timeout(rules.timeout_s):
                return await self._followed(self._first_request(), rules)
        except TimeoutError as error:
            raise NodeError(f"http: no whole answer within {rules.timeout_s:g} s", error_class="timeout") from error

    async def _followed(self, request: _Request, rules: HttpRules) -> HttpOutput:
        for _ in range(rules.max_redirects + 1):
            status, headers, content = await _sent(request, rules)
            location = headers.get("location")
            if status not in REDIRECTS or location is None or not self.follow_redirects:
                return self._output(request.url, status, headers, content)
            request = _redirected(request, status, location)
        raise NodeError(f"http: more than {rules.max_redirects} redirects", error_class="invalid_request")

    def _first_request(self) -> _Request:
        problem = refused_headers(self.headers)
        if problem:
            raise InvalidInputError(problem)
        headers = {"user-agent": "modelbridge", "accept": "*/*", **{k.lower(): v for k, v in self.headers.items()}}
        content: bytes | None = None
        if self.json_body is not None:
            content = json.dumps(self.json_body, ensure_ascii=False, separators=(",", ":")).encode()
            headers.setdefault("content-type", "application/json")
        elif self.body is not None:
            content = self.body.encode()
            headers.setdefault("content-type", "text/plain; charset=utf-8")
        if self.auth is not None:
            headers["authorization"] = self.auth.header()
        return _Request(method=self.method, url=self._url(), headers=headers, content=content)

    def _url(self) -> httpx.URL:
        url = _parsed(self.url)
        pairs = [
            (name, _written(value))
            for name, given in self.query.items()
            for value in (given if isinstance(given, list) else [given])
            if value is not None
        ]
        return url.copy_merge_params(httpx.QueryParams([*url.params.multi_items(), *pairs])) if pairs else url

    def _output(self, url: httpx.URL, status: int, headers: httpx.Headers, content: bytes) -> HttpOutput:
        text = content.decode(_charset(headers.get("content-type", "")), errors="replace")
        if not is_expected(status, self.expect):
            raise status_error(status, f"{url.host}{url.path}", text, headers.get("retry-after"))
        return HttpOutput.model_validate(
            {"status": status, "headers": _plain_headers(headers), "json": self._json(text, headers), "text": text}
        )

    def _json(self, text: str, headers: httpx.Headers) -> JsonValue:
        kind = headers.get("content-type", "").split(";")[0].strip().lower()
        is_json = kind == "application/json" or kind.endswith("+json")
        if self.parse == "text" or (self.parse == "auto" and not is_json):
            return None
        try:
            return cast("JsonValue", json.loads(text, parse_constant=_refuse_constant))
        except (ValueError, RecursionError) as error:
            if self.parse == "auto":
                return None
            raise NodeError(f"http: the answer is no JSON: {error}", error_class="schema_violation") from error


async def _sent(request: _Request, rules: HttpRules) -> tuple[int, httpx.Headers, bytes]:
    """Status, headers and decoded body of one request, sent to a checked address. Raises NodeError."""
    url = request.url
    port = url.port or (443 if url.scheme == "https" else 80)
    where = await checked_destination(url.raw_host.decode("ascii"), port, rules)
    tried = where.addresses[:MAX_ADDRESSES_TRIED]
    for address in tried[:-1]:
        try:
            return await _exchanged(request, where, address, rules)
        except httpx.ConnectError:
            continue
    try:
        return await _exchanged(request, where, tried[-1], rules)
    except httpx.TransportError as error:
        kind = "timeout" if isinstance(error, httpx.TimeoutException) else "unavailable"
        raise NodeError(f"http: {where.host}: {error or type(error).__name__}", error_class=kind) from error


async def _exchanged(
    request: _Request, where: Destination, address: str, rules: HttpRules
) -> tuple[int, httpx.Headers, bytes]:
    """The exchange with the address itself; Host and TLS name stay those of the URL."""
    url = request.url
    pinned = url.copy_with(host=f"[{address}]" if ":" in address else address)
    headers = {**request.headers, "host": url.netloc.decode("ascii"), "accept-encoding": ACCEPTED_ENCODINGS}
    async with httpx.AsyncClient(trust_env=False, verify=_tls(rules.ca_file), timeout=rules.timeout_s) as client:
        sent = client.build_request(
            request.method,
            pinned,
            headers=headers,
            content=request.content,
            extensions={"sni_hostname": where.host},
        )
        answer = await client.send(sent, stream=True)
        try:
            content = await read_body(
                answer.aiter_raw(), answer.headers.get("content-encoding", ""), rules.max_body_bytes
            )
        finally:
            await answer.aclose()
        return answer.status_code, answer.headers, content


def _redirected(request: _Request, status: int, location: str) -> _Request:
    try:
        target = request.url.join(location)
    except httpx.InvalidURL as error:
        raise NodeError(f"http: redirected to no URL: {error}", error_class="invalid_request") from error
    target = _parsed(str(target))
    becomes_get = status == 303 or (status in {301, 302} and request.method == "POST")
    moved = replace(request, url=target)
    if becomes_get and request.method != "HEAD":
        kept = {name: value for name, value in request.headers.items() if name != "content-type"}
        moved = replace(moved, method="GET", content=None, headers=kept)
    if _origin(target) != _origin(request.url):
        kept = {name: value for name, value in moved.headers.items() if name in KEPT_ELSEWHERE}
        moved = replace(moved, headers=kept)
    return moved


def _parsed(text: str) -> httpx.URL:
    """Raises InvalidInputError for what is no absolute http(s) URL, or carries credentials."""
    try:
        url = httpx.URL(text)
    except (httpx.InvalidURL, ValueError) as error:
        raise InvalidInputError(f"url: {error}") from error
    if url.scheme not in {"http", "https"} or not url.host:
        raise InvalidInputError(f"url must be an absolute http or https URL, not {text[:100]!r}")
    if url.userinfo:
        raise SealedNetworkError("http: a URL must not carry a user name or password; use auth")
    return url.copy_with(fragment=None)


def _origin(url: httpx.URL) -> tuple[str, str, int]:
    return url.scheme, url.host, url.port or (443 if url.scheme == "https" else 80)


def _plain_headers(headers: httpx.Headers) -> JsonObject:
    return {name.lower(): value for name, value in headers.items()}


def _charset(content_type: str) -> str:
    """The text encoding that the header names; UTF-8 when it names none, or an exotic one."""
    for part in content_type.split(";")[1:]:
        name, _, value = part.strip().partition("=")
        if name.lower() == "charset" and value:
            try:
                known = codecs.lookup(value.strip("\"' ")).name
            except (LookupError, ValueError):
                return "utf-8"
            return known if known.startswith(TEXT_ENCODINGS) else "utf-8"
    return "utf-8"


def _written(value: str | float | bool) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else json.dumps(value)


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is no JSON number")


@cache
def _tls(ca_file: str | None) -> ssl.SSLContext:
    context = httpx.create_ssl_context(trust_env=False)
    if ca_file is not None:
        context.load_verify_locations(cafile=ca_file)
    return context
