"""What tracing adds to a request: CPU of `/v1/chat/completions` without it, with traces nobody records, and with all.

    python -m benchmarks.tracing

Three platforms in this process, a mock that answers at once, rounds in turn, no server and no client: CPU is that of
the whole process, the mock and the sending thread included. The collector is another process. The goal is that what
is not recorded costs next to nothing, and that recording every request does not double it. Exits 1 when one is missed.
"""

import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, MutableMapping
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import Any

from platform_api.migrations.runner import upgrade
from platform_api.structured_logging import configure_logging
from tests.support.platform import Platform, running_platform

ROUNDS = 9
REQUESTS = 200
CONCURRENCY = 8
UNRECORDED_GOAL, RECORDED_GOAL = 1.05, 2.0
BODY = b'{"model": "cheap", "messages": [{"role": "user", "content": "What is the capital of France?"}]}'
UNRECORDED = {"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"}
COLLECTOR = """
import http.server
class Taken(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()
    def log_message(self, *_):
        pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Taken)
print(server.server_port, flush=True)
server.serve_forever()
"""


@contextmanager
def collector() -> Generator[str]:
    """The address of a collector that takes everything."""
    with subprocess.Popen([sys.executable, "-c", COLLECTOR], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        finally:
            process.kill()


async def asked(platform: Platform, headers: dict[str, str]) -> int:
    """The status of one request, handed to the application as a server would."""
    given = {"authorization": f"Bearer {platform.key}", "content-type": "application/json", **headers}
    scope: dict[str, Any] = {
        "type": "http",
        "method": "POST",
        "path": "/v1/chat/completions",
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in given.items()],
    }
    status, is_read = 0, False

    async def receive() -> dict[str, Any]:
        nonlocal is_read
        if is_read:
            await asyncio.Event().wait()
        is_read = True
        return {"type": "http.request", "body": BODY}

    async def send(message: MutableMapping[str, Any]) -> None:
        nonlocal status
        status = message.get("status", status)

    await platform.app(scope, receive, send)
    return status


async def round_us(platform: Platform, headers: dict[str, str]) -> float:
    """CPU of one request, in microseconds."""

    async def ask(n_requests: int) -> None:
        for _ in range(n_requests):
            assert await asked(platform, headers) == 200

    began_s = time.process_time()
    await asyncio.gather(*(ask(REQUESTS // CONCURRENCY) for _ in range(CONCURRENCY)))
    tracing = platform.app.state.runtime.telemetry.tracing
    if tracing is not None:
        await tracing.flush()
    return (time.process_time() - began_s) / REQUESTS * 1e6


async def measured(endpoint: str, folder: Path) -> dict[str, float]:
    """Medians by name."""
    found: dict[str, list[float]] = {"off": [], "unrecorded": [], "recorded": []}
    async with AsyncExitStack() as stack:
        platforms: dict[str, Platform] = {}
        for name in found:
            home = folder / name
            home.mkdir()
            url = f"sqlite+aiosqlite:///{home / 'modelbridge.db'}"
            await asyncio.to_thread(upgrade, url)
            where = "" if name == "off" else endpoint
            opened = running_platform(url, home, MODELBRIDGE_OTLP_ENDPOINT=where)
            platforms[name] = await stack.enter_async_context(opened)
        for number in range(ROUNDS + 1):
            for name, platform in platforms.items():
                cpu_us = await round_us(platform, UNRECORDED if name == "unrecorded" else {})
                if number > 0:
                    found[name].append(cpu_us)
    return {name: statistics.median(seen) for name, seen in found.items()}


def main() -> int:
    """Print the figures; 1 when a goal is missed."""
    with collector() as endpoint, tempfile.TemporaryDirectory() as folder, Path("/dev/null").open("w") as log:
        configure_logging("INFO", log)
        figures = asyncio.run(measured(endpoint, Path(folder)))
    off = figures["off"]
    goals = {"off": 1.0, "unrecorded": UNRECORDED_GOAL, "recorded": RECORDED_GOAL}
    missed = [name for name, goal in goals.items() if figures[name] / off > goal]
    print("tracing          CPU     of off    goal")
    for name, cpu_us in figures.items():
        print(f"{name:12} {cpu_us:6.0f} us  {cpu_us / off:6.2f}x  {goals[name]:5.2f}x{' MISSED' * (name in missed)}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
