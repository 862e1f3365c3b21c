"""Clients that keep books of their own: every request they made, and which of them were answered to the last byte."""

import asyncio
import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp

RETRY_S = 0.25
"""After a refusal, and where nobody listens: a gateway that starts needs the processor for itself."""
PATIENCE_S = 60.0


@dataclass(slots=True)
class Seen:
    """What clients saw."""

    answered: dict[str, str] = field(default_factory=dict[str, str])
    """Mark: the call's id, of answers that came whole."""
    broken: dict[str, int] = field(default_factory=dict[str, int])
    """Mark: bytes of the answer that had come when the connection broke."""
    refused: dict[str, str] = field(default_factory=dict[str, str])
    """Mark: the code of an error that was answered instead."""
    unreached: int = 0
    """Requests that found nobody listening; not counted elsewhere."""


class Clients:
    """So many at once, until `n` calls are answered."""

    def __init__(self, port: int, key: str, n: int, *, concurrency: int, chances: random.Random) -> None:
        self._url = f"http://127.0.0.1:{port}/v1/chat/completions"
        self._key = key
        self._n = n
        self._concurrency = concurrency
        self._chances = chances
        self._made = 0
        self._has_changed = asyncio.Event()
        self.seen = Seen()

    async def run(self) -> None:
        """Return when that many calls are answered."""
        timeout = aiohttp.ClientTimeout(total=PATIENCE_S)
        async with aiohttp.ClientSession(timeout=timeout) as session, asyncio.TaskGroup() as group:
            for _ in range(self._concurrency):
                group.create_task(self._client(session))

    async def until(self, is_reached: Callable[[Seen], bool]) -> None:
        """Wait for something to be seen."""
        while not is_reached(self.seen):
            self._has_changed.clear()
            await self._has_changed.wait()

    async def _client(self, session: aiohttp.ClientSession) -> None:
        while self._made - len(self.seen.broken) - len(self.seen.refused) - self.seen.unreached < self._n:
            self._made += 1
            await self._call(session, f"m{self._made:06}")
            self._has_changed.set()

    async def _call(self, session: aiohttp.ClientSession, mark: str) -> None:
        is_stream = self._chances.random() < 0.5
        body: dict[str, Any] = {"model": "measured", "max_tokens": 64, "stream": is_stream}
        body["messages"] = [{"role": "user", "content": f"{mark} tell me something"}]
        headers = {"authorization": f"Bearer {self._key}", "x-request-id": mark}
        received = b""
        try:
            async with session.post(self._url, json=body, headers=headers) as reply:
                async for piece in reply.content.iter_any():
                    received += piece
                if reply.status != 200:
                    self.seen.refused[mark] = json.loads(received)["error"]["code"]
                    await asyncio.sleep(RETRY_S)
                elif is_stream and not received.endswith(b"data: [DONE]\n\n"):
                    self.seen.broken[mark] = len(received)
                else:
                    self.seen.answered[mark] = reply.headers["x-modelbridge-call-id"]
        except aiohttp.ClientConnectorError:
            self.seen.unreached += 1
            await asyncio.sleep(RETRY_S)
        except (aiohttp.ClientError, TimeoutError):
            self.seen.broken[mark] = len(received)
