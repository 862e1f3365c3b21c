"""Child processes that start together, are started again when they fall, and end together.

Each child has a process group of its own, so that Ctrl-C reaches only the supervisor, which then ends them in order.
A child whose supervisor is killed is ended by the kernel (Linux) instead of being left behind.
"""

import asyncio
import logging
import os
import signal
import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from flows.child_process import end_with_parent

logger = logging.getLogger(__name__)

RESTARTS = 5
"""How often a child that falls is started again before the supervisor gives up on it."""


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """A program to keep running. Its output goes to `log`; it has `grace_s` to end after SIGTERM."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    log: Path
    grace_s: float = 30.0


@dataclass(slots=True)
class Supervisor:
    """Keeps children running. `fallen` is set when one could not be kept up; `why` says which."""

    fallen: asyncio.Event = field(default_factory=asyncio.Event)
    why: str = ""
    _processes: dict[str, asyncio.subprocess.Process] = field(default_factory=dict[str, asyncio.subprocess.Process])
    _specs: list[ChildSpec] = field(default_factory=list[ChildSpec])
    _keepers: list[asyncio.Task[None]] = field(default_factory=list[asyncio.Task[None]])

    async def start(self, spec: ChildSpec) -> None:
        """Start a child and keep it running until `stop`."""
        self._specs.append(spec)
        self._processes[spec.name] = await _spawn(spec)
        self._keepers.append(asyncio.create_task(self._keep(spec), name=f"keep {spec.name}"))

    def is_running(self, name: str) -> bool:
        """Is that child alive now?"""
        process = self._processes.get(name)
        return process is not None and process.returncode is None

    async def stop(self) -> None:
        """End all children, the last started first; whoever ignores SIGTERM for its grace is killed."""
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)
        for spec in reversed(self._specs):
            process = self._processes.get(spec.name)
            if process is not None and process.returncode is None:
                await _end(process, spec.grace_s)

    async def _keep(self, spec: ChildSpec) -> None:
        for restart in range(RESTARTS + 1):
            code = await self._processes[spec.name].wait()
            logger.warning("child_ended", extra={"child": spec.name, "code": code, "restart": restart})
            await asyncio.sleep(min(0.5 * 2**restart, 10.0))
            if restart < RESTARTS:
                self._processes[spec.name] = await _spawn(spec)
        self.why = f"{spec.name} ended {RESTARTS + 1} times; its log is {spec.log}"
        self.fallen.set()


async def _spawn(spec: ChildSpec) -> asyncio.subprocess.Process:
    spec.log.parent.mkdir(parents=True, exist_ok=True)
    with spec.log.open("ab") as log:
        return await asyncio.create_subprocess_exec(
            *spec.command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=dict(spec.environment),
            process_group=0,
            preexec_fn=end_with_parent(),
        )


async def _end(process: asyncio.subprocess.Process, grace_s: float) -> None:
    with suppress(ProcessLookupError):
        process.terminate()
        try:
            async with asyncio.timeout(grace_s):
                await process.wait()
        except TimeoutError:
            os.killpg(process.pid, signal.SIGKILL)
            await process.wait()


def is_port_free(host: str, port: int) -> bool:
    """May we listen there? True for port 0."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True
