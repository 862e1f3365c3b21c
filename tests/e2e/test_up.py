"""`modelbridge up` on an empty machine: a real answer, a key that works, a durable lane, an orderly end."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.peers import free_port

pytestmark = [pytest.mark.peer, pytest.mark.timeout(240)]

READY_LIMIT_S = 120


class Up:
    """A running `modelbridge up` and what it has printed so far."""

    def __init__(self, place: Path, *options: str) -> None:
        self.port, self.studio_port = free_port(), free_port()
        self.printed = place / "printed"
        kept = {name: value for name, value in os.environ.items() if name in ("PATH", "LANG", "LD_LIBRARY_PATH")}
        ports = ("--port", str(self.port), "--studio-port", str(self.studio_port))
        with self.printed.open("wb") as sink:
            self.process = subprocess.Popen(
                [str(Path(sys.executable).parent / "modelbridge"), "up", *ports, *options],
                cwd=place,
                env={**kept, "HOME": str(place), "MODELBRIDGE_HOME": str(place / "home")},
                stdout=sink,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
            )

    def wait_for(self, text: str) -> str:
        """What was printed, once it holds `text`."""
        deadline = time.monotonic() + READY_LIMIT_S
        while time.monotonic() < deadline:
            said = self.printed.read_text()
            if text in said:
                return said
            assert self.process.poll() is None, said
            time.sleep(0.1)
        raise AssertionError(f"{text!r} was not printed: {self.printed.read_text()}")

    def value(self, name: str) -> str:
        """The word printed after `name`."""
        for line in self.wait_for(name).splitlines():
            if line.strip().startswith(name):
                return line.split()[-1]
        raise AssertionError(name)

    def end(self, number: signal.Signals) -> int:
        """Send a signal and wait for the end."""
        self.process.send_signal(number)
        return self.process.wait(timeout=60)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("up")


@pytest.fixture(scope="module")
def up(place: Path) -> Iterator[Up]:
    started = Up(place)
    yield started
    if started.process.poll() is None:
        started.end(signal.SIGTERM)


def test_the_demo_is_answered_by_the_local_model_at_a_known_cost(up: Up) -> None:
    said = up.wait_for("Ctrl-C stops everything")

    assert "status           succeeded" in said
    assert "answered by      local/smollm2" in said
    assert "cost             $0" in said


def test_the_printed_key_and_password_work(up: Up) -> None:
    key, password, email = up.value("api_key"), up.value("password"), up.value("email")
    with httpx.Client(base_url=f"http://127.0.0.1:{up.port}", timeout=90) as client:
        once = {"authorization": f"Bearer {key}", "idempotency-key": "order-1"}
        url, body = "/api/flows/support-triage/runs?wait=60", {"inputs": {"ticket": "The site is down"}}
        first, second = (client.post(url, json=body, headers=once) for _ in range(2))
        signed_in = client.post("/api/auth/login", json={"email": email, "password": password})

    assert first.status_code == 200
    assert first.json()["status"] == "succeeded"
    assert second.json()["run_id"] == first.json()["run_id"]
    assert signed_in.status_code == 200


def test_a_run_on_the_durable_lane_ends_like_an_inline_one(up: Up) -> None:
    up.wait_for("durable lane ready")
    with httpx.Client(base_url=f"http://127.0.0.1:{up.port}", timeout=90) as client:
        answer = client.post(
            "/api/flows/support-triage/runs?wait=60",
            json={"inputs": {"ticket": "I was charged twice"}, "engine": "prefect"},
            headers={"x-api-key": up.value("api_key")},
        )

    assert answer.json()["status"] == "succeeded"


def test_the_studio_answers(up: Up) -> None:
    assert httpx.get(f"http://127.0.0.1:{up.studio_port}/healthz", timeout=20).is_success


def test_a_taken_port_is_one_line_and_exit_2(up: Up, place: Path) -> None:
    up.wait_for("api_key")
    done = subprocess.run(
        [str(Path(sys.executable).parent / "modelbridge"), "up", "--port", str(up.port)],
        env={"PATH": os.environ["PATH"], "HOME": str(place), "MODELBRIDGE_HOME": str(place / "other")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 2
    assert f"port {up.port}" in done.stderr
    assert "Traceback" not in done.stderr


def test_ctrl_c_ends_everything_and_the_next_start_knows_the_same_owner(up: Up, place: Path) -> None:
    key = up.value("api_key")
    assert up.end(signal.SIGINT) == 130

    again = Up(place, "--no-demo", "--no-studio")
    try:
        assert again.value("api_key") == key
        assert httpx.get(f"http://127.0.0.1:{again.port}/readyz", timeout=5).is_success
    finally:
        assert again.end(signal.SIGTERM) == 0
