"""The gateway under test: `modelbridge serve` in a process of its own, to be killed and started again."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from ruamel.yaml import YAML

from bridge.call_record import Dispatch
from platform_api.usage.journal import segments
from platform_api.usage.journal_frames import Frame, StoredCall, decode_frame, read_frames

ROOT = Path(__file__).parents[1]
START_LIMIT_S = 150.0
PRICED = {"input_usd_per_mtok": 1.0, "output_usd_per_mtok": 2.0, "max_output_tokens": 4096, "context_window": 32768}


@dataclass(frozen=True, slots=True)
class Unfinished:
    """An attempt that a killed process had dispatched, as its journal tells it."""

    mark: str | None
    attempt_id: str
    is_settled: bool


class Server:
    """One gateway after another on the same port, home and database."""

    def __init__(self, home: Path, port: int, upstream: int, database_url: str) -> None:
        self.home = home
        self.port = port
        self.n_starts = 0
        self._process: subprocess.Popen[bytes] | None = None
        home.mkdir()
        config: dict[str, Any] = {
            "providers": {"fast": {"dialect": "openai", "base_url": f"http://127.0.0.1:{upstream}/v1", "api_key": "k"}},
            "models": {"fast/m": PRICED},
            "aliases": {"measured": {"policy": "priority", "candidates": ["fast/m"]}},
            "retry": {"base_s": 0.01},
            "engine": {"durable": "off"},
        }
        with (home / "modelbridge.yaml").open("w") as file:
            YAML().dump(config, file)
        own = {"MODELBRIDGE_HOME": str(home), "MODELBRIDGE_CONFIG": str(home / "modelbridge.yaml")}
        self._environment = {**os.environ, **own, "DATABASE_URL": database_url, "MODELBRIDGE_LOG_LEVEL": "WARNING"}

    @property
    def pid(self) -> int:
        """Of the process that serves."""
        assert self._process is not None
        return self._process.pid

    async def start(self) -> None:
        """Return when it answers. Raises RuntimeError with the end of its log."""
        process = self._spawned()
        give_up_s = time.monotonic() + START_LIMIT_S
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.port}", timeout=5) as client:
            while time.monotonic() < give_up_s and process.poll() is None:
                try:
                    await client.get("/healthz")
                except httpx.TransportError:
                    await asyncio.sleep(0.02)
                else:
                    return
        log = (self.home / "log").read_text(errors="replace")
        raise RuntimeError(f"the gateway does not start:\n{log[-2000:]}")

    def _spawned(self) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-m", "platform_api.cli.main", "serve", "--port", str(self.port)]
        with (self.home / "log").open("ab") as out:
            self._process = subprocess.Popen(command, stdout=out, stderr=out, env=self._environment, cwd=ROOT)
        self.n_starts += 1
        return self._process

    async def owner(self) -> tuple[str, str]:
        """A new organisation with a budget: its id, and a key."""
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.port}", timeout=30) as client:
            person = {"email": "b@example.com", "password": "correct horse battery", "name": "B", "organization": "B"}
            registered = (await client.post("/api/auth/register", json=person)).raise_for_status().json()
            client.headers["authorization"] = f"Bearer {registered['access_token']}"
            budget = {"scope": "organization", "limit_usd": 10_000, "period": "total"}
            (await client.post("/api/budgets", json=budget)).raise_for_status()
            made = (await client.post("/api/auth/api-keys", json={"name": "bench"})).raise_for_status().json()
            return str(registered["organization"]["id"]), str(made["key"])

    def kill(self) -> None:
        """kill -9."""
        os.kill(self.pid, signal.SIGKILL)

    async def died(self) -> None:
        """Return when the process is gone, whoever killed it."""
        assert self._process is not None
        await asyncio.wait_for(asyncio.to_thread(self._process.wait), START_LIMIT_S)

    async def stop(self) -> None:
        """End it in order."""
        os.kill(self.pid, signal.SIGTERM)
        await self.died()

    def end(self) -> None:
        """Leave nothing behind, whatever happened."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def unfinished(self) -> list[Unfinished]:
        """Attempts in journals that nobody has drained, of calls without a record."""
        frames = self._frames()
        over = {frame.call_id for frame in frames if isinstance(frame, StoredCall)}
        settled = {frame.attempt.attempt_id for frame in frames if not isinstance(frame, StoredCall | Dispatch)}
        return [
            Unfinished(frame.context.request_id, frame.attempt_id, frame.attempt_id in settled)
            for frame in frames
            if isinstance(frame, Dispatch) and frame.call_id not in over
        ]

    def journalled_calls(self) -> set[str]:
        """Ids of the calls whose records are in journals that nobody has removed."""
        return {frame.call_id for frame in self._frames() if isinstance(frame, StoredCall)}

    def journals(self) -> list[str]:
        """What is left under the journal's root."""
        root = self.home / "journal"
        return sorted(path.name for path in root.iterdir()) if root.exists() else []

    def _frames(self) -> list[Frame]:
        return [
            decode_frame(payload)
            for name in self.journals()
            for path in segments(self.home / "journal" / name)
            for payload in read_frames(path, max_frames=1_000_000).payloads
        ]
