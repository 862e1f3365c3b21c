"""Who walks which run: bounded inline walks in this process, Prefect for the rest, and a sweep for what was left.

A run is walked by whoever acquires it (flows/runs.py: owner, lease, epoch), so two dispatchers that pick the same run
do no harm: one of them gets nothing. A walk that this process cannot finish before it ends is given back as `queued`.
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Protocol
from uuid import UUID

from bridge.clock import Clock
from flows.plan import Plan
from flows.runs import FINAL_RUN, Run, RunOwner, RunStore, StaleOwnerError, StepError
from nodes.errors import NodeError
from platform_api.database.session import Database
from platform_api.database.tables.flows import RunRow
from platform_api.flow_api.plans import FlowCompiler
from platform_api.flow_api.run_groups import RunGroups
from platform_api.flow_api.run_repository import RunRepository

log = logging.getLogger(__name__)

GRACE_AFTER_LEASE = timedelta(seconds=5)
SWEEP_EVERY_S = 5.0
POLL_S = 0.25
ASK_AGAIN_S = 600


class Walker(Protocol):
    """The inline lane."""

    async def execute(self, plan: Plan, run: Run, owner: RunOwner) -> Run:
        """Walk the run to its end, or until it waits, and answer how it stands."""
        ...

    def cancel(self, run_id: str) -> bool:
        """Stop a run at once; False when it is not walked here."""
        ...

    async def close(self, *, grace_s: float = 10.0) -> None:
        """Let walks end within `grace_s`, give the others back as `queued`."""
        ...


class DurableLane(Protocol):
    """The way to Prefect."""

    @property
    def is_ready(self) -> bool:
        """Does Prefect answer?"""
        ...

    async def trigger(self, run_id: str, org_id: str, *, attempt_key: str) -> str:
        """Ask a worker to walk the run; the id of the Prefect run. The same `attempt_key` asks once."""
        ...

    async def cancel(self, prefect_run_id: str) -> bool:
        """Ask Prefect to cancel its run."""
        ...


class RunDispatcher:
    """Starts runs, waits for them, and takes over those whose walker died. One object a process."""

    def __init__(
        self,
        database: Database,
        store: RunStore,
        compiler: FlowCompiler,
        walker: Walker,
        *,
        durable: DurableLane | None,
        clock: Clock,
        owner: str,
        max_parallel: int,
    ) -> None:
        self._sessions = database.system()
        self._store = store
        self._compiler = compiler
        self._walker = walker
        self.durable = durable
        self._clock = clock
        self._owner = owner
        self._max_parallel = max_parallel
        self._slots = asyncio.Semaphore(max_parallel)
        self._walks: dict[str, asyncio.Task[None]] = {}
        self._sweeper: asyncio.Task[None] | None = None
        self._waiting: set[str] = set()
        self._is_draining = False

    @property
    def n_walks(self) -> int:
        """Runs walked by this process now, or waiting for their turn."""
        return len(self._walks)

    @property
    def has_room(self) -> bool:
        """Would a run started now be walked at once?"""
        return len(self._walks) < self._max_parallel

    def is_walking(self, run_id: str) -> bool:
        """Is it walked by this process?"""
        return run_id in self._walks

    def start(self, run_id: str) -> None:
        """Walk an entered run in this process as soon as a slot is free. While draining it stays queued."""
        if self._is_draining or run_id in self._walks:
            return
        task = asyncio.create_task(self._walk(run_id), name=f"run {run_id}")
        self._walks[run_id] = task
        task.add_done_callback(lambda _: self._walks.pop(run_id, None))

    async def hand_over(self, run_id: str, org_id: UUID, *, epoch: int = 0) -> None:
        """Have a worker walk the run. Asking again within ten minutes is one request, unless it was walked since."""
        if self.durable is None:
            raise RuntimeError("the durable lane is off")
        period = int(self._clock.now().timestamp() // ASK_AGAIN_S) if epoch else 0
        key = f"{run_id}:{epoch}:{period}"
        prefect_id = await self.durable.trigger(run_id, str(org_id), attempt_key=key)
        async with self._sessions() as db:
            await RunRepository(db).note_prefect_run(UUID(run_id), prefect_id)

    async def wait(self, run_id: str, timeout_s: float) -> Run | None:
        """The run once it is final, waits for a person, or time is up."""
        deadline = self._clock.monotonic() + timeout_s
        while True:
            task = self._walks.get(run_id)
            left_s = deadline - self._clock.monotonic()
            if task is not None and left_s > 0:
                await asyncio.wait({task}, timeout=left_s)
            run = await self._store.load(run_id)
            left_s = deadline - self._clock.monotonic()
            if run is None or run.status in FINAL_RUN | {"waiting"} or left_s <= 0:
                return run
            if run_id not in self._walks:
                await asyncio.sleep(min(POLL_S, left_s))
                if run.status == "queued" and self._sweeper is None:
                    await self.admit()

    def cancel(self, run_id: str) -> bool:
        """Stop a run that is walked here without waiting for its next look at the database."""
        return self._walker.cancel(run_id)

    async def cancel_elsewhere(self, row: RunRow) -> None:
        """Hurry the stop of a run that others walk, or nobody. The request is in its row already: that is the truth."""
        if row.owner is None:
            self.start(str(row.id))  # whoever takes it sees the request and ends it
        if row.prefect_run_id is not None and self.durable is not None:
            try:
                await self.durable.cancel(row.prefect_run_id)
            except Exception:  # Prefect is away; its worker reads our row
                log.warning("prefect_cancel_failed", exc_info=True, extra={"run_id": str(row.id)})

    def begin_sweeping(self) -> None:
        """Look after left runs, now and every few seconds, until `drain`."""
        self._sweeper = asyncio.create_task(self._sweep_for_ever(), name="sweep runs")

    async def drain(self, grace_s: float) -> None:
        """Start nothing more; let walks end, then stop the rest: they are given back and continued elsewhere."""
        self._is_draining = True
        if self._sweeper is not None:
            self._sweeper.cancel()
            await asyncio.gather(self._sweeper, return_exceptions=True)
        for run_id in self._waiting:
            self._walks[run_id].cancel()
        await self._walker.close(grace_s=grace_s)
        await asyncio.gather(*self._walks.values(), return_exceptions=True)

    async def sweep(self) -> int:
        """Take over runs nobody has walked for five seconds after their lease ended; how many there were."""
        before = self._clock.now() - GRACE_AFTER_LEASE
        async with self._sessions.read() as db:
            left = [row for row in await RunRepository(db).orphans(before=before) if str(row.id) not in self._walks]
        await self._take_over(left)
        return len(left)

    async def wake(self, run_id: str | None = None) -> int:
        """Let waiting runs, or this one, go on whose time has come; how many there were."""
        async with self._sessions.read() as db:
            due = await RunRepository(db).due(now=self._clock.now(), only=None if run_id is None else UUID(run_id))
        for row in due:
            await self.go_on(row)
        return len(due)

    async def go_on(self, row: RunRow) -> None:
        """Have a waiting run walked again; one of a group that is full waits for room first."""
        if not row.is_cancel_requested:
            async with self._sessions() as db:
                is_queued = await RunGroups(db).queue_again(row.id)
            if is_queued:
                await self.admit()
                return
        await self._begin(row)

    async def admit(self) -> int:
        """Start runs that waited for room in their group and have it now; how many there were."""
        if self._is_draining:
            return 0
        async with self._sessions.read() as db:
            groups = await RunGroups(db).full_groups()
        n_admitted = 0
        for flow_id, key in groups:
            async with self._sessions() as db:
                admitted = await RunGroups(db).admit(flow_id, key, now=self._clock.now())
            for row in admitted:
                await self._begin(row)
            n_admitted += len(admitted)
        return n_admitted

    async def _take_over(self, left: Sequence[RunRow]) -> None:
        for row in left:
            log.info("run_taken_over", extra={"run_id": str(row.id), "lane": row.lane, "epoch": row.epoch})
            await self._begin(row)

    async def _begin(self, row: RunRow) -> None:
        """Have a run walked; one of the durable lane waits for Prefect, and the sweep comes again."""
        if row.lane == "inline" or self.durable is None:
            self.start(str(row.id))
        elif self.durable.is_ready:
            await self.hand_over(str(row.id), row.org_id, epoch=row.epoch)

    async def _sweep_for_ever(self) -> None:
        while True:
            try:
                await self.sweep()
                await self.wake()
                await self.admit()
            except Exception:  # a database or Prefect that is away must not end the sweeping
                log.warning("run_sweep_failed", exc_info=True)
            await asyncio.sleep(SWEEP_EVERY_S)

    async def _walk(self, run_id: str) -> None:
        self._waiting.add(run_id)
        try:
            await self._slots.acquire()
        finally:
            self._waiting.discard(run_id)
        try:
            await self._walk_in_slot(run_id)
        finally:
            self._slots.release()

    async def _walk_in_slot(self, run_id: str) -> None:
        try:
            owner = await self._store.acquire(run_id, self._owner)
            run = None if owner is None else await self._store.load(run_id)
            if owner is not None and run is not None:
                await self._walk_as(owner, run)
        except StaleOwnerError:
            log.info("run_lost", extra={"run_id": run_id})
        except Exception:  # the run's lease ends and the sweep continues it
            log.exception("run_walk_broke", extra={"run_id": run_id})

    async def _walk_as(self, owner: RunOwner, run: Run) -> None:
        try:
            plan, _ = await self._compiler.plan(UUID(run.org_id), run.flow, run.version)
        except (LookupError, NodeError) as error:
            now = self._clock.now()
            problem = StepError("validation", str(error), node="", path="")
            failed = replace(run, status="failed", errors=(problem,), started_at=run.started_at or now, finished_at=now)
            await self._store.save_run(owner, failed)
            return
        await self._walker.execute(plan, run, owner)
        if plan.concurrency is not None:
            await self.admit()
