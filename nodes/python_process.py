"""Runs one job of the python node in a process of its own, and leaves nothing of it behind: no process, no folder."""

import asyncio
import json
import math
import os
import shutil
import signal
import sys
import tempfile
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from bridge.json_types import JsonObject
from nodes.errors import NodeError
from nodes.outside import PythonRules

CHILD = Path(__file__).with_name("python_child.py")
_PIECE_BYTES = 64 * 1024
_SPARE_CPU_S = 2


@dataclass(frozen=True, slots=True)
class Finished:
    """How a job ended: the answer of `nodes/python_child.py`, empty when it died, and what was printed."""

    answer: JsonObject
    stdout: str
    exit_code: int


async def run_job(job: Mapping[str, object], *, timeout_s: float, rules: PythonRules) -> Finished:
    """Run the job; at the end, however it comes, its process group is gone and its folder removed.

    Raises:
        NodeError: It took longer than `timeout_s` (`timeout`), or answered with too much (`invalid_request`).
    """
    if sys.platform != "linux":
        raise NodeError("python: this system has no filter of system calls; the node runs on Linux only")
    limited = {**job, "cpu_s": math.ceil(timeout_s) + _SPARE_CPU_S}
    folder = tempfile.mkdtemp(prefix="modelbridge-python-")
    try:
        async with asyncio.timeout(timeout_s):
            return await _run(json.dumps(limited).encode(), folder, rules)
    except TimeoutError as error:
        raise NodeError(f"python: not done within {timeout_s:g} s", error_class="timeout") from error
    finally:
        await asyncio.shield(asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True))


async def _run(job: bytes, folder: str, rules: PythonRules) -> Finished:
    read_end, write_end = os.pipe()
    try:
        process = await asyncio.create_subprocess_exec(
            *_command(write_end),
            cwd=folder,
            env={},
            stdin=PIPE,
            stdout=PIPE,
            stderr=STDOUT,
            start_new_session=True,
            pass_fds=(write_end,),
        )
    except BaseException:
        os.close(read_end)
        raise
    finally:
        os.close(write_end)
    try:
        return await _attended(process, read_end, job, rules)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


def _command(pipe: int) -> Sequence[str]:
    return (sys.executable, "-I", "-B", "-X", "utf8", str(CHILD), str(pipe), str(os.getpid()))


async def _attended(process: Process, read_end: int, job: bytes, rules: PythonRules) -> Finished:
    """Feed the job in, read everything out, wait for the end."""
    assert process.stdin is not None
    assert process.stdout is not None
    answer = asyncio.StreamReader()
    pipe = os.fdopen(read_end, "rb")
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(answer), pipe
    )
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(_feed(process.stdin, job))
            printed = group.create_task(_kept(process.stdout, rules.max_stdout_bytes))
            answered = group.create_task(_kept(answer, rules.max_result_bytes + 1))
    finally:
        transport.close()
    exit_code = await process.wait()
    raw = answered.result()
    if len(raw) > rules.max_result_bytes:
        raise NodeError(
            f"python: the result is bigger than {rules.max_result_bytes} bytes", error_class="invalid_request"
        )
    return Finished(_parsed(raw), printed.result().decode(errors="replace"), exit_code)


async def _feed(stdin: asyncio.StreamWriter, job: bytes) -> None:
    with suppress(ConnectionError):
        stdin.write(job)
        await stdin.drain()
    stdin.close()


async def _kept(source: asyncio.StreamReader, most: int) -> bytes:
    """The first `most` bytes; the rest is read and dropped, so that the writer is never held up."""
    kept = bytearray()
    while piece := await source.read(_PIECE_BYTES):
        kept += piece[: max(0, most - len(kept))]
    return bytes(kept)


def _parsed(raw: bytes) -> JsonObject:
    try:
        value: object = json.loads(raw)
    except (ValueError, RecursionError):
        return {}
    return cast("JsonObject", value) if isinstance(value, dict) else {}
