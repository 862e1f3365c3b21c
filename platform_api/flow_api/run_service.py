"""Entering runs: which version, which inputs, which lane; one run for one idempotency key or schedule slot."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from bridge.clock import Clock
from bridge.identifiers import NewId
from bridge.money import Usd
from flows.concurrency import Group, group_of
from flows.engine_services import FlowExpressions
from flows.errors import InvalidInputsError
from flows.inputs import check_inputs
from flows.plan import Engine, Plan
from flows.runs import Lane, StepRun
from nodes.errors import NodeError
from platform_api.budgets.service import set_run_budget
from platform_api.database.session import SessionSource
from platform_api.database.tables.flows import RunRow
from platform_api.database.tables.identity import OrganizationRow
from platform_api.database.upserts import storable
from platform_api.errors import ConflictError, FieldProblem, InvalidError, NotFoundError
from platform_api.flow_api import service
from platform_api.flow_api.dispatcher import RunDispatcher
from platform_api.flow_api.plans import FlowCompiler
from platform_api.flow_api.run_groups import Place, RunGroups
from platform_api.flow_api.run_repository import RunRepository
from platform_api.flow_api.run_store import insert_steps
from platform_api.structured_logging import request_id
from platform_api.trace_context import current_traceparent

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RunOrder:
    """What is to be run, for whom, and why."""

    org_id: UUID
    flow: str
    version: int | None
    inputs: dict[str, Any]
    trigger: str
    engine: Engine | None = None
    key_id: UUID | None = None
    user_id: UUID | None = None
    idempotency_key: str | None = None
    schedule_id: UUID | None = None
    slot: datetime | None = None
    series: str | None = None
    """Runs with an equal series come one after the other, where the flow has no `concurrency` of its own."""
    prefect_run_id: str | None = None
    parent_run_id: UUID | None = None
    """The run that this one repeats."""
    kept: Sequence[StepRun] = ()
    """Outcomes of that run which this one begins with."""


@dataclass(frozen=True, slots=True)
class Entered:
    """A run in the database. `is_new` is False when the order's key had one already."""

    run_id: str
    lane: Lane
    is_new: bool
    is_admitted: bool = True
    """False: its group is full, and the dispatcher starts it when there is room."""


class RunEntrance:
    """Turns orders into rows and hands them to whoever walks them."""

    def __init__(
        self,
        compiler: FlowCompiler,
        dispatcher: RunDispatcher,
        expressions: FlowExpressions,
        clock: Clock,
        new_id: NewId,
        *,
        new_traceparent: Callable[[str], str | None] = lambda _run_id: None,
    ) -> None:
        """`new_traceparent` gives the trace of a run that no traced request asked for, from its id."""
        self._compiler = compiler
        self._expressions = expressions
        self._dispatcher = dispatcher
        self._clock = clock
        self._new_id = new_id
        self._new_traceparent = new_traceparent

    async def start(self, sessions: SessionSource, order: RunOrder) -> Entered:
        """Enter the run and have it walked.

        Raises:
            NotFoundError: No such flow or version.
            ConflictError: Nothing is published (not_published), Prefect is asked for and off (durable_lane_off), or
                as many runs go on as the flow allows (concurrency_full).
            InvalidError: Inputs that do not fit; every problem with its pointer.
        """
        entered = await self.enter(sessions, order)
        if not entered.is_new or not entered.is_admitted:
            return entered
        if entered.lane == "prefect":
            await self._hand_over(entered.run_id, order.org_id)
        else:
            self._dispatcher.start(entered.run_id)
        return entered

    async def _hand_over(self, run_id: str, org_id: UUID) -> None:
        try:
            await self._dispatcher.hand_over(run_id, org_id)
        except Exception:  # Prefect does not answer now; the run is queued and the sweep asks again
            log.warning("run_not_handed_over", exc_info=True, extra={"run_id": run_id})

    async def enter(self, sessions: SessionSource, order: RunOrder, *, lane: Lane | None = None) -> Entered:
        """Enter the run, in a given lane where it is known; somebody else walks it. Raises as `start`."""
        known = await self._known(sessions, order)
        if known is not None:
            return known
        async with sessions.read() as db:
            flow = await service.find(db, order.org_id, order.flow)
            run_id = self._new_id()
            version = service.version_for(flow, order.version, UUID(run_id))
        plan = await self._plan(order, version)
        inputs = _checked_inputs(plan, order.inputs)
        group = await self._group(sessions, order, plan, inputs)
        lane = lane or self._lane(order.engine or plan.engine)
        record: dict[str, Any] = {
            "id": UUID(run_id),
            "org_id": order.org_id,
            "flow_id": flow.id,
            "flow": flow.name,
            "version": version,
            "status": "queued",
            "trigger": order.trigger,
            "lane": lane,
            "inputs": storable(inputs),
            "outputs": None,
            "errors": [],
            "cost_nano_usd": 0,
            "owner": None,
            "lease_until": None,
            "epoch": 0,
            "last_seq": 0,
            "is_cancel_requested": False,
            "prefect_run_id": order.prefect_run_id,
            "parent_run_id": order.parent_run_id,
            "key_id": order.key_id,
            "user_id": order.user_id,
            "idempotency_key": order.idempotency_key,
            "schedule_id": order.schedule_id,
            "slot": order.slot,
            "group_key": group.key if group is not None else None,
            "group_limit": group.limit if group is not None else None,
            "admitted_at": None,
            "wake_at": None,
            "waiting_since": None,
            "waited_s": 0.0,
            "request_id": request_id(),
            "traceparent": current_traceparent() or self._new_traceparent(run_id),
            "created_at": self._clock.now(),
            "started_at": None,
            "finished_at": None,
        }
        place = Place(is_admitted=True)
        async with sessions() as db:
            if group is not None:
                place = await RunGroups(db).place(flow.id, group, now=record["created_at"])
                record["admitted_at"] = record["created_at"] if place.is_admitted else None
            if not place.is_admitted:
                record["prefect_run_id"] = None  # whoever admits it asks Prefect anew
            is_new = await self._insert(db, record, plan, order.kept)
        await self._stop(place.victims)
        if not is_new:
            known = await self._known(sessions, order)
            if known is None:
                raise ConflictError("a run of this schedule slot exists already", code="slot_taken")
            return known
        return Entered(run_id, lane, is_new=True, is_admitted=place.is_admitted)

    async def _group(
        self, sessions: SessionSource, order: RunOrder, plan: Plan, inputs: dict[str, Any]
    ) -> Group | None:
        if plan.concurrency is None:
            return None if order.series is None else Group(order.series, 1, "queue")
        async with sessions.read() as db:
            slug = await db.scalar(select(OrganizationRow.slug).where(OrganizationRow.id == order.org_id))
        try:
            return group_of(plan, str(order.org_id), slug or str(order.org_id), inputs, self._expressions)
        except NodeError as error:
            raise InvalidError(f"concurrency.key cannot be evaluated: {error}", code="invalid_inputs") from error

    async def _stop(self, victims: Sequence[RunRow]) -> None:
        """Hurry the stop of runs that had to go; their rows say so already."""
        for row in victims:
            if not self._dispatcher.cancel(str(row.id)):
                await self._dispatcher.cancel_elsewhere(row)

    async def _known(self, sessions: SessionSource, order: RunOrder) -> Entered | None:
        """The run that the order's key has already."""
        if order.idempotency_key is None:
            return None
        async with sessions() as db:
            flow = await service.find(db, order.org_id, order.flow)
            row = await RunRepository(db).find_by_key(
                order.org_id, flow.id, order.idempotency_key, now=self._clock.now()
            )
        if row is None:
            return None
        return Entered(str(row.id), "prefect" if row.lane == "prefect" else "inline", is_new=False)

    async def _insert(self, db: AsyncSession, record: dict[str, Any], plan: Plan, kept: Sequence[StepRun]) -> bool:
        if not await RunRepository(db).insert(record):
            return False
        await insert_steps(db, record["org_id"], record["id"], 0, kept, at=record["created_at"])
        if plan.budget is not None:
            limit = Usd(str(plan.budget.usd))
            await set_run_budget(
                db, record["org_id"], str(record["id"]), limit, now=self._clock.now(), new_id=self._new_id
            )
        return True

    async def _plan(self, order: RunOrder, version: int) -> Plan:
        try:
            plan, _ = await self._compiler.plan(order.org_id, order.flow, version)
        except LookupError as error:
            raise NotFoundError("version", f"{order.flow}@{version}") from error
        except NodeError as error:
            raise ConflictError(str(error), code="flow_invalid") from error
        return plan

    def _lane(self, engine: Engine) -> Lane:
        durable = self._dispatcher.durable
        match engine:
            case "inline":
                return "inline"
            case "prefect":
                if durable is None:
                    raise ConflictError(
                        "this run asks for the durable lane, and no Prefect is configured: set PREFECT_API_URL, "
                        "or leave out `engine`",
                        code="durable_lane_off",
                    )
                return "prefect"
            case "auto":
                is_durable = durable is not None and durable.is_ready
                return "prefect" if is_durable and not self._dispatcher.has_room else "inline"


def _checked_inputs(plan: Plan, given: dict[str, Any]) -> dict[str, Any]:
    try:
        return dict(check_inputs(plan.inputs_schema, given))
    except InvalidInputsError as error:
        problems = [FieldProblem(f"/inputs{pointer}", message) for pointer, message in error.problems]
        raise InvalidError(f"the inputs do not fit flow {plan.flow}", problems, code="invalid_inputs") from error
