"""A provider that keeps books of its own: what it was asked, what it billed, and whom it shot.

    python -m benchmarks.ledger_upstream PORT

Every request carries a mark in its prompt; tokens follow from the mark, a few marks fail the first time. An order to
kill (POST /control) makes it end the gateway's process (kill -9) in the middle of the next stream, or the instant it
has handed over the next whole answer: nobody else can hit that moment.
"""

import asyncio
import json
import os
import signal
import sys
import time
import zlib
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

PIECES = 6
PIECE_S = 0.004
SHOWN_S = 0.03
"""A stream is cut this long after half of it was sent, so that the client has read that half."""
FAILS_EACH = 40
"""One mark in so many fails the first time: 500, not billed."""
INPUT_NANO_USD, OUTPUT_NANO_USD = 1000, 2000
"""Of a token: 1 and 2 USD a million."""


def usage_of(mark: str) -> tuple[int, int]:
    """Input and output tokens that are billed for a mark."""
    chance = zlib.crc32(mark.encode())
    return 40 + chance % 97, 5 + chance % 31


def fails_first(mark: str) -> bool:
    """Does the first attempt for the mark fail?"""
    return zlib.crc32(mark.encode()[::-1]) % FAILS_EACH == 0


def bill_nano_usd(mark: str) -> int:
    """What an answer to the mark costs."""
    given, produced = usage_of(mark)
    return given * INPUT_NANO_USD + produced * OUTPUT_NANO_USD


@dataclass(slots=True)
class Books:
    """What came in, and who is to be killed next."""

    asked: dict[str, int] = field(default_factory=dict[str, int])
    """Requests, by mark."""
    order: dict[str, Any] | None = None
    kills: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])

    def taken_order(self, kind: str) -> int | None:
        """The process to kill at a request of this kind; only one request gets it."""
        if self.order is None or self.order["kind"] != kind:
            return None
        pid, self.order = int(self.order["pid"]), None
        return pid


class Upstream:
    """Answers chat completions, whole and streamed."""

    def __init__(self) -> None:
        self.books = Books()

    async def chat(self, request: web.Request) -> web.StreamResponse:
        body = json.loads(await request.read())
        mark = str(body["messages"][-1]["content"]).split()[0]
        times = self.books.asked[mark] = self.books.asked.get(mark, 0) + 1
        if fails_first(mark) and times == 1:
            return web.json_response({"error": {"message": "try again", "type": "server_error"}}, status=500)
        return await (self._stream(request, mark) if body.get("stream") else self._whole(request, mark))

    async def _whole(self, request: web.Request, mark: str) -> web.StreamResponse:
        message = {"role": "assistant", "content": "x" * 200}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        answer = json.dumps({"id": "1", "model": "m", "choices": [choice], "usage": _usage(mark)}).encode()
        response = web.Response(body=answer, content_type="application/json")
        pid = self.books.taken_order("answer")
        if pid is None:
            return response
        await response.prepare(request)
        await response.write_eof()
        self._kill(pid, "answer", mark, sent=f"all {len(answer)} bytes of the answer")
        return response

    async def _stream(self, request: web.Request, mark: str) -> web.StreamResponse:
        pid = self.books.taken_order("stream")
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        for number in range(PIECES):
            if pid is not None and number == PIECES // 2:
                await asyncio.sleep(SHOWN_S)
                self._kill(pid, "stream", mark, sent=f"{number} of {PIECES} pieces")
                return response
            choice = {"index": 0, "delta": {"content": f"word{number} "}, "finish_reason": None}
            await response.write(_event({"choices": [choice]}))
            await asyncio.sleep(PIECE_S)
        await response.write(_event({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}))
        await response.write(_event({"choices": [], "usage": _usage(mark)}) + b"data: [DONE]\n\n")
        return response

    def _kill(self, pid: int, kind: str, mark: str, *, sent: str) -> None:
        os.kill(pid, signal.SIGKILL)
        self.books.kills.append({"kind": kind, "mark": mark, "sent": sent, "at": time.time()})

    async def give_order(self, request: web.Request) -> web.Response:
        self.books.order = json.loads(await request.read())
        return web.json_response({})

    async def show(self, request: web.Request) -> web.Response:
        del request
        return web.json_response({"asked": self.books.asked, "kills": self.books.kills})


def _usage(mark: str) -> dict[str, int]:
    given, produced = usage_of(mark)
    return {"prompt_tokens": given, "completion_tokens": produced, "total_tokens": given + produced}


def _event(body: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps({"id": "1", "model": "m", **body}).encode() + b"\n\n"


def serve(port: int) -> None:
    """Until it is ended."""
    upstream, app = Upstream(), web.Application()
    app.router.add_post("/v1/chat/completions", upstream.chat)
    app.router.add_post("/control", upstream.give_order)
    app.router.add_get("/control", upstream.show)
    web.run_app(app, host="127.0.0.1", port=port, print=None, access_log=None)


if __name__ == "__main__":
    serve(int(sys.argv[1]))
