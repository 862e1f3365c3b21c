"""What a worker of the durable lane is given: runs and plans by id, and runs for the slots of schedules."""

from uuid import UUID

from flows.durable_lane import ScheduledBirth
from flows.engine_services import EngineServices
from flows.plan import Plan
from flows.runs import Run
from platform_api.errors import NotFoundError
from platform_api.flow_api.plans import FlowCompiler
from platform_api.flow_api.schedule_slots import ScheduleSlots, Slot


class SqlRunLoader:
    """`flows.durable_lane.RunLoader` over the platform's database."""

    def __init__(self, services: EngineServices, compiler: FlowCompiler, slots: ScheduleSlots) -> None:
        self._services = services
        self._compiler = compiler
        self._slots = slots

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
        """The run of a schedule's slot, made once. None: the schedule's policies leave it out, or it waits for room."""
        slot = Slot(UUID(birth.org_id), UUID(birth.schedule_id), birth.slot_at, birth.prefect_run_id)
        entered = await self._slots.fire(slot)
        return None if entered is None else entered.run_id
