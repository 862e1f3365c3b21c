"""A PostgreSQL that stands still: connections stay open, and nobody answers."""

from collections.abc import Generator
from contextlib import contextmanager

import psutil

from flows.private_postgres import PrivatePostgres


def freeze(server: PrivatePostgres) -> list[psutil.Process]:
    """Stop the server and all its backends, each of which leads a group of its own; what was stopped."""
    assert server.process is not None
    leader = psutil.Process(server.process.pid)
    leader.suspend()  # first: it starts no further backend
    stopped = [leader, *leader.children(recursive=True)]
    for process in stopped[1:]:
        process.suspend()
    return stopped


def thaw(stopped: list[psutil.Process]) -> None:
    """Let them go on."""
    for process in stopped:
        process.resume()


@contextmanager
def frozen(server: PrivatePostgres) -> Generator[None]:
    """It stands still inside the block."""
    stopped = freeze(server)
    try:
        yield
    finally:
        thaw(stopped)
