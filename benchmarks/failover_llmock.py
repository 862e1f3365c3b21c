"""llmock as an outside judge of retries: a server that nobody here wrote watches what the bridge does to it.

(a) Strict, with a single target: its verdict must be clean, warnings included. (b) With a fallback at the same
server: it takes going elsewhere for giving up, so `gave_up` and `truncated_stream_accepted` are accepted there, and
the caller's side is judged here: a whole answer or a typed error, never a cut answer that looks finished.
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
TOLERATED = frozenset({"gave_up", "truncated_stream_accepted"})
START_S = 20.0


@dataclass(frozen=True, slots=True)
class Case:
    """What the server does, and how the caller asks."""

    name: str
    behaviors: tuple[dict[str, Any], ...]
    stream: bool = False
    wants_error: bool = False


def fail(status: int, **more: Any) -> dict[str, Any]:
    """A refusal, once."""
    return {"type": "fail", "status": status, **more}


def stream_fault(kind: str, **more: Any) -> dict[str, Any]:
    """A broken stream, once, before its first token."""
    return {"type": "stream_fault", "kind": kind, "after_chunks": 0, **more}


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
    Case("429 on a stream", (fail(429, retry_after=1),), stream=True),
)


async def run() -> bool:
    """Both ways, in every dialect llmock speaks; prints its verdicts. Are all clean?"""
    is_clean = True
    for dialect, path in PATHS.items():
        for has_fallback in (False, True):
            async with llmock() as server:
                problems = await judged(server, f"{server}{path}", dialect, has_fallback=has_fallback)
            how = "with a fallback" if has_fallback else "strict, one target"
            print(f"llmock {dialect:<10} {how:<20} {'clean' if not problems else '; '.join(problems)}")
            is_clean = is_clean and not problems
    return is_clean


async def judged(server: str, base_url: str, dialect: str, *, has_fallback: bool) -> list[str]:
    """All cases, then the verdict; what is wrong with it."""
    problems: list[str] = []
    async with aiohttp.ClientSession() as admin:
        for case in CASES:
            bridge = bridge_for(base_url, dialect, has_fallback=has_fallback)
            match = {"match": {"model": "first*"}} if has_fallback else {}
            behaviors = [{**behavior, **match} for behavior in case.behaviors]
            await admin.delete(f"{server}/_llmock/scenario")
            if behaviors:
                async with admin.post(f"{server}/_llmock/scenario", json={"behaviors": behaviors}) as reply:
                    if reply.status >= 300:
                        raise RuntimeError(await reply.text())
            error = await ask(bridge, f"{case.name}?", stream=case.stream)
            goes_on = has_fallback and case.name in ("401", "404")
            if (error is not None) != (case.wants_error and not goes_on):
                problems.append(f"{case.name}: {error or 'answered'}")
            await bridge.aclose()
        async with admin.get(f"{server}/_llmock/verdict") as reply:
            verdict = json.loads(await reply.text())
    for finding in verdict["findings"]:
        code = str(finding["code"])
        if not (has_fallback and code in TOLERATED):
            problems.append(f"{code}: {finding['title']}")
    return problems


async def ask(bridge: Bridge, prompt: str, *, stream: bool) -> str | None:
    """The error of one call; None when it was answered."""
    request = ChatRequest("pair", (Message.of("user", prompt),), max_output_tokens=64)
    try:
        async with asyncio.timeout(45):
            if not stream:
                await bridge.chat(request, CONTEXT)
                return None
            async for _ in bridge.stream(request, CONTEXT):
                pass
    except BridgeError as error:
        return f"{type(error).__name__}: {error}"
    except TimeoutError:
        return "hung"
    return None


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
