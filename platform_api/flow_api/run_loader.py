"""What a worker of the durable lane is given: runs and plans by id, and runs for the slots of schedules."""

import logging
from uuid import UUID

from sqlalchemy import select

from flows.durable_lane import ScheduledBirth
from flows.engine_services import EngineServices
from flows.plan import Plan
from flows.runs import FINAL_RUN, Run
from platform_api.database.session import Database
from platform_api.database.tables.flows import RunRow, ScheduleRow
from platform_api.errors import ApiError, NotFoundError
from platform_api.flow_api.plans import FlowCompiler
from platform_api.flow_api.run_repository import RunRepository
from platform_api.flow_api.run_service import RunEntrance, RunOrder

log = logging.getLogger(__name__)


class SqlRunLoader:
    """`flows.durable_lane.RunLoader` over the platform's database."""

    def __init__(
        self, database: Database, services: EngineServices, compiler: FlowCompiler, entrance: RunEntrance
    ) -> None:
        self._database = database
        self._services = services
        self._compiler = compiler
        self._entrance = entrance

    @property
    def services(self) -> EngineServices:
        """The engine's ports in this process."""
        return self._services

    async def load(self, org_id: str, run_id: str) -> tuple[Run, Plan]:
        """The run and the version it pins. Raises NotFoundError, LookupError or NodeError."""
        run = await self._services.store.load(run_id)
        if run is None or run.org_id != org_id:
            raise NotFoundError("run", run_id)
        plan, _ = await self._compiler.plan(UUID(org_id), run.flow, run.version)
        return run, plan

    async def admit(self, birth: ScheduledBirth) -> str | None:
        """The run of a schedule's slot, made once. None: the schedule is gone, or its last run still goes on."""
        org_id, schedule_id = UUID(birth.org_id), UUID(birth.schedule_id)
        sessions = self._database.for_org(org_id)
        async with sessions.read() as db:
            schedule = await db.scalar(
                select(ScheduleRow).where(ScheduleRow.org_id == org_id, ScheduleRow.id == schedule_id)
            )
            made = await db.scalar(
                select(RunRow).where(
                    RunRow.org_id == org_id, RunRow.schedule_id == schedule_id, RunRow.slot == birth.slot_at
                )
            )
            is_running = await RunRepository(db).is_slot_running(schedule_id)
        if made is not None:
            waits_for_room = made.group_key is not None and made.admitted_at is None
            return None if made.status in FINAL_RUN or waits_for_room else str(made.id)
        if schedule is None or schedule.is_paused or (schedule.overlap == "skip" and is_running):
            log.info("schedule_slot_skipped", extra={"schedule_id": birth.schedule_id, "is_running": is_running})
            return None
        order = RunOrder(
            org_id=org_id,
            flow=schedule.flow,
            version=schedule.version,
            inputs=schedule.inputs,
            trigger="schedule",
            user_id=schedule.created_by,
            schedule_id=schedule_id,
            slot=birth.slot_at,
            prefect_run_id=birth.prefect_run_id,
        )
        try:
            entered = await self._entrance.enter(sessions, order, lane="prefect")
        except ApiError as error:  # nothing published, inputs that fit no more: said once, the schedule goes on
            log.warning("schedule_slot_refused", extra={"schedule_id": birth.schedule_id, "problem": error.detail})
            return None
        return entered.run_id if entered.is_admitted else None
