"""Seals this process: whoever opens a connection, or asks for an address, fails and is written down."""

import socket
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import pytest


class SealedError(AssertionError):
    """Somebody wanted out."""


@contextmanager
def sealed_sockets() -> Generator[list[str]]:
    """No connection leaves this process while it lasts; the attempts, as they came. Fails when there was one."""
    attempts: list[str] = []

    def refuse(what: str) -> Any:
        def refused(*args: Any, **_options: Any) -> Any:
            attempts.append(f"{what}{args[-1:]!r}")
            raise SealedError(f"{what} in a sealed process: {args!r}")

        return refused

    with pytest.MonkeyPatch.context() as patch:
        for name in ("connect", "connect_ex", "sendto", "bind"):
            patch.setattr(socket.socket, name, refuse(name))
        for name in ("getaddrinfo", "gethostbyname", "create_connection"):
            patch.setattr(socket, name, refuse(name))
        yield attempts
    assert attempts == []
