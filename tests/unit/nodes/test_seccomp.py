import struct

import pytest

from nodes.seccomp import NoSandboxError, filter_program

ALLOWED, REFUSED, ENDED = 0x7FFF0000, 0x00050000, 0x80000000
MACHINES = {"x86_64": (0xC000003E, 41, 42, 435), "aarch64": (0xC00000B7, 198, 203, 435)}
"""Audit architecture, and the numbers of socket, connect and clone3."""


def verdict(program: bytes, arch: int, number: int, *arguments: int) -> int:
    """What the kernel's machine would answer: the instructions in the order they lie."""
    padded = (*arguments, *([0] * (6 - len(arguments))))
    seen = struct.pack("<IIQ6Q", number, arch, 0, *padded)
    place = accumulator = 0
    while True:
        code, if_true, if_false, value = struct.unpack_from("<HBBI", program, place * 8)
        place += 1
        if code == 0x06:
            return value
        if code == 0x20:
            accumulator = struct.unpack_from("<I", seen, value)[0]
            continue
        holds = {0x15: accumulator == value, 0x35: accumulator >= value, 0x45: bool(accumulator & value)}[code]
        place += if_true if holds else if_false


@pytest.mark.parametrize("machine", sorted(MACHINES))
def test_every_family_of_sockets_but_unix_is_refused(machine: str) -> None:
    arch, socket, _, _ = MACHINES[machine]
    program = filter_program(machine, pid=77)

    assert verdict(program, arch, socket, 1) == ALLOWED
    assert {verdict(program, arch, socket, family) for family in range(60) if family != 1} == {REFUSED | 13}


@pytest.mark.parametrize("machine", sorted(MACHINES))
def test_connecting_and_other_processes_are_refused_and_plain_calls_pass(machine: str) -> None:
    arch, _, connect, clone3 = MACHINES[machine]
    program = filter_program(machine, pid=77)

    assert verdict(program, arch, connect) == REFUSED | 1
    assert verdict(program, arch, clone3) == REFUSED | 38
    assert verdict(program, arch, 425) == REFUSED | 1, "io_uring makes sockets that no filter sees"
    assert verdict(program, arch, 1_000) == ALLOWED


def test_a_thread_may_be_started_but_no_process_and_only_itself_be_signalled() -> None:
    program = filter_program("x86_64", pid=77)

    assert verdict(program, 0xC000003E, 56, 0x10000) == ALLOWED
    assert verdict(program, 0xC000003E, 56, 17) == REFUSED | 1
    assert verdict(program, 0xC000003E, 62, 77) == ALLOWED
    assert verdict(program, 0xC000003E, 62, 1) == REFUSED | 1
    assert verdict(program, 0xC000003E, 302, 0, 9, 0) == ALLOWED
    assert verdict(program, 0xC000003E, 302, 0, 9, 1 << 40) == REFUSED | 1
    assert verdict(program, 0xC000003E, 44, 3, 0, 0, 0, 1 << 40) == REFUSED | 13


def test_calls_of_another_architecture_end_the_process() -> None:
    program = filter_program("x86_64", pid=77)

    assert verdict(program, 0x40000003, 102) == ENDED
    assert verdict(program, 0xC000003E, 0x40000000 | 41, 2) == ENDED


def test_a_machine_without_a_filter_is_named() -> None:
    with pytest.raises(NoSandboxError, match="not for riscv64"):
        filter_program("riscv64", pid=1)
