"""Lets the steps of a replay end in the order in which they had ended: whoever was first stays first."""

import asyncio
from collections.abc import Iterable
from datetime import datetime

from flows.runs import StepRun

PATIENCE_S = 1.0
"""How long a step waits without anything ending: clocks of several machines may tell an order that cannot be."""


class RecordedOrder:
    """The ends of the steps of a recorded run. Steps whose times are equal, and items, wait for nobody."""

    def __init__(self, steps: Iterable[StepRun]) -> None:
        ended = [(step.finished_at, step.path) for step in steps if _is_waited_for(step) and step.finished_at]
        self._queue = sorted(ended)
        self._times = {path: at for at, path in ended}
        self._open = set(self._times)
        self._next = 0
        self._changed = asyncio.Event()

    def ended(self, path: str) -> None:
        """The step of that path has ended now."""
        if path in self._open:
            self._open.remove(path)
            changed, self._changed = self._changed, asyncio.Event()
            changed.set()

    async def turn_of(self, path: str) -> None:
        """Return when everything has ended that had ended before `path`."""
        mine = self._times.get(path)
        while mine is not None and (first := self._first()) is not None and first < mine:
            if not await self._something_ends():
                return

    async def everything_else(self) -> None:
        """Return when nothing is left that had come to an end of its own."""
        while self._open:
            if not await self._something_ends():
                return

    def _first(self) -> datetime | None:
        while self._next < len(self._queue) and self._queue[self._next][1] not in self._open:
            self._next += 1
        return self._queue[self._next][0] if self._next < len(self._queue) else None

    async def _something_ends(self) -> bool:
        try:
            async with asyncio.timeout(PATIENCE_S):
                await self._changed.wait()
        except TimeoutError:
            return False
        return True


def _is_waited_for(step: StepRun) -> bool:
    return step.status in {"succeeded", "failed"} and not step.path.endswith("]")
