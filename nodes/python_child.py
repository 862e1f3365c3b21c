"""The program in which the python node runs code. It gets its job as JSON on standard input and answers on a pipe.

Started as `python -I -B nodes/python_child.py PIPE`, with an empty environment in a folder of its own. Before it reads
any code it limits its memory, its files and its time, gives up every capability, and puts the filter of
`nodes.seccomp` on itself. Where one of these fails it runs nothing.

The job: `{"source" or "function", "inputs", "folders", "memory_mb", "cpu_s"}`. The answer: `{"result"}`,
`{"refused": why}`, `{"failed": what, "trace": text}` or `{"no_json": what}`.
"""

import ctypes
import importlib
import json
import os
import platform
import resource
import signal
import sys
import traceback
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from nodes.seccomp import NoSandboxError, install  # found by the line before

sys.path.pop(0)

SOURCE = "<source>"
MAIN = "main"
MAX_FILE_BYTES = 16 * 1024 * 1024
MAX_OPEN_FILES = 64
_PR_SET_PDEATHSIG = 1
_CAPABILITY_VERSION = 0x20080522


class _CodeError(Exception):
    """The code cannot be had, or has no function to call."""


def main(pipe: int, parent: int) -> None:
    """Read the job, run it, answer."""
    job: dict[str, Any] = json.load(sys.stdin)  # written by our own parent
    try:
        _confine(job, parent)
    except (NoSandboxError, OSError, ValueError, AttributeError) as error:
        _answer(pipe, {"refused": str(error)})
        return
    _answer(pipe, _ran(job))


def _confine(job: dict[str, Any], parent: int) -> None:
    library = ctypes.CDLL(None, use_errno=True)
    library.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
    memory = int(job["memory_mb"]) * 1024 * 1024
    limits = {
        resource.RLIMIT_AS: memory,
        resource.RLIMIT_CPU: int(job["cpu_s"]),
        resource.RLIMIT_FSIZE: MAX_FILE_BYTES,
        resource.RLIMIT_NOFILE: MAX_OPEN_FILES,
        resource.RLIMIT_CORE: 0,
    }
    for kind, most in limits.items():
        resource.setrlimit(kind, (most, most))
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION, 0)
    nothing = (ctypes.c_uint32 * 6)()
    if library.capset(ctypes.byref(header), ctypes.byref(nothing)) != 0:
        raise NoSandboxError(f"capabilities cannot be given up: {os.strerror(ctypes.get_errno())}")
    install(platform.machine())


def _ran(job: dict[str, Any]) -> dict[str, Any]:
    try:
        result = _function(job)(**job["inputs"])
    except MemoryError:
        return {"failed": f"MemoryError: more than the {job['memory_mb']} MB of memory_mb are needed", "trace": ""}
    except BaseException as error:  # noqa: BLE001  # whatever the code raises, SystemExit too, is its answer
        return {"failed": _described(error), "trace": _trace(error)}
    try:
        return {"result": json.loads(json.dumps(result, allow_nan=False))}
    except (TypeError, ValueError, RecursionError, MemoryError) as error:
        return {"no_json": f"{type(result).__name__}: {error}"}


def _function(job: dict[str, Any]) -> Any:  # whatever the code calls main
    source = job.get("source")
    if source is not None:
        names: dict[str, Any] = {"__name__": SOURCE}
        exec(compile(source, SOURCE, "exec"), names)  # noqa: S102  # what this program is for
        if not callable(names.get(MAIN)):
            raise _CodeError(f"the source defines no function `{MAIN}`")
        return names[MAIN]
    module, _, name = str(job["function"]).partition(":")
    sys.path[:0] = job["folders"]
    found = getattr(importlib.import_module(module), name, None)
    if not callable(found):
        raise _CodeError(f"{module} has no function `{name}`")
    return found


def _described(error: BaseException) -> str:
    """Type, text and the last line of the code itself that was reached."""
    if isinstance(error, _CodeError):
        return str(error)
    own = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename != __file__]
    text = "".join(traceback.format_exception_only(error)).strip().splitlines()[-1]
    if isinstance(error, SyntaxError):
        return f"line {error.lineno}: {text}"
    if not own:
        return text
    last = next((frame for frame in reversed(own) if frame.filename == SOURCE), own[-1])
    return f"line {last.lineno}{'' if last.filename == SOURCE else f' of {last.name}'}: {text}"


def _trace(error: BaseException) -> str:
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename != __file__]
    return "".join(traceback.format_list(frames))[-4000:]


def _answer(pipe: int, answer: dict[str, Any]) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    with os.fdopen(pipe, "w", encoding="utf-8") as out:
        json.dump(answer, out)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
