"""Queries for flows and their versions."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from platform_api.database.tables.flows import FlowRow, FlowVersionRow, RunRow, ScheduleRow
from platform_api.paging import PageQuery, fetch_page

RECENT_RUNS = 20


class FlowRepository:
    """Flows and versions of one organisation."""

    def __init__(self, db: AsyncSession) -> None:
        self._db = db

    async def find(self, org_id: UUID, name: str, *, is_locked: bool = False) -> FlowRow | None:
        """The flow of that name; locked, no other transaction adds a version to it meanwhile."""
        query = select(FlowRow).where(FlowRow.org_id == org_id, FlowRow.name == name)
        return await self._db.scalar(query.with_for_update() if is_locked else query)

    async def published_names(self, org_id: UUID) -> Sequence[str]:
        """The flows that have a published version, by name."""
        query = select(FlowRow.name).where(FlowRow.org_id == org_id, FlowRow.published_version.is_not(None))
        return (await self._db.scalars(query.order_by(FlowRow.name))).all()

    async def page(self, org_id: UUID, query: PageQuery) -> tuple[list[FlowRow], str | None]:
        """Flows, the newest first."""
        return await fetch_page(self._db, select(FlowRow).where(FlowRow.org_id == org_id), FlowRow.id, query)

    async def version(self, flow: FlowRow, version: int) -> FlowVersionRow | None:
        """One version of a flow."""
        return await self._db.scalar(
            select(FlowVersionRow).where(FlowVersionRow.flow_id == flow.id, FlowVersionRow.version == version)
        )

    async def version_by_hash(self, flow: FlowRow, content_hash: str) -> FlowVersionRow | None:
        """The version with that content."""
        return await self._db.scalar(
            select(FlowVersionRow).where(FlowVersionRow.flow_id == flow.id, FlowVersionRow.content_hash == content_hash)
        )

    async def versions(self, flow: FlowRow) -> Sequence[FlowVersionRow]:
        """All versions, newest first, without their text."""
        query = select(FlowVersionRow).where(FlowVersionRow.flow_id == flow.id)
        return (await self._db.scalars(query.order_by(FlowVersionRow.version.desc()))).all()

    async def add(self, flow: FlowRow, version: FlowVersionRow) -> None:
        """Store a new version, and its flow when that is new too."""
        self._db.add(flow)
        await self._db.flush()
        self._db.add(version)
        await self._db.flush()

    async def recent_runs(self, org_id: UUID, flow_ids: Sequence[UUID]) -> dict[UUID, list[RunRow]]:
        """The last runs of each flow, newest first."""
        rank = func.row_number().over(partition_by=RunRow.flow_id, order_by=RunRow.id.desc()).label("rank")
        ranked = select(RunRow.id, rank).where(RunRow.org_id == org_id, RunRow.flow_id.in_(flow_ids)).subquery()
        query = select(RunRow).join(ranked, ranked.c.id == RunRow.id).where(ranked.c.rank <= RECENT_RUNS)
        found: dict[UUID, list[RunRow]] = {flow_id: [] for flow_id in flow_ids}
        for row in await self._db.scalars(query.order_by(RunRow.id.desc())):
            found[row.flow_id].append(row)
        return found

    async def runs_since(self, org_id: UUID, flow_ids: Sequence[UUID], since: datetime) -> dict[UUID, int]:
        """How many runs each flow has had since then."""
        query = (
            select(RunRow.flow_id, func.count())
            .where(RunRow.org_id == org_id, RunRow.flow_id.in_(flow_ids), RunRow.created_at >= since)
            .group_by(RunRow.flow_id)
        )
        return dict((await self._db.execute(query)).all())

    async def schedules_of(self, org_id: UUID, flow_ids: Sequence[UUID]) -> Sequence[ScheduleRow]:
        """The active schedules of those flows."""
        query = select(ScheduleRow).where(
            ScheduleRow.org_id == org_id, ScheduleRow.flow_id.in_(flow_ids), ScheduleRow.is_paused.is_(False)
        )
        return (await self._db.scalars(query)).all()

    async def publish(self, flow: FlowRow, version: FlowVersionRow, *, now: datetime) -> None:
        """Make a version the one that runs."""
        version.status, version.published_at = "published", version.published_at or now
        await self._db.execute(
            update(FlowRow).where(FlowRow.id == flow.id).values(published_version=version.version, updated_at=now)
        )
        flow.published_version, flow.updated_at = version.version, now
