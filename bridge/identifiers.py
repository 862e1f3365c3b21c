"""New ids: UUIDv7, so that they sort by time. Code that needs ids takes `NewId`, so tests can number them."""

from collections.abc import Callable

from uuid_utils import uuid7

NewId = Callable[[], str]


def new_id() -> str:
    """A fresh UUIDv7 as text."""
    return str(uuid7())
