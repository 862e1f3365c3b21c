"""Runs over HTTP: trigger, look at, watch, cancel."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Query, Response
from fastapi.responses import StreamingResponse

from flows.runs import FINAL_RUN
from nodes.errors import NodeError
from platform_api.artifacts.reading import Artifacts, outputs_elsewhere
from platform_api.auth.caller import Db, Sessions, require
from platform_api.auth.principals import Caller
from platform_api.errors import ConflictError, NotFoundError
from platform_api.flow_api.events import RunFeed
from platform_api.flow_api.graph import graph_of
from platform_api.flow_api.keep_alive import with_keep_alive
from platform_api.flow_api.run_repository import RunRepository, RunUsage
from platform_api.flow_api.run_service import RunOrder
from platform_api.flow_api.run_views import event_bytes, run_detail, run_item, run_result
from platform_api.flow_api.schemas import CancelAnswer, NewRun, RunDetail, RunItem, RunResult
from platform_api.flow_api.services import Flows, FlowServices
from platform_api.limits.turnstile import Limited
from platform_api.paging import Page, Paging

router = APIRouter(prefix="/api", tags=["runs"])

FlowRunner = Annotated[Caller, Depends(require("flow:run"))]
RunReader = Annotated[Caller, Depends(require("run:read"))]
RunCanceller = Annotated[Caller, Depends(require("run:cancel"))]

Status = Literal["queued", "running", "waiting", "succeeded", "failed", "cancelled", "partial"]
MAX_WAIT_S = 300.0


@router.post("/flows/{flow}/runs", operation_id="run_create", responses={202: {"model": RunResult}})
async def create_run(
    flow: str,
    new: NewRun,
    *,
    caller: FlowRunner,
    _limited: Limited,
    sessions: Sessions,
    flows: Flows,
    response: Response,
    wait: Annotated[float, Query(ge=0, le=MAX_WAIT_S, description="Seconds to wait for the end.")] = 0.0,
    idempotency_key: Annotated[str | None, Header(max_length=255)] = None,
) -> RunResult:
    """Start a run. 200 with the outputs when it ended in time, whatever its status; else 202."""
    order = RunOrder(
        org_id=caller.org_id,
        flow=flow,
        version=new.version,
        inputs=new.inputs,
        trigger="api",
        engine=new.engine,
        key_id=caller.key_id,
        user_id=caller.user_id,
        idempotency_key=idempotency_key,
    )
    entered = await flows.entrance.start(sessions, order)
    run = await flows.dispatcher.wait(entered.run_id, wait)
    if run is None:
        raise NotFoundError("run", entered.run_id)
    response.status_code = 200 if run.status in FINAL_RUN else 202
    response.headers["location"] = f"/api/runs/{run.id}"
    return run_result(run)


@router.get("/runs", operation_id="run_list")
async def list_runs(
    caller: RunReader,
    db: Db,
    page: Paging,
    *,
    flow: Annotated[str | None, Query(max_length=63)] = None,
    status: Status | None = None,
    since: datetime | None = None,
) -> Page[RunItem]:
    """Runs, newest first."""
    runs = RunRepository(db)
    rows, cursor = await runs.page(caller.org_id, page, flow=flow, status=status, since=since)
    usage = await runs.usage(caller.org_id, [row.id for row in rows]) if rows else {}
    return Page(items=[run_item(row, usage.get(row.id, RunUsage())) for row in rows], next_cursor=cursor)


@router.get("/runs/{run_id}", operation_id="run_get")
async def get_run(
    run_id: UUID, caller: RunReader, sessions: Sessions, flows: Flows, *, artifacts: Artifacts
) -> RunDetail:
    """One run with the state of every step.

    Outputs over 32 KiB are read from the artifact store, up to 1 MiB of them; beyond, an output is
    `{"$artifact": HANDLE, "bytes": N}`, and `GET /api/artifacts/HANDLE` gives the whole.
    """
    await flows.flush_usage()
    async with sessions.read() as db:
        runs = RunRepository(db)
        row = await runs.find(caller.org_id, run_id)
        if row is None:
            raise NotFoundError("run", run_id)
        steps = await runs.steps(run_id)
        usage = (await runs.usage(caller.org_id, [run_id])).get(run_id, RunUsage())
    whole = await outputs_elsewhere(artifacts, str(caller.org_id), steps)
    return run_detail(row, steps, usage, await _graph(flows, caller.org_id, row.flow, row.version), whole)


@router.get("/runs/{run_id}/events", operation_id="run_events", response_class=StreamingResponse)
async def run_events(
    run_id: UUID,
    caller: RunReader,
    sessions: Sessions,
    flows: Flows,
    last_event_id: Annotated[str | None, Header(max_length=40)] = None,
) -> StreamingResponse:
    """Server-sent events of a run until it is final: `run`, `step`, `token`. Resumes after Last-Event-ID."""
    async with sessions.read() as db:
        if await RunRepository(db).find(caller.org_id, run_id) is None:
            raise NotFoundError("run", run_id)
    after_seq = _seq(last_event_id)
    return StreamingResponse(
        with_keep_alive(_event_stream(flows.feed(), str(run_id), after_seq)),
        media_type="text/event-stream",
        headers={"cache-control": "no-store", "x-accel-buffering": "no"},
    )


@router.post("/runs/{run_id}/cancel", status_code=202, operation_id="run_cancel")
async def cancel_run(run_id: UUID, caller: RunCanceller, sessions: Sessions, flows: Flows) -> CancelAnswer:
    """Ask a run to stop; `finally` still runs. 409 when it has ended already."""
    async with sessions.read() as db:
        row = await RunRepository(db).find(caller.org_id, run_id)
    if row is None:
        raise NotFoundError("run", run_id)
    if not await flows.store.request_cancel(str(caller.org_id), str(run_id)):
        raise ConflictError("the run has ended already", code="run_is_final")
    if not flows.dispatcher.cancel(str(run_id)):
        await flows.dispatcher.cancel_elsewhere(row)
    return CancelAnswer(run_id=str(run_id), status=row.status)


async def _event_stream(feed: RunFeed, run_id: str, after_seq: int) -> AsyncIterator[bytes]:
    events = feed.follow(run_id, after_seq=after_seq)
    try:
        async for event in events:
            yield event_bytes(event)
    finally:
        await events.aclose()


async def _graph(flows: FlowServices, org_id: UUID, flow: str, version: int) -> dict[str, Any]:
    try:
        plan, _ = await flows.compiler.plan(org_id, flow, version)
    except (LookupError, NodeError):
        return {"nodes": [], "edges": []}
    return dict(graph_of(plan))


def _seq(last_event_id: str | None) -> int:
    """The stored event an id stands for; 0 when it is none of ours."""
    number = (last_event_id or "").partition(".")[0]
    return int(number) if number.isdecimal() else 0
