"""The python node: real processes, and what code in them can and cannot do."""

import asyncio
import time
from pathlib import Path

import pytest

from bridge.errors import ErrorClass
from bridge.json_types import JsonObject
from nodes import python_process
from nodes.errors import NodeError
from nodes.outside import Outside, PythonRules
from nodes.python import PythonNode, PythonOutput
from tests.support.fakes import node_context

pytestmark = pytest.mark.peer

OPEN = PythonRules(allow_source=True, functions=frozenset({"statistics", "shapes:area"}))
PROBES = """
import os, resource, signal, socket, subprocess, threading

def told(do):
    try:
        do()
    except OSError as error:
        return type(error).__name__
    return "done"

def main():
    def thread():
        one = threading.Thread(target=lambda: None)
        one.start()
        one.join()

    def pair():
        left, right = socket.socketpair()
        left.send(b"x")
        assert right.recv(1) == b"x"

    return {
        **{name: told(lambda: socket.socket(getattr(socket, name)))
           for name in ("AF_INET", "AF_INET6", "AF_NETLINK", "AF_PACKET", "AF_VSOCK")},
        "connect": told(lambda: socket.socket(socket.AF_UNIX).connect("/run/any.sock")),
        "pair": told(pair),
        "thread": told(thread),
        "fork": told(os.fork),
        "start": told(lambda: subprocess.run(["true"])),
        "exec": told(lambda: os.execv("/bin/true", ["true"])),
        "kill_parent": told(lambda: os.kill(os.getppid(), signal.SIGKILL)),
        "environment": sorted(os.environ),
        "files": os.listdir("."),
        "chroot": told(lambda: os.chroot("/")),
    }
"""


async def called(rules: PythonRules = OPEN, **block: object) -> PythonOutput:
    given: JsonObject = {"timeout": "30s", **block}  # pyright: ignore[reportAssignmentType]  # blocks of JSON
    return await PythonNode.model_validate(given).run(node_context(outside=Outside(python=rules)))


async def failed(rules: PythonRules = OPEN, **block: object) -> tuple[ErrorClass, str]:
    with pytest.raises(NodeError) as caught:
        await called(rules, **block)
    return caught.value.error_class, str(caught.value)


def children() -> set[int]:
    """Processes whose parent is this one, the dead ones included."""
    found: set[int] = set()
    for task in Path("/proc/self/task").iterdir():
        found |= {int(pid) for pid in (task / "children").read_text().split()}
    return found


async def test_values_go_in_and_out_as_json_and_prints_are_kept() -> None:
    source = "def main(a, b):\n    print('adding')\n    return {'sum': a + b, 'deep': [None, True, 'ü']}"

    output = await called(source=source, inputs={"a": 1, "b": 2.5})

    assert output == PythonOutput(result={"sum": 3.5, "deep": [None, True, "ü"]}, stdout="adding\n")


async def test_code_has_no_network_no_other_processes_and_no_surroundings() -> None:
    result = (await called(source=PROBES)).result

    refused = {"AF_INET", "AF_INET6", "AF_NETLINK", "AF_PACKET", "AF_VSOCK", "connect", "fork", "start", "exec"}
    assert result == {
        **dict.fromkeys(refused | {"kill_parent", "chroot"}, "PermissionError"),
        "pair": "done",
        "thread": "done",
        "environment": ["LC_CTYPE"],
        "files": [],
    }


async def test_a_registered_function_is_found_in_the_operators_folder(tmp_path: Path) -> None:
    (tmp_path / "shapes.py").write_text("def area(width, height):\n    return width * height\n")
    rules = PythonRules(functions=frozenset({"shapes:area"}), folders=(str(tmp_path),))

    assert (await called(rules, function="shapes:area", inputs={"width": 3, "height": 4})).result == 12


async def test_more_memory_than_allowed_is_an_error_of_the_code() -> None:
    source = "def main():\n    return len(bytearray(300 * 1024 * 1024))"

    error_class, message = await failed(source=source, memory_mb=128)

    assert error_class == "user"
    assert "MemoryError" in message
    assert "128 MB" in message


async def test_an_endless_loop_ends_in_time_and_leaves_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(python_process.tempfile, "tempdir", str(tmp_path))
    before = children()
    began = time.monotonic()

    error_class, message = await failed(source="def main():\n    while True: pass", timeout="1s")

    assert (error_class, message) == ("timeout", "python: not done within 1 s")
    assert time.monotonic() - began < 20
    assert children() == before
    assert list(tmp_path.iterdir()) == []


async def test_a_cancelled_step_takes_its_process_along() -> None:
    before = children()
    work = asyncio.create_task(called(source="import time\ndef main():\n    time.sleep(60)"))
    while not children() - before:
        await asyncio.sleep(0.01)

    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work

    assert children() == before


async def test_what_is_printed_beyond_the_limit_is_dropped_and_a_huge_result_refused() -> None:
    rules = PythonRules(allow_source=True, max_stdout_bytes=1_000, max_result_bytes=2_000)

    shouted = await called(rules, source="def main():\n    for _ in range(50): print('x' * 10_000)\n    return 1")
    huge = await failed(rules, source="def main():\n    return 'x' * 1_000_000")

    assert (shouted.result, shouted.stdout) == (1, "x" * 1_000)
    assert huge == ("invalid_request", "python: the result is bigger than 2000 bytes")


@pytest.mark.parametrize(
    ("source", "error_class", "told"),
    [
        ("def main():\n    return {1, 2}", "schema_violation", "set: Object of type set is not JSON"),
        ("def main():\n    return float('nan')", "schema_violation", "not JSON compliant"),
        ("def main():\n    a = 1\n    return a / 0", "user", "line 3: ZeroDivisionError: division by zero"),
        ("def main(:\n", "user", "line 1: SyntaxError"),
        ("x = 1", "user", "defines no function `main`"),
        ("import os\ndef main():\n    os._exit(3)", "user", "ended with code 3 before it gave a result"),
    ],
)
async def test_what_goes_wrong_in_code_is_told(source: str, error_class: str, told: str) -> None:
    found_class, message = await failed(source=source)

    assert found_class == error_class
    assert told in message


async def test_a_result_that_does_not_fit_its_schema_is_refused() -> None:
    error_class, message = await failed(function="statistics:fmean", inputs={"data": [1, 2]}, schema={"type": "string"})

    assert error_class == "schema_violation"
    assert "1.5 is not of type 'string'" in message


@pytest.mark.parametrize(
    ("block", "told"),
    [
        ({"source": "def main(): pass"}, "python.allow_source"),
        ({"function": "os:system"}, "python.functions"),
        ({"function": "math:floor", "memory_mb": 4096}, "python.max_memory_mb"),
        ({"function": "math:floor", "timeout": "1h"}, "python.max_timeout_s"),
    ],
)
async def test_what_the_operator_does_not_allow_is_refused_with_the_setting_to_change(
    block: JsonObject, told: str
) -> None:
    error_class, message = await failed(PythonRules(functions=frozenset({"math"})), **block)

    assert error_class == "invalid_request"
    assert told in message


async def test_where_the_filter_cannot_be_put_on_nothing_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    child = tmp_path / "child.py"
    mark = tmp_path / "ran"
    original = python_process.CHILD.read_text(encoding="utf-8")
    root = str(Path(python_process.CHILD).parents[1])
    child.write_text(
        original.replace("platform.machine()", "'riscv64'").replace(
            "str(Path(__file__).resolve().parents[1])", repr(root)
        )
    )
    monkeypatch.setattr(python_process, "CHILD", child)

    error_class, message = await failed(source=f"open({str(mark)!r}, 'w')\ndef main(): pass")

    assert error_class == "internal"
    assert "refused to run" in message
    assert "riscv64" in message
    assert not mark.exists()
