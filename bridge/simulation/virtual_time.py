"""Time that passes only when everybody waits: a day of sleeping, timeouts and deadlines takes no time at all.

`asyncio.sleep`, `asyncio.timeout`, `loop.time()` and the Clock read the same virtual seconds. The loop never waits:
when nothing is ready it jumps to the next timer. Nothing outside this process can be waited for, so whatever would
need the real world (sockets, threads, subprocesses) is refused in clear words.
"""

import asyncio
from collections.abc import Callable, Coroutine
from datetime import datetime, timedelta
from typing import Any, NoReturn, TypeVar

AnyT = TypeVar("AnyT")
RESOLUTION_S = 1e-6
"""Timers nearer to each other than this go off together."""


class RealWaitError(RuntimeError):
    """Something wants to wait for the real world, or for nothing that could ever come."""


class VirtualTimeLoop(asyncio.BaseEventLoop):
    """An event loop on virtual time, which starts at 0."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0
        """Virtual seconds since the loop was made."""
        self._clock_resolution = RESOLUTION_S
        self._selector = _Jump(self)

    def time(self) -> float:
        return self.now_s

    def advance(self, seconds: float) -> None:
        """Let virtual time pass."""
        self.now_s += seconds

    def _process_events(self, event_list: list[object]) -> None:
        """There are no events of the world."""

    def _write_to_self(self) -> None:
        """Nobody has to be woken: the loop never blocks."""

    def run_in_executor(self, executor: object, func: object, *args: object) -> NoReturn:  # pyright: ignore[reportIncompatibleMethodOverride]  # it never returns
        del executor, args
        raise RealWaitError(f"under virtual time nothing can wait for a thread ({getattr(func, '__qualname__', func)})")

    def add_reader(self, fd: object, callback: object, *args: object) -> NoReturn:
        del fd, callback, args
        raise RealWaitError(_NO_SOCKETS)

    def add_writer(self, fd: object, callback: object, *args: object) -> NoReturn:
        del fd, callback, args
        raise RealWaitError(_NO_SOCKETS)

    async def getaddrinfo(self, *args: object, **named: object) -> NoReturn:  # pyright: ignore[reportIncompatibleMethodOverride]  # it never returns
        del args, named
        raise RealWaitError(_NO_SOCKETS)

    async def create_connection(self, *args: object, **named: object) -> NoReturn:  # pyright: ignore[reportIncompatibleMethodOverride]  # it never returns
        del args, named
        raise RealWaitError(_NO_SOCKETS)

    async def create_server(self, *args: object, **named: object) -> NoReturn:  # pyright: ignore[reportIncompatibleMethodOverride]  # it never returns
        del args, named
        raise RealWaitError(_NO_SOCKETS)

    async def subprocess_exec(self, *args: object, **named: object) -> NoReturn:  # pyright: ignore[reportIncompatibleMethodOverride]  # it never returns
        del args, named
        raise RealWaitError("under virtual time nothing can wait for another process")


_NO_SOCKETS = "under virtual time there is no network: give the bridge transports of its own"


class _Jump:
    """Stands where a loop has its selector: instead of waiting it moves the time."""

    def __init__(self, loop: VirtualTimeLoop) -> None:
        self._loop = loop

    def select(self, timeout: float | None) -> list[object]:
        if timeout is None:
            raise RealWaitError("everything waits, and no timer is set: what is waited for can never come")
        if timeout > 0:
            self._loop.advance(timeout)
        return []


class VirtualClock:
    """The Clock of a VirtualTimeLoop."""

    def __init__(self, loop: VirtualTimeLoop, starts_at: datetime) -> None:
        self._loop = loop
        self._starts_at = starts_at

    def now(self) -> datetime:
        return self._starts_at + timedelta(seconds=self._loop.now_s)

    def monotonic(self) -> float:
        return self._loop.now_s

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def run_virtual(main: Callable[[VirtualTimeLoop], Coroutine[Any, Any, AnyT]]) -> AnyT:
    """What `main` returns, run to its end on a fresh loop.

    Raises:
        RealWaitError: It waits for something that virtual time cannot bring.
    """
    loop = VirtualTimeLoop()
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        return runner.run(main(loop))
