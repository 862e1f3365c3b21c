"""A load generator: requests over keep-alive connections from one process; prints what it saw as JSON.

python -m benchmarks.gateway_load '{"port": 8000, "path": "/v1/chat/completions", "headers": {}, "body": {}, ...}'
"""

import asyncio
import json
import sys
import time
from dataclasses import dataclass, field
from typing import Any

import uvloop


@dataclass(slots=True)
class Seen:
    """What came back."""

    whole_s: list[float] = field(default_factory=list[float])
    first_byte_s: list[float] = field(default_factory=list[float])
    bad: int = 0
    first_bad: str = ""
    events: int = 0


class Load:
    """`n` requests, `concurrency` at a time."""

    def __init__(self, task: dict[str, Any]) -> None:
        body = json.dumps(task["body"]).encode()
        headers = {"host": "127.0.0.1", "content-type": "application/json", **task["headers"]}
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        head = f"POST {task['path']} HTTP/1.1\r\n{lines}content-length: {len(body)}\r\n\r\n"
        self._request = head.encode() + body
        self._task = task
        self._left = int(task["n"])
        self.seen = Seen()

    async def run(self) -> float:
        """Seconds it took."""
        began = time.perf_counter()
        await asyncio.gather(*[self._connection() for _ in range(self._task["concurrency"])])
        return time.perf_counter() - began

    async def _connection(self) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._task["port"])
        while self._left > 0:
            self._left -= 1
            began = time.perf_counter()
            writer.write(self._request)
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            self.seen.first_byte_s.append(time.perf_counter() - began)
            body = await self._body(reader, head)
            self.seen.whole_s.append(time.perf_counter() - began)
            self.seen.events += body.count(b"data: ")
            if b" 200 " not in head[:20]:
                self.seen.bad += 1
                self.seen.first_bad = self.seen.first_bad or body[:300].decode(errors="replace")
        writer.close()

    @staticmethod
    async def _body(reader: asyncio.StreamReader, head: bytes) -> bytes:
        place = head.find(b"content-length:")
        if place >= 0:
            return await reader.readexactly(int(head[place + 15 :].split(b"\r\n")[0]))
        pieces: list[bytes] = []
        while True:
            size = int((await reader.readline()).split(b";")[0], 16)
            pieces.append((await reader.readexactly(size + 2))[:-2])
            if size == 0:
                return b"".join(pieces)


async def report() -> None:
    """Load, and print."""
    load = Load(json.loads(sys.argv[1]))
    wall_s = await load.run()
    seen = load.seen
    whole, first = sorted(seen.whole_s), sorted(seen.first_byte_s)
    print(
        json.dumps(
            {
                "wall_s": wall_s,
                "p50_ms": whole[len(whole) // 2] * 1e3,
                "p95_ms": whole[int(len(whole) * 0.95)] * 1e3,
                "p99_ms": whole[int(len(whole) * 0.99)] * 1e3,
                "first_byte_p50_ms": first[len(first) // 2] * 1e3,
                "events": seen.events,
                "bad": seen.bad,
                "first_bad": seen.first_bad,
            }
        )
    )


if __name__ == "__main__":
    uvloop.run(report())
