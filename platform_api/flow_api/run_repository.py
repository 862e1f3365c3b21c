"""Queries for runs: entering, listing, and finding those that nobody walks any more."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import and_, func, not_, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from flows.runs import FINAL_RUN
from platform_api.database.tables.flows import RunRow, StepRunRow
from platform_api.database.tables.usage import CallRow, LedgerRow
from platform_api.database.upserts import insert_missing
from platform_api.paging import PageQuery, fetch_page

KEY_LIFETIME = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class RunUsage:
    """Tokens and cost of a run's attempts."""

    input_tokens: int = 0
    output_tokens: int = 0
    cost_nano_usd: int = 0


class RunRepository:
    """Runs of one organisation; the methods without `org_id` are for the processes that walk runs."""

    def __init__(self, db: AsyncSession) -> None:
        self._db = db

    async def find(self, org_id: UUID, run_id: UUID) -> RunRow | None:
        """The run of that id."""
        return await self._db.scalar(select(RunRow).where(RunRow.org_id == org_id, RunRow.id == run_id))

    async def find_by_key(self, org_id: UUID, flow_id: UUID, key: str, *, now: datetime) -> RunRow | None:
        """The run entered under an idempotency key in the last 24 hours; an older one gives the key free."""
        run = await self._db.scalar(
            select(RunRow).where(RunRow.org_id == org_id, RunRow.flow_id == flow_id, RunRow.idempotency_key == key)
        )
        if run is not None and run.created_at <= now - KEY_LIFETIME:
            await self._db.execute(update(RunRow).where(RunRow.id == run.id).values(idempotency_key=None))
            return None
        return run

    async def insert(self, record: dict[str, Any]) -> bool:
        """Enter a run; False when its idempotency key or schedule slot has one already."""
        return await insert_missing(self._db, RunRow, record)

    async def note_prefect_run(self, run_id: UUID, prefect_id: str) -> None:
        """Remember which Prefect run was asked to walk it."""
        await self._db.execute(update(RunRow).where(RunRow.id == run_id).values(prefect_run_id=prefect_id))

    async def steps(self, run_id: UUID) -> Sequence[StepRunRow]:
        """The latest state of every step path."""
        query = select(StepRunRow).where(StepRunRow.run_id == run_id)
        return (await self._db.scalars(query.order_by(StepRunRow.started_at, StepRunRow.path))).all()

    async def usage(self, org_id: UUID, run_ids: Sequence[UUID]) -> dict[UUID, RunUsage]:
        """What each run has used, as far as it is in the ledger: executions lost in a crash included."""
        query = (
            select(
                CallRow.run_id,
                func.sum(LedgerRow.input_tokens),
                func.sum(LedgerRow.output_tokens),
                func.coalesce(func.sum(LedgerRow.cost_nano_usd), 0),
            )
            .join(LedgerRow, LedgerRow.call_id == CallRow.id)
            .where(CallRow.org_id == org_id, CallRow.run_id.in_(run_ids))
            .group_by(CallRow.run_id)
        )
        rows = (await self._db.execute(query)).all()
        return {
            run_id: RunUsage(int(given or 0), int(made or 0), int(cost or 0))
            for run_id, given, made, cost in rows
            if run_id is not None
        }

    async def page(
        self, org_id: UUID, query: PageQuery, *, flow: str | None, status: str | None, since: datetime | None
    ) -> tuple[list[RunRow], str | None]:
        """Runs, newest first."""
        statement = select(RunRow).where(RunRow.org_id == org_id)
        if flow is not None:
            statement = statement.where(RunRow.flow == flow)
        if status is not None:
            statement = statement.where(RunRow.status == status)
        if since is not None:
            statement = statement.where(RunRow.created_at >= since)
        return await fetch_page(self._db, statement, RunRow.id, query)

    async def orphans(self, *, before: datetime, limit: int = 50) -> Sequence[RunRow]:
        """Runs, of all organisations, that nobody has walked since `before`: their lease died, or none was taken."""
        is_dead = and_(RunRow.lease_until.is_not(None), RunRow.lease_until <= before)
        is_in_prefects_queue = and_(
            RunRow.lane == "prefect", RunRow.prefect_run_id.is_not(None), RunRow.epoch == 0
        )  # a run that was walked before and given back has an epoch
        is_forgotten = and_(
            RunRow.owner.is_(None),
            RunRow.status == "queued",
            RunRow.created_at <= before,
            not_(is_in_prefects_queue),
            or_(RunRow.group_key.is_(None), RunRow.admitted_at.is_not(None), RunRow.is_cancel_requested),
        )
        query = (
            select(RunRow)
            .where(RunRow.status.not_in((*FINAL_RUN, "waiting")), or_(is_dead, is_forgotten))
            .order_by(RunRow.id)
            .limit(limit)
        )
        return (await self._db.scalars(query)).all()

    async def due(self, *, now: datetime, only: UUID | None = None, limit: int = 50) -> Sequence[RunRow]:
        """Waiting runs, of all organisations, whose time has come, or that are to be cancelled."""
        is_due = or_(RunRow.wake_at <= now, RunRow.is_cancel_requested)
        query = select(RunRow).where(RunRow.status == "waiting", RunRow.owner.is_(None), is_due)
        if only is not None:
            query = query.where(RunRow.id == only)
        return (await self._db.scalars(query.order_by(RunRow.wake_at).limit(limit))).all()

    async def is_slot_running(self, schedule_id: UUID) -> bool:
        """Is a run of this schedule still going on?"""
        query = select(RunRow.id).where(RunRow.schedule_id == schedule_id, RunRow.status.not_in(FINAL_RUN)).limit(1)
        return (await self._db.scalar(query)) is not None

    async def last_of_schedule(self, schedule_ids: Sequence[UUID]) -> dict[UUID, RunRow]:
        """The latest run of each schedule."""
        latest = select(func.max(RunRow.id)).where(RunRow.schedule_id.in_(schedule_ids)).group_by(RunRow.schedule_id)
        found: dict[UUID, RunRow] = {}
        for row in await self._db.scalars(select(RunRow).where(RunRow.id.in_(latest))):
            if row.schedule_id is not None:
                found[row.schedule_id] = row
        return found
