"""The way to Prefect for processes that start runs: deployments, schedules, trigger, cancel, the zombie rule.

One generic deployment a work pool serves every flow: its parameters say which run. Schedules sit on a second one, each
by its own slug, so that each is paused for itself; publishing a flow never touches either.
"""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from types import TracebackType
from typing import Any
from uuid import UUID

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.actions import DeploymentScheduleCreate, WorkPoolCreate
from prefect.client.schemas.objects import StateType
from prefect.client.schemas.schedules import CronSchedule
from prefect.events.actions import ChangeFlowRunState
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound
from prefect.states import Cancelling
from prefect.workers.base import BaseJobConfiguration, BaseVariables

POOL = "modelbridge"
FLOW = "modelbridge"
WORKER_TYPE = "modelbridge"
TRIGGERED = "run"
SCHEDULED = "scheduled"
ZOMBIE_RULE = "modelbridge: runs without a heartbeat have crashed"
ZOMBIE_AFTER_S = 90.0


@dataclass(frozen=True, slots=True)
class FlowSchedule:
    """A schedule as Prefect is to keep it. `id` is ours; `version` None means the published one at the time."""

    id: str
    org_id: str
    flow: str
    cron: str
    timezone: str = "UTC"
    version: int | None = None
    is_paused: bool = False

    def parameters(self) -> dict[str, Any]:
        """What the scheduled run is started with."""
        return {"org_id": self.org_id, "flow": self.flow, "version": self.version, "schedule_id": self.id}


class PrefectDeployments:
    """A client of one Prefect API and one work pool. Use it as an async context manager."""

    def __init__(self, api_url: str, *, pool: str = POOL) -> None:
        self._client = PrefectClient(api_url)
        self._pool = pool
        self._ids: dict[str, UUID] = {}

    async def __aenter__(self) -> "PrefectDeployments":
        await self._client.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.__aexit__(kind, error, trace)

    async def ensure_deployment(self) -> None:
        """Make the work pool and both deployments, where they are missing. Idempotent."""
        template = {
            "job_configuration": BaseJobConfiguration.json_template(),
            "variables": BaseVariables.model_json_schema(),
        }
        with contextlib.suppress(ObjectAlreadyExists):
            await self._client.create_work_pool(
                WorkPoolCreate(name=self._pool, type=WORKER_TYPE, base_job_template=template)
            )
        for name in (TRIGGERED, SCHEDULED):
            await self._deployment(name)

    async def trigger(self, run_id: str, org_id: str, *, attempt_key: str) -> str:
        """Ask a worker to walk the run; the id of the Prefect run. The same `attempt_key` asks once."""
        flow_run = await self._client.create_flow_run_from_deployment(
            await self._deployment(TRIGGERED),
            parameters={"org_id": org_id, "run_id": run_id},
            idempotency_key=attempt_key,
            name=attempt_key,
        )
        return str(flow_run.id)

    async def cancel(self, prefect_run_id: str) -> bool:
        """Ask Prefect to cancel its run. True when it is cancelled or being so; False when it had ended otherwise.

        Not needed to stop a run: workers read our own cancel request, and only that ends a run no worker has taken
        yet (Prefect cancels its row of such a run at once, words that as a rejection, and no worker ever sees it).
        """
        answer = await self._client.set_flow_run_state(UUID(prefect_run_id), Cancelling())
        state = answer.state
        return state is not None and (state.is_cancelling() or state.is_cancelled())

    async def apply_schedules(self, schedules: Sequence[FlowSchedule]) -> None:
        """Make Prefect's schedules exactly these: missing ones are added, changed ones replaced, others removed."""
        deployment = await self._deployment(SCHEDULED)
        wanted = {schedule.id: _to_create(schedule) for schedule in schedules}
        for existing in await self._client.read_deployment_schedules(deployment):
            create = wanted.get(existing.slug or "")
            is_same = (
                create is not None
                and existing.schedule == create.schedule
                and existing.parameters == create.parameters
                and existing.active == create.active
            )
            if is_same:
                del wanted[existing.slug or ""]
            else:
                await self._client.delete_deployment_schedule(deployment, existing.id)
        if wanted:
            await self._client.create_deployment_schedules(deployment, list(wanted.values()))

    async def ensure_zombie_automation(self, *, after_s: float = ZOMBIE_AFTER_S) -> None:
        """Have Prefect mark its rows of runs without a heartbeat for `after_s` as CRASHED. Idempotent.

        It only tidies Prefect's own rows: taking over is the business of whoever looks at our leases.
        """
        if await self._client.read_automations_by_name(ZOMBIE_RULE):
            return
        await self._client.create_automation(
            AutomationCore(
                name=ZOMBIE_RULE,
                trigger=EventTrigger(
                    after={"prefect.flow-run.heartbeat"},
                    expect={"prefect.flow-run.*"},
                    for_each={"prefect.resource.id"},
                    posture=Posture.Proactive,
                    threshold=1,
                    within=timedelta(seconds=after_s),
                ),
                actions=[ChangeFlowRunState(state=StateType.CRASHED, name=None, message="no heartbeat", force=False)],
            )
        )

    async def _deployment(self, name: str) -> UUID:
        known = self._ids.get(name)
        if known is None:
            known = self._ids[name] = await self._found_or_made(name)
        return known

    async def _found_or_made(self, name: str) -> UUID:
        """Making it again would remove its schedules, so an existing one is left as it is."""
        full_name = f"{self._pool}-{name}"
        with contextlib.suppress(ObjectNotFound):
            return (await self._client.read_deployment_by_name(f"{FLOW}/{full_name}")).id
        return await self._client.create_deployment(
            await self._client.create_flow_from_name(FLOW),
            full_name,
            work_pool_name=self._pool,
            entrypoint="flows.warm_worker:WarmWorker",
            path=".",
        )


def _to_create(schedule: FlowSchedule) -> DeploymentScheduleCreate:
    return DeploymentScheduleCreate(
        schedule=CronSchedule(cron=schedule.cron, timezone=schedule.timezone, day_or=True),
        active=not schedule.is_paused,
        parameters=schedule.parameters(),
        slug=schedule.id,
    )
