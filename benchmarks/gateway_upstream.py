"""A provider that answers at once: chat completions, streams and messages with fixed bytes. One process, loopback.

    python -m benchmarks.gateway_upstream PORT EVENTS

A hand-written protocol, so that what is measured is whoever stands in front of it.
"""

import asyncio
import json
import sys
from typing import cast

import uvloop

TEXT = "The capital of France is Paris, which lies on the Seine. " * 6
USED = {"prompt_tokens": 90, "completion_tokens": 60, "total_tokens": 150}


def head(kind: str, length: int) -> bytes:
    return f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\r\n".encode()


def whole(body: object) -> bytes:
    raw = json.dumps(body).encode()
    return head("application/json", len(raw)) + raw


def completion() -> bytes:
    message = {"role": "assistant", "content": TEXT, "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    known = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1700000000, "model": "fast"}
    return whole({**known, "choices": [choice], "usage": USED})


def message() -> bytes:
    known = {"id": "msg_1", "type": "message", "role": "assistant", "model": "fast", "stop_reason": "end_turn"}
    used = {"input_tokens": 90, "output_tokens": 60}
    return whole({**known, "content": [{"type": "text", "text": TEXT}], "usage": used})


def stream(n_events: int) -> bytes:
    """All events in one burst."""
    known = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1700000000, "model": "fast"}

    def event(delta: object, finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return b"data: " + json.dumps({**known, "choices": [choice]}).encode() + b"\n\n"

    events = [event({"role": "assistant", "content": ""})]
    events += [event({"content": f" word{n}"}) for n in range(n_events)]
    events += [event({}, "stop"), b"data: " + json.dumps({**known, "choices": [], "usage": USED}).encode() + b"\n\n"]
    raw = b"".join([*events, b"data: [DONE]\n\n"])
    return head("text/event-stream", len(raw)) + raw


class Upstream(asyncio.Protocol):
    """HTTP/1.1 with keep-alive, as much of it as clients of this benchmark send."""

    completion = completion()
    message = message()
    stream = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are no subclass
        self._received = b""

    def data_received(self, data: bytes) -> None:
        self._received += data
        while (end := self._received.find(b"\r\n\r\n")) >= 0:
            lower = self._received[:end].lower()
            place = lower.find(b"content-length:")
            length = int(lower[place + 15 :].split(b"\r\n")[0]) if place >= 0 else 0
            if len(self._received) < end + 4 + length:
                return
            path, body = lower.split(b" ", 2)[1], self._received[end + 4 : end + 4 + length]
            self._received = self._received[end + 4 + length :]
            self._transport.write(self._reply(path, body))

    def _reply(self, path: bytes, body: bytes) -> bytes:
        if path.endswith(b"/messages"):
            return self.message
        is_stream = b'"stream":true' in body or b'"stream": true' in body
        return self.stream if is_stream else self.completion


async def serve(port: int, n_events: int) -> None:
    Upstream.stream = stream(n_events)
    server = await asyncio.get_running_loop().create_server(Upstream, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1]), int(sys.argv[2])))
