"""llmock as an outside judge of retries: a server that nobody here wrote watches what the bridge does to it.

(a) Strict, with a single target: its verdict must be clean, warnings included. (b) With a fallback at the same
server: it takes going elsewhere for giving up (it knows a retry by the same request, and a rescue asks another), so
its findings of that kind are accepted there, and the caller's side is judged here: a whole answer or a typed error,
never a cut answer that looks finished.
"""

import asyncio
import json
import socket
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from bridge.call_record import CallContext
from bridge.chat import ChatRequest, Message
from bridge.config import BridgeConfig
from bridge.errors import BridgeError
from bridge.gateway import Bridge

CONTEXT = CallContext(org_id="bench")
PATHS = {"openai": "/v1", "anthropic": "/anthropic", "gemini": "/gemini", "cohere": "/cohere"}
TOLERATED = frozenset({"gave_up", "truncated_stream_accepted", "malformed_chunk_ignored"})
START_S = 30.0
ELSEWHERE = frozenset({"401", "404"})
"""Refusals that say nothing about the next target."""


ANSWER = " ".join(f"word{n:02d}" for n in range(24))
"""What it always says."""
SERVERS_AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class Case:
    """What the server does, and how the caller asks."""

    name: str
    behaviors: tuple[dict[str, Any], ...]
    stream: bool = False
    wants_error: bool = False
    needs_fallback: bool = False
    """Nobody else can take the answer up, so with one target an error is due, and the judge would call it giving up."""


def fail(status: int, **more: Any) -> dict[str, Any]:
    """A refusal, once."""
    return {"type": "fail", "status": status, **more}


def stream_fault(kind: str, after_chunks: int = 0, **more: Any) -> dict[str, Any]:
    """A broken stream, once; before its first token, if nothing else is said."""
    return {"type": "stream_fault", "kind": kind, "after_chunks": after_chunks, **more}


IN_THE_MIDDLE = 12
CASES: tuple[Case, ...] = (
    Case("healthy", ()),
    Case("healthy stream", (), stream=True),
    Case("429 with Retry-After 1", (fail(429, retry_after=1),)),
    Case("503 once", (fail(503, retry_after=1),)),
    Case("500 once", (fail(500),)),
    Case("400", (fail(400, times=None),), wants_error=True),
    Case("401", (fail(401, times=None),), wants_error=True),
    Case("404", (fail(404, times=None),), wants_error=True),
    Case("stream cut before the first token", (stream_fault("disconnect"),), stream=True),
    Case("stream ended before the first token", (stream_fault("truncate"),), stream=True),
    Case("malformed chunk before the first token", (stream_fault("malformed"),), stream=True),
    Case("429 on a stream", (fail(429, retry_after=1),), stream=True),
    *(
        Case(f"{kind} in mid-stream", (stream_fault(kind, IN_THE_MIDDLE),), stream=True, needs_fallback=True)
        for kind in ("disconnect", "truncate")
    ),
    Case("stall in mid-stream", (stream_fault("stall", IN_THE_MIDDLE, stall_seconds=60),), True, needs_fallback=True),
)


async def run() -> bool:
    """Both ways, in every dialect llmock speaks, side by side; prints its verdicts. Are all clean?"""
    slots = asyncio.Semaphore(SERVERS_AT_ONCE)

    async def one(dialect: str, path: str, *, has_fallback: bool) -> bool:
        async with slots, llmock() as server:
            problems = await judged(server, f"{server}{path}", dialect, has_fallback=has_fallback)
        how = "with a fallback" if has_fallback else "strict, one target"
        print(f"llmock {dialect:<10} {how:<20} {'; '.join(problems) or 'clean'}")
        return not problems

    return all(
        await asyncio.gather(
            *(one(*dialect, has_fallback=has_fallback) for dialect in PATHS.items() for has_fallback in (True, False))
        )
    )


async def judged(server: str, base_url: str, dialect: str, *, has_fallback: bool) -> list[str]:
    """All cases, then the verdict; what is wrong with it."""
    problems: list[str] = []
    async with aiohttp.ClientSession() as admin:
        for case in CASES:
            if case.needs_fallback and not has_fallback:
                continue
            bridge = bridge_for(base_url, dialect, has_fallback=has_fallback)
            match = {"match": {"model": "first*"}} if has_fallback else {}
            behaviors = [{**behavior, **match} for behavior in case.behaviors]
            await admin.delete(f"{server}/_llmock/scenario")
            say = {"type": "reply", "text": ANSWER, "times": None}
            async with admin.post(f"{server}/_llmock/scenario", json={"behaviors": [*behaviors, say]}) as reply:
                if reply.status >= 300:
                    raise RuntimeError(await reply.text())
            text, error = await ask(bridge, f"{case.name}?", stream=case.stream)
            await bridge.aclose()
            wants_error = case.wants_error and not (has_fallback and case.name in ELSEWHERE)
            if (error is not None) != wants_error:
                problems.append(f"{case.name}: {error or 'answered'}")
            elif error is None and text != ANSWER:
                problems.append(f"{case.name}: a cut answer looked finished ({text!r})")
        async with admin.get(f"{server}/_llmock/verdict") as reply:
            verdict = json.loads(await reply.text())
    for finding in verdict["findings"]:
        code = str(finding["code"])
        if not (has_fallback and code in TOLERATED):
            problems.append(f"{code}: {finding['title']}")
    return problems


async def ask(bridge: Bridge, prompt: str, *, stream: bool) -> tuple[str, str | None]:
    """Text and error of one call."""
    request = ChatRequest("pair", (Message.of("user", prompt),), max_output_tokens=256)
    pieces: list[str] = []
    try:
        async with asyncio.timeout(45):
            if not stream:
                return (await bridge.chat(request, CONTEXT)).response.text, None
            async for chunk in bridge.stream(request, CONTEXT):
                pieces.append(chunk.text)
    except BridgeError as error:
        return "".join(pieces), f"{type(error).__name__}: {error}"
    except TimeoutError:
        return "".join(pieces), "hung"
    return "".join(pieces), None


def bridge_for(base_url: str, dialect: str, *, has_fallback: bool) -> Bridge:
    """One target, or two models of one server."""
    names = ["first/m", "second/m"] if has_fallback else ["first/m"]
    return Bridge(
        BridgeConfig.parse(
            {
                "providers": {
                    name.split("/")[0]: {"dialect": dialect, "base_url": base_url, "api_key": "k"} for name in names
                },
                "models": {
                    name: {"model_id": f"{name.split('/')[0]}-model", "capabilities": ["chat", "stream"]}
                    for name in names
                },
                "aliases": {"pair": {"policy": "priority", "candidates": names}},
            }
        )
    )


@asynccontextmanager
async def llmock() -> AsyncGenerator[str, None]:
    """A fresh server on a free loopback port; its URL."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = str(Path(sys.executable).with_name("llmock"))
    process = await asyncio.create_subprocess_exec(
        command, "serve", "--host", "127.0.0.1", "--port", str(port), "--log-level", "error",
        "--stream-chunk-delay-ms", "4",
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        await _until_up(f"http://127.0.0.1:{port}")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        await process.wait()


async def _until_up(url: str) -> None:
    async with asyncio.timeout(START_S), aiohttp.ClientSession() as session:
        while True:
            try:
                async with session.get(f"{url}/_llmock/verdict"):
                    return
            except aiohttp.ClientError:
                await asyncio.sleep(0.1)
