"""Makes `.venv` and fills it from the hash-locked sets. Needs only Python 3.11+ with venv and pip.

    python3 deploy/setup.py run      what running needs
    python3 deploy/setup.py test     the checks and tests as well, and a look at every server they start

Quiet, idempotent, and skipped in a few milliseconds when nothing changed since the last time.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
BIN = VENV / "bin"
SETS = {"run": ("runtime", "local"), "test": ("test", "local")}
OLDEST = (3, 11)


def main(level: str) -> int:
    """Bring `.venv` to `level`; 0 when it is there, 2 with one line saying what is missing."""
    if sys.version_info < OLDEST:
        return rerun_with_newer_python(level)
    if is_current(level):
        return 0
    started = time.monotonic()
    try:
        install(level)
    except subprocess.CalledProcessError as error:
        print(f"setup: {' '.join(map(str, error.cmd[:6]))} ... failed; see the lines above", file=sys.stderr)
        return 2
    problems = missing_peers() if level == "test" else []
    if problems:
        print("setup: missing " + "; ".join(problems), file=sys.stderr)
        return 2
    for done in ("run", level):
        stamp(done).write_text(wanted(done), encoding="utf-8")
    print(f"setup: ready in {time.monotonic() - started:.0f} s")
    return 0


def rerun_with_newer_python(level: str) -> int:
    """Start again with the newest python3.x on PATH that is new enough."""
    for minor in range(14, OLDEST[1] - 1, -1):
        found = shutil.which(f"python3.{minor}")
        if found:
            return subprocess.call([found, __file__, level])
    print("setup: needs Python 3.11 or newer; install python3.11 and its venv module", file=sys.stderr)
    return 2


def stamp(level: str) -> Path:
    """The file that remembers what `.venv` was filled from."""
    return VENV / f".modelbridge-{level}"


def wanted(level: str) -> str:
    """A fingerprint of everything an installation of `level` depends on."""
    digest = hashlib.sha256(sys.version.encode())
    for name in ("setup", *SETS[level]):
        digest.update((ROOT / "requirements" / f"{name}.txt").read_bytes())
    digest.update((ROOT / "pyproject.toml").read_bytes())
    digest.update(str(ROOT).encode())
    return digest.hexdigest()


def is_current(level: str) -> bool:
    """Is `.venv` filled from exactly these files?"""
    mark = stamp(level)
    return mark.exists() and mark.read_text(encoding="utf-8") == wanted(level) and (BIN / "modelbridge").exists()


def install(level: str) -> None:
    """Make the environment, then install the locked sets and this project into it."""
    if not (BIN / "python").exists():
        print("setup: making .venv", flush=True)
        run(sys.executable, "-m", "venv", VENV)
    if not (BIN / "uv").exists():
        run(BIN / "python", "-m", "pip", "install", "-q", "--require-hashes", *files("setup"))
    print(f"setup: installing {level} packages from requirements/ (about a minute the first time)", flush=True)
    locked = ("--no-deps", "--require-hashes", *files("setup", *SETS[level]))
    if run(BIN / "uv", "pip", "install", "-q", *locked, may_fail=True) != 0:
        print("setup: once more with pip, which is slower but knows your pip settings", flush=True)
        run(BIN / "python", "-m", "pip", "install", "-q", *locked)
    run(BIN / "uv", "pip", "install", "-q", "--no-deps", "--no-build-isolation", "-e", ROOT)


def files(*names: str) -> list[str]:
    """The `-r` options for locked sets."""
    return [part for name in names for part in ("-r", str(ROOT / "requirements" / f"{name}.txt"))]


def run(*command: str | Path, may_fail: bool = False) -> int:
    """Run a program with the caller's package settings passed on to uv; its output is shown."""
    environment = {**os.environ, "VIRTUAL_ENV": str(VENV), "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    for pip_name, uv_name in (("PIP_INDEX_URL", "UV_DEFAULT_INDEX"), ("PIP_CERT", "SSL_CERT_FILE")):
        if os.environ.get(pip_name):
            environment.setdefault(uv_name, os.environ[pip_name])
    environment.setdefault("UV_LINK_MODE", "copy")
    environment.setdefault("UV_SYSTEM_CERTS", "true")
    done = subprocess.run([str(part) for part in command], env=environment, check=not may_fail)
    return done.returncode


def missing_peers() -> list[str]:
    """What the suite would not find, each with the command that brings it."""
    asked = subprocess.run(
        [str(BIN / "python"), "-m", "tests.support.peers"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    lines = [line for line in asked.stdout.splitlines() if line.startswith("missing ")]
    if asked.returncode not in (0, 1):
        lines.append("missing tests.support.peers could not be run")
    return [line.removeprefix("missing ") for line in lines]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "test"))
