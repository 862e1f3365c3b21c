"""The walker in this process: for triggers that want an answer in milliseconds, the CLI, tests and the playground.

Never imports Prefect.
"""

import asyncio

from flows.engine_services import EngineServices
from flows.held_walk import HeldWalk
from flows.plan import Plan
from flows.runs import Run, RunOwner
from flows.walk import DirectCaller

DEFAULT_MAX_RUNS = 64


class LaneFullError(Exception):
    """The lane walks as many runs as it may; take the durable lane, or come again."""


class InlineLane:
    """Walks runs in this event loop, `max_runs` at most at once."""

    def __init__(self, services: EngineServices, *, max_runs: int = DEFAULT_MAX_RUNS) -> None:
        self._services = services
        self._max_runs = max_runs
        self._live: dict[str, HeldWalk] = {}
        self._idle = asyncio.Event()
        self._idle.set()
        self._is_closing = False

    @property
    def has_room(self) -> bool:
        """May another run start now?"""
        return not self._is_closing and len(self._live) < self._max_runs

    async def execute(self, plan: Plan, run: Run, owner: RunOwner) -> Run:
        """Walk an acquired run to its end and answer it as stored.

        An answer with status `queued` means that the lane was closed meanwhile: the run can be continued elsewhere.

        Raises:
            LaneFullError: There is no room; the run is untouched and still held by `owner`.
            StaleOwnerError: Somebody else took the run over.
        """
        if not self.has_room:
            raise LaneFullError(f"{len(self._live)} runs are going on and {self._max_runs} may")
        walk = HeldWalk(self._services, plan, run, owner, DirectCaller())
        self._live[run.id] = walk
        self._idle.clear()
        try:
            return await walk.walk()
        finally:
            del self._live[run.id]
            if not self._live:
                self._idle.set()

    def cancel(self, run_id: str) -> bool:
        """Stop a run of this lane at once, without waiting for the next look at the store. False when not here."""
        walk = self._live.get(run_id)
        if walk is None:
            return False
        walk.cancel()
        return True

    async def close(self, *, grace_s: float = 10.0) -> None:
        """Take nothing new, let runs end within `grace_s`, give the others back to be continued elsewhere."""
        self._is_closing = True
        try:
            async with asyncio.timeout(grace_s):
                await self._idle.wait()
        except TimeoutError:
            for walk in list(self._live.values()):
                walk.interrupt()
            await self._idle.wait()
