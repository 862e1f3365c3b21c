"""The walker as a Prefect flow: the same walk, with one Prefect task run per executed step.

Prefect sees names, edges and states. Retries, timeouts, caching, results and recovery are ours (flows/step.py, the run
store); nothing of what a run reads or answers passes through Prefect.
"""

import asyncio
import logging
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Protocol, cast
from uuid import UUID

from prefect import Flow, State, allow_failure, flow, task
from prefect.cache_policies import NO_CACHE
from prefect.context import FlowRunContext
from prefect.states import Cancelled, Completed, Failed

from flows.engine_services import EngineServices
from flows.held_walk import HeldWalk
from flows.plan import Plan
from flows.runs import Run, RunOwner, StaleOwnerError, StepError, StepRun
from flows.walk import DirectCaller, StepCaller, Work

log = logging.getLogger(__name__)

FLOW_NAME = "modelbridge"
VISIBLE_FAN_OUT = 100
EARLY_KEPT = 10_000


@dataclass(frozen=True, slots=True)
class ScheduledBirth:
    """A Prefect run that a schedule made: which schedule, for which slot."""

    org_id: str
    schedule_id: str
    flow: str
    version: int | None
    slot_at: datetime
    prefect_run_id: str


class RunLoader(Protocol):
    """What a worker process brings: services, and how a run and its plan are found."""

    @property
    def services(self) -> EngineServices: ...

    async def load(self, org_id: str, run_id: str) -> tuple[Run, Plan]:
        """The run and the compiled version it pins. Raises when either does not exist or does not compile."""
        ...

    async def admit(self, birth: ScheduledBirth) -> str | None:
        """Make the run of a schedule's slot, once per slot; its id. None: it waits for room or is left out."""
        ...


class StepTicket:
    """One call of one step, handed through Prefect unseen: it looks into dataclasses and lists, not into this."""

    __slots__ = ("error", "outcome", "work")

    def __init__(self, work: Work) -> None:
        self.work = work
        self.outcome: StepRun | None = None
        self.error: BaseException | None = None


@task(
    name="step",
    task_run_name="{path}",
    retries=0,
    persist_result=False,
    cache_policy=NO_CACHE,
    log_prints=False,
)
async def step_task(path: str, ticket: StepTicket) -> State[Any]:
    """Do the step's work; the state tells how it ended, the ticket carries the outcome.

    A CancelledError that left the task would be stored as Crashed, so it ends here and leaves through the ticket.
    """
    del path
    try:
        outcome = ticket.outcome = await ticket.work()
    except asyncio.CancelledError as error:
        ticket.error = error
        return Cancelled(message="interrupted")
    except Exception as error:  # noqa: BLE001  # re-raised to the walker by the caller below
        ticket.error = error
        return Failed(message=type(error).__name__)
    return step_state(outcome)


def step_state(outcome: StepRun) -> State[Any]:
    """The Prefect state of a step's end. Messages name classes and reasons, never content."""
    if outcome.status == "cancelled":
        return Cancelled(message=outcome.reason)
    if outcome.status == "failed":
        error_class = outcome.error.error_class if outcome.error else "internal"
        handled = "; handled by on_error" if outcome.is_error_handled else ""
        return Failed(message=f"{error_class} after {outcome.attempts} attempts{handled}")
    if outcome.status == "waiting":
        return Completed(name="Waiting")
    return Completed(name="Cached" if outcome.is_cached else None)


class PrefectCaller:
    """Calls every step as a Prefect task, behind the task runs of the steps it follows."""

    fan_out_limit: int | None = VISIBLE_FAN_OUT

    def __init__(self) -> None:
        self._states: dict[str, State[Any]] = {}

    async def call(self, path: str, after: Sequence[str], work: Work) -> StepRun:
        ticket = StepTicket(work)
        edges = [allow_failure(self._states[other]) for other in after if other in self._states]
        called = step_task(path, ticket, wait_for=edges, return_state=True)
        self._states[path] = await cast("Awaitable[State[Any]]", called)
        if ticket.error is not None:
            raise ticket.error
        if ticket.outcome is None:
            raise RuntimeError(f"Prefect did not run step {path}: {self._states[path].name}")
        return ticket.outcome


class DurableLane:
    """All walks of one worker process, by the id of their Prefect run."""

    def __init__(self, loader: RunLoader, *, worker: str) -> None:
        self._loader = loader
        self._worker = worker
        self._live: dict[UUID, HeldWalk] = {}
        self._early: dict[UUID, None] = {}
        self._wanted: dict[UUID, State[Any]] = {}
        self._is_going_down = False

    @property
    def live(self) -> frozenset[UUID]:
        """Prefect runs that are being walked now."""
        return frozenset(self._live)

    def cancel(self, prefect_run_id: UUID) -> None:
        """Stop a walk; one that has not begun yet stops as soon as it does."""
        walk = self._live.get(prefect_run_id)
        if walk is not None:
            walk.cancel()
            return
        self._early[prefect_run_id] = None
        while len(self._early) > EARLY_KEPT:
            del self._early[next(iter(self._early))]

    def take_wanted(self, prefect_run_id: UUID) -> State[Any] | None:
        """The state the walk ended with, once: what Prefect's row must end as."""
        return self._wanted.pop(prefect_run_id, None)

    def interrupt_all(self) -> None:
        """The process goes down: give back what is being walked, and whatever comes later."""
        self._is_going_down = True
        for walk in list(self._live.values()):
            walk.interrupt()

    def as_flow(self) -> "Flow[..., Any]":
        """The generic Prefect flow. Its parameters say which run; everything else comes from the loader."""

        @flow(name=FLOW_NAME, retries=0, persist_result=False, validate_parameters=False, log_prints=False)
        async def modelbridge_run(  # the names are the deployment's parameters
            org_id: str,
            run_id: str | None = None,
            flow: str = "",
            version: int | None = None,
            schedule_id: str | None = None,
        ) -> State[Any]:
            context = FlowRunContext.get()
            assert context is not None
            assert context.flow_run is not None
            flow_run = context.flow_run
            if run_id is None:
                run_id = await self._loader.admit(
                    ScheduledBirth(
                        org_id=org_id,
                        schedule_id=schedule_id or "",
                        flow=flow,
                        version=version,
                        slot_at=flow_run.expected_start_time or flow_run.created or self._loader.services.clock.now(),
                        prefect_run_id=str(flow_run.id),
                    )
                )
                if run_id is None:
                    return Completed(name="Queued", message="left to the dispatcher")
            state = self._wanted[flow_run.id] = await self.walk(org_id, run_id, flow_run.id, PrefectCaller())
            return state

        return modelbridge_run

    async def end_cancelled(self, parameters: Mapping[str, Any], prefect_run_id: UUID) -> None:
        """End a run whose Prefect row was cancelled before it began: nothing runs but `finally`."""
        org_id, run_id = parameters.get("org_id"), parameters.get("run_id")
        if org_id and run_id and await self._loader.services.store.request_cancel(org_id, run_id):
            await self.walk(org_id, run_id, prefect_run_id, DirectCaller())

    async def walk(self, org_id: str, run_id: str, prefect_run_id: UUID, caller: StepCaller) -> State[Any]:
        """Take the run, walk it, and answer the Prefect state that tells how it ended."""
        services = self._loader.services
        owner_name = f"{self._worker}/{prefect_run_id}"
        owner = await services.store.acquire(run_id, owner_name, lease_s=services.limits.lease_s)
        if owner is None:
            return Completed(name="NotTaken", message="the run has ended, or somebody else walks it")
        found = await self._load(org_id, run_id, owner)
        if found is None:
            return Failed(message="the run could not be loaded")
        run, plan = found
        run = replace(run, lane="prefect", prefect_run_id=str(prefect_run_id))
        walk = HeldWalk(services, plan, run, owner, caller)
        self._live[prefect_run_id] = walk
        try:
            if prefect_run_id in self._early:
                walk.cancel()
            if self._is_going_down:
                walk.interrupt()
            ended = await walk.walk()
        except StaleOwnerError:
            log.info("run.taken_over", extra={"run_id": run_id})
            return Cancelled(message="another worker took the run over")
        finally:
            del self._live[prefect_run_id]
            self._early.pop(prefect_run_id, None)
        return run_state(ended)

    async def _load(self, org_id: str, run_id: str, owner: RunOwner) -> tuple[Run, Plan] | None:
        """The run and its plan; when they cannot be had the run ends as failed."""
        services = self._loader.services
        try:
            return await self._loader.load(org_id, run_id)
        except Exception as error:
            log.exception("run.not_loaded", extra={"run_id": run_id})
            run = await services.store.load(run_id)
            if run is not None:
                problem = StepError("internal", f"the flow cannot be loaded: {error}", node="", path="")
                now = services.clock.now()
                failed = replace(run, status="failed", errors=(problem,), started_at=now, finished_at=now)
                await services.store.save_run(owner, failed)
            return None


def run_state(run: Run) -> State[Any]:
    """The Prefect state of a run's end."""
    match run.status:
        case "succeeded":
            return Completed()
        case "partial":
            return Completed(name="Partial")
        case "cancelled":
            return Cancelled(message="cancelled")
        case "queued":
            return Cancelled(message="given back: the worker went down")
        case "waiting":
            return Completed(name="Waiting")
        case _:
            classes = ", ".join(dict.fromkeys(error.error_class for error in run.errors))
            return Failed(message=f"failed: {classes or 'internal'}")
