"""Children are kept up, end together, and do not outlive a killed supervisor."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from platform_api.supervisor import ChildSpec, Supervisor, is_port_free
from tests.support.peers import free_port

pytestmark = pytest.mark.peer

WRITE_PID = "import os, sys, time; open(sys.argv[1], 'a').write(f'{os.getpid()}\\n'); time.sleep(60)"


def child(place: Path, name: str = "sleeper") -> ChildSpec:
    return ChildSpec(name, (sys.executable, "-c", WRITE_PID, str(place / name)), dict(os.environ), place / "log", 5.0)


async def pids(place: Path, count: int, name: str = "sleeper") -> list[int]:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        lines = (place / name).read_text().split() if (place / name).exists() else []
        if len(lines) >= count:
            return [int(line) for line in lines]
        await asyncio.sleep(0.02)
    raise AssertionError(f"fewer than {count} starts of {name}")


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"


async def test_a_child_that_falls_is_started_again_and_all_end_on_stop(tmp_path: Path) -> None:
    supervisor = Supervisor()
    await supervisor.start(child(tmp_path))
    first = (await pids(tmp_path, 1))[0]

    os.kill(first, signal.SIGKILL)
    second = (await pids(tmp_path, 2))[1]
    await supervisor.stop()

    assert first != second
    assert not is_alive(second)
    assert not supervisor.is_running("sleeper")


async def test_children_do_not_outlive_a_killed_supervisor(tmp_path: Path) -> None:
    program = (
        "import asyncio, os, sys; from pathlib import Path\n"
        "from tests.integration.platform_api.test_supervisor import child\n"
        "from platform_api.supervisor import Supervisor\n"
        "async def main():\n"
        "    await Supervisor().start(child(Path(sys.argv[1])))\n"
        "    await asyncio.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], env={**os.environ, "PYTHONPATH": "."})
    pid = (await pids(tmp_path, 1))[0]

    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 5
    while is_alive(pid) and time.monotonic() < deadline:
        await asyncio.sleep(0.02)

    assert not is_alive(pid)


def test_a_taken_port_is_seen() -> None:
    port = free_port()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()

        assert not is_port_free("127.0.0.1", port)
    assert is_port_free("127.0.0.1", port)
