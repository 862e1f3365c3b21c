"""The private Prefect API does not outlive the process that keeps it."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.peer, pytest.mark.timeout(120)]

ROOT = Path(__file__).parents[2]
KEEPER = """
import asyncio, sys
from pathlib import Path
from flows.prefect_server import PrefectServer
async def keep():
    home = Path(sys.argv[1])
    server = PrefectServer(home, database_url=f"sqlite+aiosqlite:///{home / 'prefect.db'}")
    await server.start()
    await server.wait_until_ready()
    (home / "pid.new").write_text(str(server.pid))
    (home / "pid.new").rename(home / "pid")
    await asyncio.sleep(100)
asyncio.run(keep())
"""


async def test_a_killed_keeper_takes_its_prefect_api_along(tmp_path: Path) -> None:
    keeper = subprocess.Popen([sys.executable, "-c", KEEPER, str(tmp_path)], cwd=ROOT)
    try:
        async with asyncio.timeout(90):
            while not (tmp_path / "pid").exists():
                assert keeper.poll() is None
                await asyncio.sleep(0.1)
    finally:
        keeper.kill()
        keeper.wait()
    pid = int((tmp_path / "pid").read_text())

    async with asyncio.timeout(20):
        while is_alive(pid):
            await asyncio.sleep(0.1)


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False
