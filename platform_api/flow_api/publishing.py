"""Making a version the one that runs, for all runs or for a share of them, and going back."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from bridge.identifiers import new_id
from flows.plan import Plan
from flows.version_diff import VersionDiff, diff_versions
from nodes.errors import NodeError
from platform_api.database.session import SessionSource
from platform_api.database.tables.flows import FlowRow, FlowVersionRow
from platform_api.errors import ConflictError, NotFoundError
from platform_api.flow_api import schedules, service, triggers
from platform_api.flow_api.services import FlowServices


@dataclass(frozen=True, slots=True)
class Publisher:
    """On whose behalf versions are published, and with what."""

    flows: FlowServices
    sessions: SessionSource
    org_id: UUID
    user_id: UUID | None

    async def publish(
        self, flow: str, number: int | None, *, now: datetime
    ) -> tuple[FlowVersionRow, VersionDiff | None]:
        """Make a version (the latest when None) the one that runs, with its triggers; a version on trial ends with it.

        The difference is to the version that ran before; None when there was none, or it compiles no more.

        Raises:
            NotFoundError: No such flow or version.
            ConflictError: It cannot run (flow_invalid), or has schedules and nothing would fire them.
        """
        async with self.sessions.read() as db:
            row = await service.find(db, self.org_id, flow)
        number = number or row.latest_version
        plan = await self.plan(flow, number)
        if plan.schedules:
            self.flows.schedules.require_lane()
        difference = await self._difference(flow, row.published_version, plan)
        async with self.sessions() as db:
            row, version = await service.publish(db, self.org_id, flow, number, now=now)
            row.canary_version, row.canary_percent = None, None
            await triggers.replace_triggers(db, row, plan, user_id=self.user_id, now=now, new_id=new_id)
            has_schedules = await schedules.replace_triggers(
                db, row, plan, user_id=self.user_id, now=now, new_id=new_id
            )
        if has_schedules:
            await self.flows.schedules.publish()
        return version, difference

    async def roll_back(self, flow: str, *, now: datetime) -> tuple[FlowVersionRow, VersionDiff | None]:
        """Publish the version that was published before the present one. While one is on trial, only end the trial.

        Raises:
            ConflictError: Nothing was published before (nothing_before).
        """
        async with self.sessions() as db:
            row = await service.find(db, self.org_id, flow, is_locked=True)
            present = await self._version(db, row, row.published_version)
            if row.canary_version is not None:
                row.canary_version, row.canary_percent = None, None
                return present, None
            before = await db.scalar(
                select(FlowVersionRow)
                .where(FlowVersionRow.flow_id == row.id, FlowVersionRow.published_at < present.published_at)
                .order_by(FlowVersionRow.published_at.desc())
                .limit(1)
            )
        if before is None:
            raise ConflictError(f"nothing was published before {flow}@{present.version}", code="nothing_before")
        return await self.publish(flow, before.version, now=now)

    async def try_out(self, flow: str, number: int, percent: int, *, now: datetime) -> FlowRow:
        """Give a version a share of the new runs that name none. Runs keep the version they began with.

        Raises:
            NotFoundError: No such flow or version.
            ConflictError: Nothing is published to compare with, it is that very version, or it cannot run.
        """
        await self.plan(flow, number)
        async with self.sessions() as db:
            row = await service.find(db, self.org_id, flow, is_locked=True)
            service.runnable_version(row, None)
            if row.published_version == number:
                raise ConflictError(f"{flow}@{number} runs already", code="is_published")
            row.canary_version, row.canary_percent, row.updated_at = number, percent, now
        return row

    async def difference(self, flow: str, before: int | None, after: int | None) -> tuple[int, int, VersionDiff]:
        """From one version (the published one when None) to another (the latest). Raises as `publish`."""
        async with self.sessions.read() as db:
            row = await service.find(db, self.org_id, flow)
        old, new = before or row.published_version or 1, after or row.latest_version
        found = diff_versions(await self.plan(flow, old), await self.plan(flow, new), self.flows.compiler.names)
        return old, new, found

    async def plan(self, flow: str, number: int) -> Plan:
        """The compiled version. Raises NotFoundError, ConflictError (flow_invalid)."""
        try:
            plan, _ = await self.flows.compiler.plan(self.org_id, flow, number)
        except LookupError as error:
            raise NotFoundError("version", f"{flow}@{number}") from error
        except NodeError as error:
            raise ConflictError(str(error), code="flow_invalid") from error
        return plan

    async def _difference(self, flow: str, published: int | None, plan: Plan) -> VersionDiff | None:
        if published is None:
            return None
        try:
            before = await self.plan(flow, published)
        except (NotFoundError, ConflictError):
            return None
        return diff_versions(before, plan, self.flows.compiler.names)

    async def _version(self, db: AsyncSession, row: FlowRow, number: int | None) -> FlowVersionRow:
        found = await db.scalar(
            select(FlowVersionRow).where(FlowVersionRow.flow_id == row.id, FlowVersionRow.version == number)
        )
        if found is None:
            raise NotFoundError("version", f"{row.name}@{number}")
        return found
