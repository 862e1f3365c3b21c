"""Bodies that no route can serve: refused in the dialect's shape with the field named, and no provider hears of it."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pytest
import pytest_asyncio

from platform_api.body_limit import MAX_BODY_BYTES
from platform_api.migrations.runner import upgrade
from tests.support.platform import Platform, running_platform
from tests.support.served import served
from tests.support.upstream import Upstream, running_upstream

pytestmark = [pytest.mark.peer, pytest.mark.asyncio(loop_scope="module")]

CHAT, RESPONSES, EMBEDDINGS = "/v1/chat/completions", "/v1/responses", "/v1/embeddings"
MESSAGES, COUNT = "/v1/messages", "/v1/messages/count_tokens"
GENERATE, STRUCTURED = "/api/v1/generate", "/api/v1/generate-structured"
HI: list[Any] = [{"role": "user", "content": "hi"}]
GOOD: dict[str, dict[str, Any]] = {
    CHAT: {"model": "acme/paid", "messages": HI},
    RESPONSES: {"model": "acme/paid", "input": "hi"},
    EMBEDDINGS: {"model": "local/wordllama", "input": "hi"},
    MESSAGES: {"model": "acme/paid", "max_tokens": 9, "messages": HI},
    COUNT: {"model": "acme/paid", "messages": HI},
    GENERATE: {"model": "acme/paid", "prompt": "hi"},
    STRUCTURED: {"model": "acme/paid", "prompt": "hi", "schema": {"type": "object"}},
}
ROUTES = sorted(GOOD)
OF_OPENAI, OF_ANTHROPIC, NATIVE = {CHAT, RESPONSES, EMBEDDINGS}, {MESSAGES, COUNT}, {GENERATE, STRUCTURED}
MAX_MESSAGE_CHARS = 1000
WRONG: tuple[Any, ...] = ("wrong", 1.5, -7, 10**30, -1e300, True, [], [None], ["x", 3], {"wibble": 1}, [{"wibble": []}])
"""Values, of which a field's schema allows some."""


@dataclass(frozen=True, slots=True)
class World:
    """One application for all tests here."""

    platform: Platform
    upstream: Upstream
    address: str

    async def send(self, path: str, raw: bytes, content_type: str = "application/json") -> httpx.Response:
        """The reply. Whatever it is, no provider may have been asked."""
        before = len(self.upstream.bodies)
        reply = await self.platform.client.post(path, content=raw, headers={"content-type": content_type})
        assert len(self.upstream.bodies) == before, f"{path} let it through: {raw[:200]!r}"
        return reply


@pytest.fixture(scope="module")
def database_url(tmp_path_factory: pytest.TempPathFactory) -> str:
    url = f"sqlite+aiosqlite:///{tmp_path_factory.mktemp('bodies') / 'modelbridge.db'}"
    upgrade(url)
    return url


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    home: Path = tmp_path_factory.mktemp("home")
    async with (
        running_upstream() as upstream,
        running_platform(database_url, home, upstream=upstream.url) as platform,
        served(platform.app) as address,
    ):
        yield World(platform, upstream, address)


def fields_told(path: str, reply: httpx.Response) -> set[str]:
    """The fields that a refusal names. It has the dialect's shape and is short, whatever it quotes."""
    body = reply.json()
    assert 400 <= reply.status_code < 500, reply.text[:300]
    if path in NATIVE:
        assert reply.headers["content-type"] == "application/problem+json"
        assert body["status"] == reply.status_code
        assert body["detail"]
        return {as_place(each["pointer"]) for each in body.get("errors", [])}
    assert reply.headers["content-type"] == "application/json"
    error = body["error"]
    assert error["message"]
    assert len(error["message"]) <= MAX_MESSAGE_CHARS
    assert error["type"] == "invalid_request_error"
    if path in OF_ANTHROPIC:
        assert set(body) == {"type", "error", "request_id"}
        return {error["message"].partition(":")[0]}
    assert set(error) == {"message", "type", "param", "code"}
    return set() if error["param"] is None else {error["param"]}


def as_place(pointer: str) -> str:
    """A JSON pointer as the dialects write places: `messages[0].role`."""
    place = ""
    for part in pointer.split("/")[1:]:
        place += f"[{part}]" if part.isdigit() else f".{part}"
    return place.lstrip(".")


def with_more(path: str, more: str) -> bytes:
    """A good body with more members, as text."""
    return (json.dumps(GOOD[path])[:-1] + ", " + more + "}").encode()


def nested(levels: int) -> str:
    return '{"a": ' * levels + "1" + "}" * levels


def no_json(path: str) -> Iterator[tuple[str, bytes]]:
    """Bodies that are no JSON object."""
    good = json.dumps(GOOD[path]).encode()
    yield from {"empty": b"", "blank": b"  ", "open": b"{", "array": b"[]", "text": b'"x"', "null": b"null"}.items()
    yield "trailing", good + b" x"
    yield "two", good + good
    for number in ("NaN", "Infinity", "-Infinity", "1e999", "01", "+1", ".5", "0x10"):
        yield number, with_more(path, f'"temperature": {number}')
    yield "not UTF-8", good.replace(b"hi", b"\xff\xfe")
    yield "a key not UTF-8", with_more(path, '"k": 1').replace(b'"k"', b'"\xff"')
    yield "half a pair", good.replace(b"hi", b"\\ud800")
    yield "half a pair before more", good.replace(b"hi", b"\\ud800 and so on")
    yield "deep where it is not read", with_more(path, f'"metadata": {nested(2000)}')
    yield "deep brackets", b"[" * 100_000
    yield "deep and unknown", with_more(path, '"zzz": ' + "[" * 5000 + "]" * 5000)
    yield "5000 digits", with_more(path, '"seed": ' + "9" * 5000)
    yield "a control character", good.replace(b"hi", b"h\x00i")
    yield "comments", good.replace(b"{", b"{ // c\n", 1)
    yield "single quotes", good.replace(b'"', b"'")
    yield "a form", b"model=acme%2Fpaid&input=hi"


@pytest.mark.parametrize("path", ROUTES)
async def test_what_is_no_json_object_is_refused(world: World, path: str) -> None:
    for name, raw in no_json(path):
        reply = await world.send(path, raw)

        fields_told(path, reply)
        assert reply.status_code in ({400, 422} if path in NATIVE else {400}), f"{name}: {reply.text[:300]}"


@pytest.mark.parametrize("path", ROUTES)
async def test_every_field_is_refused_by_name_when_its_value_is_of_the_wrong_kind(world: World, path: str) -> None:
    """What is wrong is what the schema in /openapi.json says, read by a validator of somebody else's."""
    described = (await world.platform.client.get("/openapi.json")).json()
    operation = described["paths"][path]["post"]
    schema = {
        **operation["requestBody"]["content"]["application/json"]["schema"],
        "components": described["components"],
    }
    reference = schema["$ref"].rpartition("/")[2]
    fields = described["components"]["schemas"][reference]["properties"]
    validator = jsonschema.Draft202012Validator(schema)
    n_sent = 0
    for field in fields:
        for value in (None, *WRONG):
            body = {**GOOD[path], field: value}
            if validator.is_valid(body):
                continue
            told = fields_told(path, await world.send(path, json.dumps(body).encode()))
            n_sent += 1
            assert any(each == field or each.startswith((f"{field}.", f"{field}[")) for each in told), (body, told)

    assert n_sent > 8 * len(fields)


@pytest.mark.parametrize("path", ROUTES)
async def test_a_field_that_nobody_knows_is_refused_as_the_vendors_do(world: World, path: str) -> None:
    assert fields_told(path, await world.send(path, with_more(path, '"wibble": 1'))) == {"wibble"}


@pytest.mark.parametrize("path", ROUTES)
async def test_of_fields_given_twice_the_last_is_read(world: World, path: str) -> None:
    wrong_last = await world.send(path, with_more(path, '"model": 3'))
    other_last = await world.send(path, with_more(path, '"model": "nobody/x"'))

    assert fields_told(path, wrong_last) == {"model"}
    assert other_last.status_code == 404
    assert "nobody/x" in other_last.text


@pytest.mark.parametrize("path", ROUTES)
async def test_a_hundred_thousand_fields_are_refused_briefly(world: World, path: str) -> None:
    many = ", ".join(f'"k{n}": {n}' for n in range(100_000))
    reply = await world.send(path, with_more(path, many))

    fields_told(path, reply)
    assert len(reply.content) < 4096


@pytest.mark.parametrize("path", ROUTES)
async def test_what_is_quoted_of_a_body_is_short(world: World, path: str) -> None:
    long = "x" * 100_000
    for more in (f'"{long}": 1', f'"model": "{long}"', f'"role": "{long}"'):
        reply = await world.send(path, with_more(path, more))

        fields_told(path, reply)
        assert len(reply.content) < (len(long) * 2 + 4096 if path in NATIVE else 2048)


@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize("model", ["", "acme/\\r\\nx-evil: 1", "acme/\\u0000", "acme/\\u2028"])
async def test_a_models_name_can_stand_in_a_header(world: World, path: str, model: str) -> None:
    raw = json.dumps(GOOD[path]).replace(str(GOOD[path]["model"]), model).encode()

    assert fields_told(path, await world.send(path, raw)) == {"model"}


DEEP = json.loads(nested(300))
CALL = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": nested(2000)}}
OF_MESSAGES: list[tuple[dict[str, Any], str]] = [
    ({"messages": []}, "messages"),
    ({"messages": [{"role": "robot", "content": "x"}]}, "messages[0].role"),
    ({"messages": [{"role": "user"}]}, "messages[0].content"),
    ({"messages": [{"role": "user", "content": []}]}, "messages[0].content"),
    ({"messages": [{"role": "user", "content": [{"type": "smell"}]}]}, "messages[0].content[0].type"),
    (
        {"messages": [{"role": "user", "content": [{"type": "tool_result"}]}]},
        "messages[0].content[0].tool_use_id",
    ),
    ({"tools": [{"name": "look"}]}, "tools[0].input_schema"),
    ({"tools": [{"type": "bash_20250124", "name": "bash"}]}, "tools[0].type"),
    ({"tool_choice": {"type": "tool", "name": "look"}}, "tool_choice.name"),
    ({"thinking": {"type": "enabled"}}, "thinking.budget_tokens"),
    ({"temperature": 1.5}, "temperature"),
]
OF_GENERATE: list[tuple[dict[str, Any], str]] = [
    ({"prompt": None}, "prompt"),
    ({"messages": HI}, "prompt"),
    ({"prompt": None, "messages": [{"role": "robot", "content": "x"}]}, "messages[0].role"),
    ({"prompt": None, "messages": [{"role": "user"}]}, "messages[0].content"),
]
MEANINGLESS: list[tuple[str, dict[str, Any], str]] = [
    (CHAT, {"messages": []}, "messages"),
    (CHAT, {"messages": [{"role": "robot", "content": "x"}]}, "messages[0].role"),
    (CHAT, {"messages": [{"content": "x"}]}, "messages[0].role"),
    (CHAT, {"messages": [{"role": "user"}]}, "messages[0].content"),
    (CHAT, {"messages": [*HI, {"role": "assistant", "content": None}]}, "messages[1].content"),
    (CHAT, {"messages": [{"role": "user", "content": []}]}, "messages[0].content"),
    (CHAT, {"messages": [{"role": "user", "content": [{"type": "smell"}]}]}, "messages[0].content[0].type"),
    (CHAT, {"messages": [{"role": "user", "content": [{"text": "x"}]}]}, "messages[0].content[0].type"),
    (CHAT, {"messages": [*HI, {"role": "tool", "content": "x"}]}, "messages[1].tool_call_id"),
    (CHAT, {"messages": [*HI, {"role": "assistant", "tool_calls": [CALL]}]}, "messages[1].tool_calls"),
    (CHAT, {"tools": [{"type": "function", "function": {}}]}, "tools[0].function.name"),
    (CHAT, {"tools": [{"type": "web_search"}]}, "tools[0].type"),
    (CHAT, {"tool_choice": {"type": "function", "function": {"name": "look"}}}, "tool_choice"),
    (CHAT, {"response_format": {"type": "json_schema"}}, "response_format.json_schema.schema"),
    (RESPONSES, {"input": []}, "input"),
    (RESPONSES, {"input": [{"role": "robot", "content": "x"}]}, "input[0].role"),
    (RESPONSES, {"input": [{"content": "x"}]}, "input[0].role"),
    (RESPONSES, {"input": [{"role": "user", "content": []}]}, "input[0].content"),
    (RESPONSES, {"input": [{"role": "user", "content": [{"type": "smell"}]}]}, "input[0].content[0].type"),
    (RESPONSES, {"input": [{"type": "function_call", "call_id": "c"}]}, "input[0].name"),
    (
        RESPONSES,
        {"input": [{"type": "function_call", "call_id": "c", "name": "look", "arguments": nested(2000)}]},
        "input[0].arguments",
    ),
    (RESPONSES, {"tools": [{"type": "web_search"}]}, "tools[0].type"),
    (RESPONSES, {"tool_choice": {"type": "function", "name": "look"}}, "tool_choice.name"),
    (EMBEDDINGS, {"input": []}, "input"),
    (EMBEDDINGS, {"input": ["a", ""]}, "input"),
    (EMBEDDINGS, {"input": [1, 2]}, "input"),
    (EMBEDDINGS, {"input": ["a"] * 2049}, "input"),
    (MESSAGES, {"max_tokens": None}, "max_tokens"),
    *((path, more, param) for path in (MESSAGES, COUNT) for more, param in OF_MESSAGES),
    *((path, more, param) for path in (GENERATE, STRUCTURED) for more, param in OF_GENERATE),
    (STRUCTURED, {"schema": {"type": "wibble"}}, "schema"),
    (STRUCTURED, {"schema": {"$ref": "#/$defs/none"}}, "schema"),
    (STRUCTURED, {"schema": DEEP}, "schema"),
]


@pytest.mark.parametrize(("path", "more", "param"), MEANINGLESS)
async def test_what_makes_no_sense_is_refused_by_name(
    world: World, path: str, more: dict[str, Any], param: str
) -> None:
    told = fields_told(path, await world.send(path, json.dumps({**GOOD[path], **more}).encode()))

    assert param in told


@pytest.mark.parametrize("path", ROUTES)
async def test_too_large_a_body_is_refused_whether_it_says_so_or_not(world: World, path: str) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(11):
            yield b" " * (1024 * 1024)

    for content in (b" " * (MAX_BODY_BYTES + 1), pieces()):
        reply = await world.platform.client.post(path, content=content)

        assert reply.status_code == 413
        assert "10485760" in reply.text
        if path in OF_ANTHROPIC:
            assert reply.json()["error"]["type"] == "request_too_large"
        elif path in OF_OPENAI:
            assert reply.json()["error"]["code"] == "too_large"
        else:
            assert reply.json()["code"] == "too_large"


@pytest.mark.parametrize("path", ROUTES)
async def test_on_v1_json_is_json_whatever_its_content_type(world: World, path: str) -> None:
    """The SDKs always say JSON; elsewhere a body of another type is no object."""
    raw = json.dumps({**GOOD[path], "model": "nobody/x"}).encode()
    for content_type in ("text/plain", "application/x-www-form-urlencoded", "nonsense"):
        reply = await world.send(path, raw, content_type)

        assert reply.status_code == (422 if path in NATIVE else 404)


@pytest.mark.parametrize("path", ROUTES)
async def test_a_body_whose_length_is_a_lie_reaches_nobody(world: World, path: str) -> None:
    """On a socket: less than announced, more than announced, no number, two numbers, half a chunk."""
    good = json.dumps(GOOD[path]).encode()
    heads = {
        b"content-length: %d" % (len(good) + 50): good,
        b"content-length: %d" % (len(good) - 5): good,
        b"content-length: many": good,
        b"content-length: -1": good,
        b"content-length: 5\r\ncontent-length: %d" % len(good): good,
        b"content-length: 5\r\ntransfer-encoding: chunked": good,
        b"transfer-encoding: chunked": b"%x\r\n%s" % (len(good) + 50, good),
    }
    before = len(world.upstream.bodies)
    for head, body in heads.items():
        status = await on_socket(world, path, head, body)

        assert status is None or 400 <= status < 500, (head, status)
    assert len(world.upstream.bodies) == before


async def on_socket(world: World, path: str, head: bytes, body: bytes) -> int | None:
    """The status of the first answer to these bytes, after which nothing more is sent; None: hung up on."""
    host, _, port = world.address.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    lines = [
        f"POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {world.platform.key}".encode(),
        b"content-type: application/json",
        head,
    ]
    writer.write(b"\r\n".join(lines) + b"\r\n\r\n" + body)
    writer.write_eof()
    answer = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    return int(answer.split(b" ", 2)[1]) if answer else None
