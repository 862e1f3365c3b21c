"""A disk without space, as the kernel tells it: what a journal writes goes to /dev/full for a while."""

import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from platform_api.usage.journal import Journal


@contextmanager
def full_disk(journal: Journal) -> Generator[None]:
    """Every write of the journal, which has an open segment, fails with ENOSPC inside the block."""
    place = journal.open_segment
    assert place is not None
    found = [int(link.name) for link in Path("/proc/self/fd").iterdir() if _is_written(link, place)]
    assert found
    kept = {fd: os.dup(fd) for fd in found}
    with Path("/dev/full").open("wb", buffering=0) as full:
        for fd in found:
            os.dup2(full.fileno(), fd, inheritable=False)
    try:
        yield
    finally:
        for fd, before in kept.items():
            os.dup2(before, fd, inheritable=False)
            os.close(before)


def _is_written(link: Path, place: Path) -> bool:
    try:
        is_same = link.readlink() == place
        flags = int(Path(f"/proc/self/fdinfo/{link.name}").read_text().split("flags:")[1].split()[0], 8)
    except FileNotFoundError:
        return False
    return is_same and bool(flags & os.O_APPEND)
