"""The http node against a real server on loopback, opened through allow_hosts."""

import gzip
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bridge.errors import ErrorClass
from bridge.json_types import JsonObject
from nodes.context import HttpRules
from nodes.errors import NodeError, SealedNetworkError
from nodes.http import HttpNode, HttpOutput
from tests.support.certificates import certificate
from tests.support.fakes import TableResolver, node_context
from tests.support.http_server import Asked, Head, HttpServer, http_server

pytestmark = pytest.mark.peer

BIG = b"a" * 300_000
JSON = {"content-type": "application/json; charset=utf-8"}


def answer(asked: Asked) -> Head:
    """What the server says, by path."""
    path = asked.target.split("?")[0]
    echo = json.dumps(
        {"method": asked.method, "target": asked.target, "headers": dict(asked.headers), "body": asked.body.decode()}
    )
    fixed: dict[str, Head] = {
        "/echo": (200, JSON, echo.encode()),
        "/text": (200, {"content-type": "text/plain; charset=iso-8859-1"}, "grün".encode("latin-1")),
        "/broken-json": (200, JSON, b"{"),
        "/gzip": (200, {**JSON, "content-encoding": "gzip"}, gzip.compress(b'{"zipped": true}')),
        "/big": (200, {}, BIG),
        "/bomb": (200, {"content-encoding": "gzip"}, gzip.compress(BIG * 10)),
        "/busy": (429, {"retry-after": "7"}, b"slow down"),
        "/moved": (302, {"location": "/echo"}, b""),
        "/moved-keep": (307, {"location": "/echo"}, b""),
        "/loop": (302, {"location": "/loop"}, b""),
        "/to-metadata": (302, {"location": "http://169.254.169.254/latest/meta-data"}, b""),
        "/to-file": (302, {"location": "file:///etc/passwd"}, b""),
        "/to-password": (302, {"location": "http://me:secret@other.example/"}, b""),
        "/to-other": (302, {"location": f"http://other.example:{asked.headers['host'].split(':')[1]}/echo"}, b""),
    }
    if path.startswith("/status/"):
        return int(path.removeprefix("/status/")), {}, b""
    return fixed[path]


@pytest.fixture
async def server() -> AsyncIterator[HttpServer]:
    async with http_server(answer) as running:
        yield running


def rules(server: HttpServer, *names: str, **more: int | float) -> HttpRules:
    hosts = {f"{name}:{server.port}" for name in ("127.0.0.1", *names)}
    table = {name: [["127.0.0.1"]] for name in names}
    limits = HttpRules(
        timeout_s=float(more.get("timeout_s", 5.0)), max_body_bytes=int(more.get("max_body_bytes", 1_000_000))
    )
    return HttpRules(
        allow_hosts=frozenset(hosts),
        max_body_bytes=limits.max_body_bytes,
        timeout_s=limits.timeout_s,
        max_redirects=3,
        resolve=TableResolver(table),
    )


async def called(block: JsonObject, limits: HttpRules) -> HttpOutput:
    return await HttpNode.model_validate(block).run(node_context(http=limits))


def echoed(output: HttpOutput) -> dict[str, object]:
    assert isinstance(output.json_value, dict)
    return dict(output.json_value)


async def test_method_query_headers_auth_and_json_arrive(server: HttpServer) -> None:
    output = await called(
        {
            "method": "POST",
            "url": server.url("/echo?a=1"),
            "query": {"q": "ä b", "many": [1, True, None], "none": None},
            "headers": {"X-Own": "yes"},
            "json": {"text": "grün"},
            "auth": {"bearer": "token"},
        },
        rules(server),
    )

    got = server.asked[0]
    assert (output.status, got.method, got.target) == (200, "POST", "/echo?a=1&q=%C3%A4+b&many=1&many=true")
    assert json.loads(got.body) == {"text": "grün"}
    assert (got.headers["x-own"], got.headers["authorization"], got.headers["content-type"]) == (
        "yes",
        "Bearer token",
        "application/json",
    )
    assert (got.headers["host"], got.headers["accept-encoding"]) == (f"127.0.0.1:{server.port}", "gzip, deflate")
    assert json.loads(output.text) == output.json_value


async def test_a_name_is_connected_to_its_checked_address_and_keeps_its_host_header(server: HttpServer) -> None:
    limits = rules(server, "kb.example")

    await called(
        {"url": server.url("/echo", host="kb.example"), "auth": {"basic": {"username": "me", "password": "pw"}}}, limits
    )

    assert server.asked[0].headers["host"] == f"kb.example:{server.port}"
    assert server.asked[0].headers["authorization"] == "Basic bWU6cHc="
    assert limits.resolve is not None
    assert getattr(limits.resolve, "calls") == ["kb.example"]  # noqa: B009  # of the table resolver


async def test_loopback_is_refused_unless_opened_and_nothing_is_sent(server: HttpServer) -> None:
    with pytest.raises(SealedNetworkError, match=r"http\.allow_hosts"):
        await called({"url": server.url("/echo")}, HttpRules())

    assert server.asked == []


@pytest.mark.parametrize(
    ("path", "block", "value", "text"),
    [
        ("/gzip", {}, {"zipped": True}, '{"zipped": true}'),
        ("/text", {}, None, "grün"),
        ("/broken-json", {}, None, "{"),
        ("/echo", {"method": "HEAD"}, None, ""),
        ("/gzip", {"parse": "text"}, None, '{"zipped": true}'),
        ("/status/404", {"expect": [404, "2xx"]}, None, ""),
        ("/status/204", {}, None, ""),
    ],
)
async def test_bodies_are_read_as_they_say(
    server: HttpServer, path: str, block: JsonObject, value: object, text: str
) -> None:
    output = await called({"url": server.url(path), **block}, rules(server))

    assert (output.json_value, output.text) == (value, text)


@pytest.mark.parametrize(
    ("path", "block", "kind"),
    [
        ("/busy", {}, "rate_limit"),
        ("/status/401", {}, "auth"),
        ("/status/408", {}, "timeout"),
        ("/status/422", {}, "invalid_request"),
        ("/status/503", {}, "unavailable"),
        ("/status/200", {"expect": 201}, "invalid_request"),
        ("/broken-json", {"parse": "json"}, "schema_violation"),
        ("/big", {}, "invalid_request"),
        ("/bomb", {}, "invalid_request"),
        ("/loop", {}, "invalid_request"),
    ],
)
async def test_failures_have_their_class(server: HttpServer, path: str, block: JsonObject, kind: ErrorClass) -> None:
    with pytest.raises(NodeError) as caught:
        await called({"url": server.url(path), **block}, rules(server, max_body_bytes=200_000))

    assert caught.value.error_class == kind


async def test_retry_after_is_carried(server: HttpServer) -> None:
    with pytest.raises(NodeError, match="slow down") as caught:
        await called({"url": server.url("/busy")}, rules(server))

    assert caught.value.retry_after_s == 7.0


async def test_the_limit_of_time_is_over_everything(server: HttpServer) -> None:
    server.delay_s = 5.0

    with pytest.raises(NodeError, match=r"within 0\.2 s") as caught:
        await called({"url": server.url("/echo")}, rules(server, timeout_s=0.2))
    assert caught.value.error_class == "timeout"


async def test_a_refused_connection_is_unavailable(server: HttpServer) -> None:
    limits = HttpRules(allow_hosts=frozenset({"127.0.0.1"}))

    with pytest.raises(NodeError, match="127.0.0.1") as caught:  # noqa: RUF043  # the address as it is shown
        await called({"url": "http://127.0.0.1:1/"}, limits)
    assert caught.value.error_class == "unavailable"


async def test_the_next_address_is_tried_when_one_refuses(server: HttpServer) -> None:
    limits = HttpRules(
        allow_hosts=frozenset({"two.example"}), resolve=TableResolver({"two.example": [["127.0.0.9", "127.0.0.1"]]})
    )

    assert (await called({"url": server.url("/echo", host="two.example")}, limits)).status == 200


async def test_a_post_becomes_a_get_after_302_and_stays_a_post_after_307(server: HttpServer) -> None:
    block: JsonObject = {"method": "POST", "json": {"a": 1}, "auth": {"bearer": "t"}}

    moved = echoed(await called({**block, "url": server.url("/moved")}, rules(server)))
    kept = echoed(await called({**block, "url": server.url("/moved-keep")}, rules(server)))

    assert (moved["method"], moved["body"]) == ("GET", "")
    assert (kept["method"], kept["body"]) == ("POST", '{"a":1}')
    assert server.asked[-1].headers["authorization"] == "Bearer t"


async def test_secrets_stay_behind_on_the_way_to_another_origin(server: HttpServer) -> None:
    headers: JsonObject = {"X-Api-Key": "secret", "Cookie": "a=b", "Accept": "text/x"}

    await called(
        {"url": server.url("/to-other"), "headers": headers, "auth": {"bearer": "t"}}, rules(server, "other.example")
    )

    first, second = server.asked
    assert {"x-api-key", "cookie", "authorization"} <= set(first.headers)
    assert not {"x-api-key", "cookie", "authorization"} & set(second.headers)
    assert (second.headers["accept"], second.headers["host"]) == ("text/x", f"other.example:{server.port}")


@pytest.mark.parametrize("path", ["/to-metadata", "/to-file", "/to-password"])
async def test_a_redirect_is_checked_like_the_first_address(server: HttpServer, path: str) -> None:
    with pytest.raises(NodeError):
        await called({"url": server.url(path)}, rules(server))

    assert len(server.asked) == 1


async def test_redirects_can_be_left_alone(server: HttpServer) -> None:
    output = await called({"url": server.url("/moved"), "follow_redirects": False, "expect": 302}, rules(server))

    assert (output.status, output.headers["location"]) == (302, "/echo")


@pytest.mark.parametrize(
    "block",
    [
        {"url": "ftp://127.0.0.1/"},
        {"url": "//127.0.0.1/"},
        {"url": "http:///x"},
        {"url": "http://me:pw@127.0.0.1/"},
        {"url": "http://127.0.0.1:99999/"},
        {"url": "http://①②⑦.0.0.1/"},
        {"url": "http://127.0.0.1/", "headers": {"Host": "x"}},
    ],
)
async def test_urls_and_headers_that_do_not_fit_are_refused_before_anything_is_sent(block: JsonObject) -> None:
    with pytest.raises(NodeError):
        await called(block, HttpRules())


async def test_tls_asks_for_the_name_and_checks_the_certificate_against_it(tmp_path: Path) -> None:
    ca, tls = certificate(tmp_path, "pinned.example")
    resolver = TableResolver({name: [["127.0.0.1"]] for name in ("pinned.example", "wrong.example")})
    async with http_server(answer, tls) as server:
        limits = HttpRules(allow_hosts=frozenset({"pinned.example", "wrong.example"}), resolve=resolver, ca_file=ca)

        output = await called({"url": server.url("/echo", host="pinned.example", scheme="https")}, limits)
        with pytest.raises(NodeError, match="certificate") as caught:
            await called({"url": server.url("/echo", host="wrong.example", scheme="https")}, limits)

    assert output.status == 200
    assert server.names_shown == ["pinned.example", "wrong.example"]
    assert server.asked[0].headers["host"] == f"pinned.example:{server.port}"
    assert caught.value.error_class == "unavailable"
