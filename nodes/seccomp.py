"""A filter of system calls for this very process: no network, no other processes, no way around either.

It can be put on, never taken off, and it needs no privilege. Kept free of other modules of ours: the child process of
the python node loads it before anything else.

Source: Linux manual, seccomp(2), prctl(2); kernel headers linux/filter.h, linux/audit.h, asm/unistd.h.
"""

import ctypes
import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass

_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_ALLOW, _ERRNO, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_EPERM, _EACCES, _ENOSYS = 1, 13, 38
_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _MODE_FILTER = 38, 22, 2
_X32_BIT = 0x40000000
_CLONE_THREAD = 0x00010000
_AF_UNIX = 1
_NUMBER, _ARCH = 0, 4


class NoSandboxError(RuntimeError):
    """This system has no filter for us, or refused it."""


@dataclass(frozen=True, slots=True)
class _Machine:
    arch: int
    calls: Mapping[str, int]


_SAME_EVERYWHERE = {
    "pidfd_send_signal": 424, "io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427,
    "pidfd_open": 434, "clone3": 435, "pidfd_getfd": 438,
}  # fmt: skip
_MACHINES: Mapping[str, _Machine] = {
    "x86_64": _Machine(
        0xC000003E,
        {
            "socket": 41, "connect": 42, "sendto": 44, "sendmsg": 46, "bind": 49, "listen": 50, "socketpair": 53,
            "clone": 56, "fork": 57, "vfork": 58, "execve": 59, "kill": 62, "ptrace": 101, "rt_sigqueueinfo": 129,
            "pivot_root": 155, "setrlimit": 160, "chroot": 161, "mount": 165, "umount2": 166, "swapon": 167,
            "swapoff": 168, "reboot": 169, "init_module": 175, "delete_module": 176, "tkill": 200, "tgkill": 234,
            "kexec_load": 246, "add_key": 248, "request_key": 249, "keyctl": 250, "unshare": 272,
            "rt_tgsigqueueinfo": 297, "perf_event_open": 298, "prlimit64": 302, "sendmmsg": 307, "setns": 308,
            "process_vm_readv": 310, "process_vm_writev": 311, "finit_module": 313, "kexec_file_load": 320,
            "bpf": 321, "execveat": 322, "userfaultfd": 323, **_SAME_EVERYWHERE,
        },
    ),
    "aarch64": _Machine(
        0xC00000B7,
        {
            "umount2": 39, "mount": 40, "pivot_root": 41, "chroot": 51, "unshare": 97, "kexec_load": 104,
            "init_module": 105, "delete_module": 106, "ptrace": 117, "kill": 129, "tkill": 130, "tgkill": 131,
            "rt_sigqueueinfo": 138, "reboot": 142, "setrlimit": 164, "socket": 198, "socketpair": 199, "bind": 200,
            "listen": 201, "connect": 203, "sendto": 206, "sendmsg": 211, "add_key": 217, "request_key": 218,
            "keyctl": 219, "clone": 220, "execve": 221, "swapon": 224, "swapoff": 225, "rt_tgsigqueueinfo": 240,
            "perf_event_open": 241, "prlimit64": 261, "setns": 268, "sendmmsg": 269, "process_vm_readv": 270,
            "process_vm_writev": 271, "finit_module": 273, "bpf": 280, "execveat": 281, "userfaultfd": 282,
            "kexec_file_load": 294, **_SAME_EVERYWHERE,
        },
    ),
}  # fmt: skip
_SPECIAL = frozenset({"socket", "socketpair", "sendto", "clone", "clone3", "kill", "tgkill", "prlimit64"})
"""Calls that are fine with some arguments, or refused in a way of their own; all others are refused."""


def filter_program(machine: str, pid: int) -> bytes:
    """The filter as instructions of the kernel's packet-filter machine, for the process `pid` on `machine`.

    Raises:
        NoSandboxError: The filter is not written for that machine.
    """
    known = _MACHINES.get(machine)
    if known is None:
        raise NoSandboxError(f"the filter of system calls exists for {' and '.join(_MACHINES)}, not for {machine}")
    calls = known.calls
    code = [
        _step(_LOAD, _ARCH), _step(_EQUAL, known.arch, 1, 0), _step(_RETURN, _KILL),
        _step(_LOAD, _NUMBER), _step(_AT_LEAST, _X32_BIT, 0, 1), _step(_RETURN, _KILL),
    ]  # fmt: skip
    for name in ("socket", "socketpair"):  # AF_UNIX alone, and of that only pairs are of use: connect is refused
        code += _when_argument(calls[name], 0, _step(_EQUAL, _AF_UNIX, 1, 0), _EACCES)
    for name in ("kill", "tgkill"):  # only itself
        code += _when_argument(calls[name], 0, _step(_EQUAL, pid & 0xFFFFFFFF, 1, 0), _EPERM)
    code += _when_argument(calls["clone"], 0, _step(0x45, _CLONE_THREAD, 1, 0), _EPERM)  # 0x45: any bit of it set
    code += _when_argument(calls["sendto"], 4, _step(_EQUAL, 0, 1, 0), _EACCES, is_pointer=True)
    code += _when_argument(calls["prlimit64"], 2, _step(_EQUAL, 0, 1, 0), _EPERM, is_pointer=True)
    code += _refused(calls["clone3"], _ENOSYS)  # its flags lie in memory; the C library then takes clone
    for name, number in calls.items():
        if name not in _SPECIAL:
            code += _refused(number, _EPERM)
    return b"".join([*code, _step(_RETURN, _ALLOW)])


def install(machine: str) -> None:
    """Put the filter on this process and prove that it holds.

    Raises:
        NoSandboxError: The machine is unknown, the kernel refused, or a socket can still be made.
    """
    import socket

    program = filter_program(machine, os.getpid())
    library = ctypes.CDLL(None, use_errno=True)
    instructions = ctypes.create_string_buffer(program, len(program))
    pointer = ctypes.addressof(instructions)
    described = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", len(program) // 8, pointer))
    for option, first, second in (
        (_PR_SET_NO_NEW_PRIVS, 1, ctypes.c_void_p(0)),
        (_PR_SET_SECCOMP, _MODE_FILTER, ctypes.byref(described)),
    ):
        if library.prctl(option, ctypes.c_ulong(first), second, 0, 0) != 0:
            reason = os.strerror(ctypes.get_errno())
            raise NoSandboxError(f"the kernel refused the filter of system calls: {reason}")
    try:
        socket.socket(socket.AF_INET, socket.SOCK_STREAM).close()
    except PermissionError:
        return
    raise NoSandboxError("the filter of system calls does not hold: a socket could be made")


def _step(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    """One instruction: `struct sock_filter`."""
    return struct.pack("HBBI", code, if_true, if_false, value)


def _refused(number: int, errno: int) -> list[bytes]:
    """`errno` for this call; the call's number is loaded before and after."""
    return [_step(_EQUAL, number, 0, 1), _step(_RETURN, _ERRNO | errno)]


def _when_argument(number: int, index: int, test: bytes, errno: int, *, is_pointer: bool = False) -> list[bytes]:
    """`errno` for this call unless the low half of its argument passes `test` (a pointer: both halves do)."""
    low = 16 + 8 * index
    parts = [(low, test), *([(low + 4, test)] if is_pointer else [])]
    body = [piece for place, check in parts for piece in (_step(_LOAD, place), check, _step(_RETURN, _ERRNO | errno))]
    body.append(_step(_RETURN, _ALLOW))
    return [_step(_EQUAL, number, 0, len(body)), *body]
