"""A Prefect worker that keeps the code loaded and walks many runs in its own loop: 0.7 s from trigger to running.

Five cures against what Prefect does to such a worker (reference: VERIFIED, section 2):
1. cancel the walker, never the engine's task: that one writes Crashed by force;
2. always report status code 0: any other makes the worker propose Crashed over the true state;
3. a cancel that arrives before a run is live is remembered, and our own `cancel_requested` row is the truth anyway;
4. `capture_sigterm` is switched off: it would raise inside the loop, and a graceful stop would never run;
5. a final state the server refuses (Completed after Cancelling) is written by force, so no run hangs in Cancelling.
"""

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import AsyncGenerator, Coroutine
from pathlib import Path
from typing import Any, cast
from uuid import UUID

from prefect import flow_engine
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter
from prefect.client.schemas.objects import FlowRun, State
from prefect.events.clients import get_events_subscriber
from prefect.events.filters import EventFilter, EventNameFilter
from prefect.flow_engine import run_flow_async
from prefect.workers.base import BaseJobConfiguration, BaseVariables, BaseWorker, BaseWorkerResult

from flows.durable_lane import DurableLane, RunLoader

log = logging.getLogger(__name__)

WORKER_TYPE = "modelbridge"
CANCEL_POLL_S = 1.0
AFTER_GRACE_S = 10.0
RECONNECT_S = 1.0


class WarmWorker(BaseWorker[BaseJobConfiguration, BaseVariables, BaseWorkerResult]):
    """Runs flow runs of its pool in this process, through a DurableLane."""

    type = WORKER_TYPE
    job_configuration = BaseJobConfiguration
    job_configuration_variables = BaseVariables

    def __init__(self, lane: DurableLane, *, pool: str, name: str, max_runs: int) -> None:
        super().__init__(work_pool_name=pool, name=name, limit=max_runs)
        self._lane = lane
        self._flow = lane.as_flow()
        self._accepted: set[UUID] = set()
        self.ready = asyncio.Event()
        """Set once Prefect knows this worker and its pool."""
        self.idle = asyncio.Event()
        """Set while no run is accepted."""
        self.idle.set()
        self._is_draining = False

    @property
    def accepted(self) -> frozenset[UUID]:
        """Prefect runs that were taken and whose final state is not written yet."""
        return frozenset(self._accepted)

    def drain(self) -> None:
        """Take no more runs."""
        self._is_draining = True

    async def get_and_submit_flow_runs(self) -> list[FlowRun]:
        return [] if self._is_draining else await super().get_and_submit_flow_runs()

    async def sync_with_backend(self) -> None:
        await super().sync_with_backend()
        if self._has_successfully_synced:
            self.ready.set()

    async def run(self, flow_run: FlowRun, configuration: BaseJobConfiguration, task_status: Any = None) -> Any:
        """Walk one run to its end. The result says 0 whatever became of it: the flow run's state tells."""
        del configuration
        self._accepted.add(flow_run.id)
        self.idle.clear()
        try:
            if task_status is not None:
                task_status.started(os.getpid())
            current = (await self.client.read_flow_run(flow_run.id)).state
            if current is not None and current.is_cancelled():
                await self._lane.end_cancelled(flow_run.parameters, flow_run.id)
            else:
                if current is not None and current.is_cancelling():
                    self._lane.cancel(flow_run.id)
                await self._run_to_the_end(flow_run)
        finally:
            self._accepted.discard(flow_run.id)
            if not self._accepted:
                self.idle.set()
        return BaseWorkerResult(status_code=0, identifier=str(flow_run.id))

    async def _run_to_the_end(self, flow_run: FlowRun) -> None:
        try:
            state = await cast(
                "Coroutine[Any, Any, State[Any] | None]",
                run_flow_async(self._flow, flow_run=flow_run, parameters=flow_run.parameters, return_type="state"),
            )
        finally:
            wanted = self._lane.take_wanted(flow_run.id)
        if wanted is not None and (state is None or not state.is_final()):
            log.info("prefect_run.state_forced", extra={"prefect_run_id": str(flow_run.id), "state": wanted.name})
            await self.client.set_flow_run_state(flow_run.id, wanted, force=True)


async def run_worker(
    loader: RunLoader,
    *,
    pool: str,
    name: str,
    max_runs: int = 32,
    grace_s: float = 20.0,
    stop: asyncio.Event | None = None,
    ready_file: Path | None = None,
) -> None:
    """Walk runs of `pool` until SIGTERM, SIGINT or `stop`; then let runs end within `grace_s` and give back the rest.

    Call `prefect_server.prepare_process` first, in the main thread, with the Prefect API answering: a worker that
    starts before it drops events. `ready_file` is touched once runs are taken.
    """
    flow_engine.capture_sigterm = contextlib.nullcontext  # pyright: ignore[reportPrivateImportUsage]  # cure 4
    stop = stop or asyncio.Event()
    lane = DurableLane(loader, worker=name)
    worker = WarmWorker(lane, pool=pool, name=name, max_runs=max_runs)
    async with _signals_set(stop):
        working = asyncio.create_task(worker.start(printer=lambda *_: None))
        watching = asyncio.create_task(_watch_cancels(worker, lane))
        announcing = asyncio.create_task(_announce(worker, ready_file))
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not working.done():
                await _wind_down(worker, lane, grace_s)
        finally:
            tasks = (working, watching, announcing, stopping)
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
        failure = ended[0]
        if isinstance(failure, Exception):
            raise failure


async def _wind_down(worker: WarmWorker, lane: DurableLane, grace_s: float) -> None:
    worker.drain()
    if not await _is_idle_within(worker, grace_s):
        log.info("worker.gives_back", extra={"runs": len(worker.accepted)})
        lane.interrupt_all()
        await _is_idle_within(worker, AFTER_GRACE_S)


async def _is_idle_within(worker: WarmWorker, limit_s: float) -> bool:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(limit_s):
            await worker.idle.wait()
    return worker.idle.is_set()


async def _announce(worker: WarmWorker, ready_file: Path | None) -> None:
    await worker.ready.wait()
    log.info("worker.ready", extra={"worker": worker.name})
    if ready_file is not None:
        await asyncio.to_thread(ready_file.touch)


async def _watch_cancels(worker: WarmWorker, lane: DurableLane) -> None:
    """Hear of cancels asked for through Prefect: by its event stream, and by asking, should the stream be down."""
    async with asyncio.TaskGroup() as group:
        group.create_task(_hear_cancels(lane))
        group.create_task(_ask_for_cancels(worker, lane))


async def _hear_cancels(lane: DurableLane) -> None:
    wanted = EventFilter(event=EventNameFilter(name=["prefect.flow-run.Cancelling"]))
    while True:
        try:
            async with get_events_subscriber(filter=wanted) as events:
                async for event in events:
                    lane.cancel(UUID(event.resource["prefect.resource.id"].rpartition(".")[2]))
        except Exception:  # the stream is down: asking goes on, and our own row is read in any case
            log.debug("worker.cancel_stream_down", exc_info=True)
        await asyncio.sleep(RECONNECT_S)


async def _ask_for_cancels(worker: WarmWorker, lane: DurableLane) -> None:
    async with get_client() as client:
        while True:
            await asyncio.sleep(CANCEL_POLL_S)
            if not worker.accepted:
                continue
            live = FlowRunFilter.model_validate(
                {"id": {"any_": list(worker.accepted)}, "state": {"type": {"any_": ["CANCELLING", "CANCELLED"]}}}
            )
            try:
                found = await client.read_flow_runs(flow_run_filter=live)
            except Exception:  # Prefect is away for a moment
                log.debug("worker.cancel_poll_failed", exc_info=True)
                continue
            for flow_run in found:
                lane.cancel(flow_run.id)


@contextlib.asynccontextmanager
async def _signals_set(stop: asyncio.Event) -> AsyncGenerator[None]:
    """SIGTERM and SIGINT set `stop` for as long as this lasts."""
    loop = asyncio.get_running_loop()
    numbers = (signal.SIGTERM, signal.SIGINT)
    for number in numbers:
        loop.add_signal_handler(number, stop.set)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
