"""A dependency of handlers that show money: what this process has journalled is stored first."""

from typing import Protocol, cast

from fastapi import Depends, Request


class _Drain(Protocol):
    """The part of the usage drain that matters here; budgets lie below usage and may not import it."""

    async def flush(self) -> None: ...


async def _drained(request: Request) -> None:
    """Store what this process has journalled so far."""
    await cast("_Drain", request.app.state.drain).flush()


Drained = Depends(_drained)
"""For `dependencies=[...]`: an answer about spend is never behind the calls this process has answered."""
