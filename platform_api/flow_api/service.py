"""What may become of a flow: stored as a version, published, described."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, cast
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from bridge.identifiers import NewId
from bridge.money import usd_number
from flows.plan import Plan
from flows.runs import FINAL_RUN
from flows.validate import Checked
from platform_api.database.tables.flows import FlowRow, FlowVersionRow, RunRow
from platform_api.errors import ConflictError, NotFoundError
from platform_api.flow_api.graph import graph_of
from platform_api.flow_api.repository import FlowRepository
from platform_api.flow_api.schedule_times import next_times
from platform_api.flow_api.schemas import FlowDetail, FlowItem, RecentRun, StoredFlow, VersionItem
from platform_api.paging import Page, PageQuery

SUCCEEDED = {"succeeded", "partial"}


@dataclass(frozen=True, slots=True)
class Author:
    """On whose behalf a version is stored."""

    org_id: UUID
    user_id: UUID | None


async def store_version(
    db: AsyncSession, author: Author, text: str, checked: Checked, plan: Plan, *, now: datetime, new_id: NewId
) -> StoredFlow:
    """Store a checked document as a new draft. Equal content returns the version that holds it already."""
    flows = FlowRepository(db)
    flow = await flows.find(author.org_id, plan.flow, is_locked=True)
    if flow is not None:
        known = await flows.version_by_hash(flow, plan.content_hash)
        if known is not None:
            return _stored(flow, known)
        flow.latest_version, flow.updated_at, flow.description = flow.latest_version + 1, now, plan.description
    else:
        flow = FlowRow(
            id=UUID(new_id()),
            org_id=author.org_id,
            name=plan.flow,
            description=plan.description,
            latest_version=1,
            published_version=None,
            created_at=now,
            updated_at=now,
        )
    version = FlowVersionRow(
        id=UUID(new_id()),
        org_id=author.org_id,
        flow_id=flow.id,
        version=flow.latest_version,
        status="draft",
        yaml=text,
        content_hash=plan.content_hash,
        diagnostics=[each.to_json() for each in checked.diagnostics],
        created_at=now,
        published_at=None,
        created_by=author.user_id,
    )
    await flows.add(flow, version)
    return _stored(flow, version)


async def publish(
    db: AsyncSession, org_id: UUID, name: str, number: int | None, *, now: datetime
) -> tuple[FlowRow, FlowVersionRow]:
    """Make a version (the latest when None) the one that runs. Publishing an older one is how to roll back.

    Raises:
        NotFoundError: No such flow or version.
    """
    flows = FlowRepository(db)
    flow = await find(db, org_id, name, is_locked=True)
    version = await flows.version(flow, number or flow.latest_version)
    if version is None:
        raise NotFoundError("version", f"{name}@{number}")
    await flows.publish(flow, version, now=now)
    return flow, version


async def find(db: AsyncSession, org_id: UUID, name: str, *, is_locked: bool = False) -> FlowRow:
    """The flow of that name. Raises NotFoundError."""
    flow = await FlowRepository(db).find(org_id, name, is_locked=is_locked)
    if flow is None:
        raise NotFoundError("flow", name)
    return flow


def runnable_version(flow: FlowRow, wanted: int | None) -> int:
    """The version a trigger without one means. Raises ConflictError when nothing is published."""
    number = wanted or flow.published_version
    if number is None:
        raise ConflictError(
            f"flow {flow.name!r} has no published version: POST /api/flows/{flow.name}/publish, or name a version",
            code="not_published",
        )
    return number


def version_for(flow: FlowRow, wanted: int | None, run_id: UUID) -> int:
    """The version a new run takes: the one wanted, else the published one, or, by chance, the one on trial.

    Raises:
        ConflictError: Nothing is published (not_published).
    """
    number = runnable_version(flow, wanted)
    is_on_trial = wanted is None and flow.canary_version is not None and flow.canary_percent is not None
    if is_on_trial and int.from_bytes(sha256(run_id.bytes).digest()[:4]) % 100 < (flow.canary_percent or 0):
        return flow.canary_version or number
    return number


async def describe(db: AsyncSession, org_id: UUID, name: str, number: int | None) -> FlowDetail:
    """One version (the published one when None, else the latest), without its plan's parts."""
    flows = FlowRepository(db)
    flow = await find(db, org_id, name)
    wanted = number or flow.published_version or flow.latest_version
    version = await flows.version(flow, wanted)
    if version is None:
        raise NotFoundError("version", f"{name}@{wanted}")
    return FlowDetail(
        name=flow.name,
        description=flow.description,
        version=version.version,
        status=version.status,
        yaml=version.yaml,
        content_hash=version.content_hash,
        diagnostics=cast("list[dict[str, Any]]", version.diagnostics),
        inputs_schema={},
        graph={"nodes": [], "edges": []},
        versions=[
            VersionItem(version=each.version, status=each.status, created_at=each.created_at)
            for each in await flows.versions(flow)
        ],
    )


def with_plan(detail: FlowDetail, plan: Plan) -> FlowDetail:
    """The description completed by what only the plan knows."""
    return detail.model_copy(update={"inputs_schema": dict(plan.inputs_schema), "graph": graph_of(plan)})


async def list_flows(db: AsyncSession, org_id: UUID, query: PageQuery, *, now: datetime) -> Page[FlowItem]:
    """Flows with how they have been doing."""
    flows = FlowRepository(db)
    rows, cursor = await flows.page(org_id, query)
    ids = [row.id for row in rows]
    recent = await flows.recent_runs(org_id, ids)
    last_day = await flows.runs_since(org_id, ids, now - timedelta(hours=24))
    upcoming: dict[UUID, datetime] = {}
    for schedule in await flows.schedules_of(org_id, ids):
        times = next_times(schedule.cron, schedule.timezone, after=now, count=1)
        if times:
            upcoming[schedule.flow_id] = min(times[0], upcoming.get(schedule.flow_id, times[0]))
    items = [_item(row, recent[row.id], last_day.get(row.id, 0), upcoming.get(row.id)) for row in rows]
    return Page(items=items, next_cursor=cursor)


def recent_run(run: RunRow) -> RecentRun:
    """A run as a bar."""
    return RecentRun(run_id=str(run.id), status=run.status, duration_ms=duration_ms(run), created_at=run.created_at)


def duration_ms(run: RunRow) -> int | None:
    """From start to end; None while it has none."""
    if run.started_at is None or run.finished_at is None:
        return None
    return round((run.finished_at - run.started_at).total_seconds() * 1000)


def _stored(flow: FlowRow, version: FlowVersionRow) -> StoredFlow:
    return StoredFlow(
        name=flow.name,
        version=version.version,
        status=version.status,
        diagnostics=cast("list[dict[str, Any]]", version.diagnostics),
    )


def _item(flow: FlowRow, runs: Sequence[RunRow], n_last_day: int, next_run_at: datetime | None) -> FlowItem:
    ended = [run for run in runs if run.status in FINAL_RUN]
    durations = [duration for run in ended if (duration := duration_ms(run)) is not None]
    costs = [run.cost_nano_usd for run in ended if run.cost_nano_usd is not None]
    return FlowItem(
        name=flow.name,
        description=flow.description,
        latest_version=flow.latest_version,
        published_version=flow.published_version,
        canary_version=flow.canary_version,
        canary_percent=flow.canary_percent,
        updated_at=flow.updated_at,
        last_runs=[recent_run(run) for run in runs],
        runs_24h=n_last_day,
        success_share=sum(run.status in SUCCEEDED for run in ended) / len(ended) if ended else None,
        p50_duration_ms=round(statistics.median(durations)) if durations else None,
        cost_per_run_usd=usd_number(round(sum(costs) / len(costs))) if costs else None,
        next_run_at=next_run_at,
    )
