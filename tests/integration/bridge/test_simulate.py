"""`modelbridge simulate` as a program: every example keeps its bounds, and the same seed gives the same bytes."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.architecture.sources import ROOT

pytestmark = pytest.mark.peer
EXAMPLES = sorted((ROOT / "examples" / "simulations").glob("*.yaml"))


def simulate(*arguments: str | Path, hash_seed: str = "0") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "platform_api.cli.main", "simulate", *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": hash_seed, "COLUMNS": "200"},
        capture_output=True,
        timeout=110,
        check=False,
    )


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_keeps_its_bounds(example: Path) -> None:
    done = simulate(example, "--check")

    shown = done.stdout.decode()
    assert done.returncode == 0, shown + done.stderr.decode()
    assert "met" in shown
    assert "missed" not in shown
    assert done.stderr == b""


def test_the_same_seed_gives_the_same_bytes_in_every_process() -> None:
    arguments = (EXAMPLES[0], "--calls", "600", "--json")

    one, other, reseeded = (simulate(*arguments, hash_seed="1"), simulate(*arguments, hash_seed="2"),
                            simulate(*arguments, "--seed", "99"))  # fmt: skip

    assert one.stdout == other.stdout
    assert json.loads(one.stdout)["policies"] != json.loads(reseeded.stdout)["policies"]


def test_one_policy_alone_gives_what_it_gives_beside_others() -> None:
    together = json.loads(simulate(EXAMPLES[0], "--calls", "600", "--json").stdout)
    alone = json.loads(simulate(EXAMPLES[0], "--calls", "600", "--json", "--policy", "balanced").stdout)

    without = {name: value for name, value in together["policies"]["balanced"].items() if name != "saving_against_best"}
    assert without.items() <= alone["policies"]["balanced"].items()


def test_a_missed_bound_exits_1(tmp_path: Path) -> None:
    text = EXAMPLES[0].read_text(encoding="utf-8")
    strict = tmp_path / "strict.yaml"
    strict.write_text(text + "  - {policy: balanced, figure: latency_p50_s, at_most: 0.001}\n", encoding="utf-8")

    done = simulate(strict, "--calls", "800", "--policy", "balanced")

    assert done.returncode == 1
    assert b"missed  balanced: latency_p50_s" in done.stdout


def test_taking_longer_than_allowed_exits_1() -> None:
    done = simulate(EXAMPLES[0], "--calls", "800", "--policy", "balanced", "--within", "0.1")

    assert done.returncode == 1
    assert b"0.1 s were allowed" in done.stderr


def test_ctrl_c_ends_it_with_its_children_and_without_a_word() -> None:
    command = [sys.executable, "-m", "platform_api.cli.main", "simulate", str(EXAMPLES[0]), "--calls", "200000"]
    running = subprocess.Popen(
        command,
        cwd=ROOT,
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=_hears_ctrl_c,  # noqa: PLW1509  # this process has no threads that hold locks
    )
    time.sleep(3.0)  # its children are at work by then
    os.killpg(running.pid, signal.SIGINT)
    shown, told = running.communicate(timeout=20)

    assert running.returncode == 130
    assert (shown, told) == (b"", b"")
    assert _is_gone(running.pid)


@pytest.mark.parametrize("mistake", ["seedd: 3\n", "policies: [bestt]\n", "world: {models: {}}\n"])
def test_a_bad_scenario_exits_2_and_says_where(tmp_path: Path, mistake: str) -> None:
    key = mistake.partition(":")[0]
    lines = EXAMPLES[0].read_text(encoding="utf-8").splitlines(keepends=True)
    broken = tmp_path / "broken.yaml"
    broken.write_text("".join(_without(lines, key)) + mistake, encoding="utf-8")

    done = simulate(broken)

    assert done.returncode == 2
    assert b"broken.yaml" in done.stderr.replace(b"\n", b"")
    assert key.encode() in done.stderr


def _hears_ctrl_c() -> None:
    """A suite that a shell started in the background ignores SIGINT, and its children inherit that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _is_gone(group: int, patience_s: float = 10.0) -> bool:
    """Has every process of the group ended?"""
    give_up_s = time.monotonic() + patience_s
    while time.monotonic() < give_up_s:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


def _without(lines: list[str], key: str) -> list[str]:
    """The lines without the section of `key`."""
    kept: list[str] = []
    is_inside = False
    for line in lines:
        if not line.startswith((" ", "\n", "#")):
            is_inside = line.startswith(f"{key}:")
        if not is_inside:
            kept.append(line)
    return kept
