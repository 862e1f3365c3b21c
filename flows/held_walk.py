"""A walk under a lease: renewed while it lasts, stopped when asked for, dropped when the run was taken over."""

import asyncio

from flows.engine_services import EngineServices
from flows.lease import Lease
from flows.plan import Plan
from flows.runs import Run, RunOwner
from flows.walk import StepCaller
from flows.walker import Walker


class HeldWalk:
    """The walk of one acquired run. `cancel` and `interrupt` may be called from the same loop."""

    def __init__(self, services: EngineServices, plan: Plan, run: Run, owner: RunOwner, caller: StepCaller) -> None:
        self._services = services
        self._run = run
        self._lease = Lease(services.store, owner, services.limits)
        self._walker = Walker(services, plan, run, owner, caller=caller, lease=self._lease)
        self._is_first = owner.epoch <= 1 and run.parent_run_id is None  # a rerun begins with what it has kept
        self._is_interrupted = False
        self._walking: asyncio.Task[Run] | None = None

    def cancel(self) -> None:
        """End the run as `cancelled`, because a person or a rule wants it."""
        self._walker.cancel()

    def interrupt(self) -> None:
        """Stop walking because this process goes down; the run stays to be continued elsewhere."""
        self._is_interrupted = True
        if self._walking is not None:
            self._walking.cancel()

    async def walk(self) -> Run:
        """The run at its end, or given back as `queued` when interrupted.

        Raises StaleOwnerError when somebody else took the run over: nothing more was written then.
        """
        observers, began_at = self._services.observers, self._services.clock.now()
        for observer in observers:
            observer.walk_began(self._run)
        ended = await self._walked()
        for observer in observers:
            observer.walk_ended(ended, began_at=began_at, ended_at=self._services.clock.now())
        return ended

    async def _walked(self) -> Run:
        if self._run.is_cancel_requested:
            self._walker.cancel()
        stored = () if self._is_first else await self._services.store.steps(self._run.id)
        self._walking = asyncio.create_task(self._walker.run(stored))
        if self._is_interrupted:
            self._walking.cancel()
        watching = asyncio.create_task(self._lease.wait_for_cancel())
        try:
            await asyncio.wait({self._walking, watching}, return_when=asyncio.FIRST_COMPLETED)
            if not self._walking.done():
                watching.result()
                self._walker.cancel()
                watching = asyncio.create_task(self._keep_on())
                await asyncio.wait({self._walking, watching}, return_when=asyncio.FIRST_COMPLETED)
                if not self._walking.done():
                    watching.result()
            return await self._ended()
        finally:
            for task in (watching, self._walking):
                task.cancel()
            await asyncio.gather(watching, self._walking, return_exceptions=True)

    async def _keep_on(self) -> None:
        """Renew while a cancelled walk runs its `finally`."""
        while True:
            await self._lease.wait_for_cancel()

    async def _ended(self) -> Run:
        assert self._walking is not None
        try:
            return await self._walking
        except asyncio.CancelledError:
            if not self._is_interrupted:
                raise
            await self._walker.give_back()
            given_back = await self._services.store.load(self._run.id)
            assert given_back is not None
            return given_back
