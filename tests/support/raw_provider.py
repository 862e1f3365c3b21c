"""A provider that sends bytes as told, over real sockets, and a bridge that asks it."""

import asyncio
import json
import socket
import ssl
import struct
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from bridge.call_record import CallContext, CallRecord
from bridge.chat import ChatRequest, ChatResponse, Message
from bridge.clock import Clock
from bridge.config import BridgeConfig
from bridge.errors import BridgeError
from bridge.gateway import Bridge
from bridge.providers.mock_answer import Answer
from bridge.providers.mock_dialects import MOCK_DIALECTS
from bridge.providers.mock_script import MockUsage

Reset = Literal["reset"]
Script = Sequence[bytes | float | Reset]
"""Bytes are sent as one piece, a number is a pause in seconds; then the connection is closed, or reset."""
CONTEXT = CallContext(org_id="acme")
LIMIT_S = 5.0
"""No outcome may take longer."""
QUICK: Mapping[str, object] = {
    "retry": {"max_per_target": 1, "deadline_s": 3.0},
    "streams": {"ttft_s": 1.0, "idle_s": 0.5, "rescue": "off"},
}
WORDS = "All is well."
TLS_GREETING = b"\x16"


@asynccontextmanager
async def raw_server(script: Script, tls: ssl.SSLContext | None = None) -> AsyncGenerator[int]:
    """Every connection: one request, or a TLS greeting, is read, then the script is played. Yields the port."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await _read(reader)
            await _play(script, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    async with listener:
        yield int(listener.sockets[0].getsockname()[1])


async def _read(reader: asyncio.StreamReader) -> None:
    if await reader.readexactly(1) == TLS_GREETING:
        return
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
    lengths = [line.partition(":")[2] for line in head.split("\r\n") if line.startswith("content-length:")]
    await reader.readexactly(int(lengths[0]) if lengths else 0)


async def _play(script: Script, writer: asyncio.StreamWriter) -> None:
    for step in script:
        if isinstance(step, bytes):
            writer.write(step)
            await writer.drain()
            await asyncio.sleep(0)
        elif isinstance(step, str):
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
        else:
            await asyncio.sleep(step)


def reply(
    body: bytes, content_type: str = "application/json", *, status: int = 200, length: int | None = None, **more: str
) -> bytes:
    """A whole HTTP reply that closes the connection; `length` lies about the body, if wanted."""
    headers = {"content-type": content_type, "content-length": str(len(body) if length is None else length), **more}
    return _head(status, headers) + body


def stream_head(content_type: str = "text/event-stream", **more: str) -> bytes:
    """The head of a stream that ends with its connection."""
    return _head(200, {"content-type": content_type, **more})


def _head(status: int, headers: Mapping[str, str]) -> bytes:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    lines = [f"HTTP/1.1 {status} X", *(f"{name}: {value}" for name, value in named.items()), "connection: close"]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


def event(delta: Mapping[str, Any], finish_reason: str | None = None, **more: Any) -> bytes:
    """One event of an OpenAI stream."""
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    return b"data: " + json.dumps({"choices": [choice], **more}, ensure_ascii=False).encode() + b"\n\n"


def completion(message: Mapping[str, Any], finish_reason: str = "stop", **more: Any) -> bytes:
    """A whole OpenAI completion."""
    choice = {"index": 0, "message": message, "finish_reason": finish_reason}
    return json.dumps({"model": "m", "choices": [choice], **more}).encode()


def healthy(dialect: str, *, stream: bool) -> Script:
    """What a provider in good health sends."""
    wire = MOCK_DIALECTS[dialect]
    answer = Answer("m", WORDS, MockUsage(input_tokens=5, output_tokens=3), id="mock-1")
    return (stream_head(wire.stream_type), *wire.events(answer, None)) if stream else (reply(wire.whole(answer, None)),)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a call."""

    record: CallRecord
    answer: ChatResponse | None = None
    error: BridgeError | None = None
    text: str = ""
    """What the caller got, piece by piece or whole."""


@dataclass(slots=True)
class Asker:
    """A bridge over servers of this machine."""

    urls: Sequence[str]
    dialect: str = "openai"
    sections: Mapping[str, object] = field(default_factory=lambda: QUICK)
    clock: Clock | None = None

    async def ask(self, *, stream: bool, text: str = "How are you?") -> Outcome:
        """One call to the first address; the others are fallbacks, in order. Raises TimeoutError after `LIMIT_S`."""
        names = [f"p{position}" for position in range(len(self.urls))]
        facts = {"capabilities": ["chat", "stream", "tools"], "context_window": 8_000, "max_output_tokens": 4_000}
        facts |= {"input_usd_per_mtok": 1, "output_usd_per_mtok": 2}
        config: dict[str, Any] = {
            "providers": {
                name: {"dialect": self.dialect, "base_url": url, "api_key": "k-secret-1"}
                for name, url in zip(names, self.urls, strict=True)
            },
            "models": {f"{name}/m": facts for name in names},
            "aliases": {"any": {"policy": "priority", "candidates": [f"{name}/m" for name in names]}},
            **self.sections,
        }
        bridge = Bridge(BridgeConfig.parse(config), clock=self.clock)
        try:
            async with asyncio.timeout(LIMIT_S):
                return await _asked(bridge, ChatRequest("any", (Message.of("user", text),)), stream=stream)
        finally:
            await bridge.aclose()


async def _asked(bridge: Bridge, request: ChatRequest, *, stream: bool) -> Outcome:
    pieces: list[str] = []
    try:
        if not stream:
            result = await bridge.chat(request, CONTEXT)
            return Outcome(result.record, result.response, text=result.response.text)
        answering = bridge.stream(request, CONTEXT)
        async for chunk in answering:
            pieces.append(chunk.text)
        return Outcome(answering.result.record, answering.result.response, text="".join(pieces))
    except BridgeError as error:
        record = error.call
        if not isinstance(record, CallRecord):
            raise
        return Outcome(record, error=error, text="".join(pieces))
