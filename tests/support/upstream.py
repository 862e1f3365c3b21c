"""A provider of the OpenAI dialect on a loopback port, for tests that need one with a price or a socket."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

USAGE = {"prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150}
"""At 1 and 2 USD a million tokens: 200,000 nano-dollars a call."""
CALL_NANO_USD = 200_000


@dataclass(slots=True)
class Upstream:
    """What it was asked, and how it behaves."""

    url: str = ""
    delay_s: float = 0.0
    bodies: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    headers: list[dict[str, str]] = field(default_factory=list[dict[str, str]])
    left: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a caller went away before its answer was there."""

    async def chat(self, request: web.Request) -> web.StreamResponse:
        """Answer a chat completion, whole or streamed."""
        body = json.loads(await request.read())
        self.bodies.append(body)
        self.headers.append(dict(request.headers))
        try:
            if body.get("stream"):
                return await self._stream(request)
            await asyncio.sleep(self.delay_s)
        except (asyncio.CancelledError, ConnectionError):
            self.left.set()
            raise
        message = {"role": "assistant", "content": "paid answer"}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return web.json_response({"id": "1", "model": "paid", "choices": [choice], "usage": USAGE})

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        for text in ("paid ", "answer"):
            await response.write(_event({"choices": [{"index": 0, "delta": {"content": text}}]}))
            await asyncio.sleep(self.delay_s)
        await response.write(_event({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}))
        await response.write(_event({"choices": [], "usage": USAGE}) + b"data: [DONE]\n\n")
        return response


def _event(body: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps({"id": "1", "model": "paid", **body}).encode() + b"\n\n"


@asynccontextmanager
async def running_upstream() -> AsyncGenerator[Upstream]:
    """An upstream that listens until the block ends."""
    upstream = Upstream()
    app = web.Application()
    app.router.add_post("/v1/chat/completions", upstream.chat)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    upstream.url = f"http://{host}:{port}/v1"
    try:
        yield upstream
    finally:
        await runner.cleanup()
