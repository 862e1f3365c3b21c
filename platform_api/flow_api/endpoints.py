"""Flows over HTTP: store, list, look at, publish."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Response

from bridge.identifiers import new_id
from flows.version_diff import VersionDiff
from nodes.errors import NodeError
from platform_api.auth.caller import Db, Now, Sessions, require
from platform_api.auth.principals import Caller
from platform_api.database.tables.flows import FlowVersionRow
from platform_api.errors import Problem
from platform_api.flow_api import service
from platform_api.flow_api.publishing import Publisher
from platform_api.flow_api.schemas import (
    MAX_VERSION,
    Canary,
    FlowDetail,
    FlowDiff,
    FlowItem,
    NewFlow,
    Publish,
    PublishedFlow,
    StoredFlow,
)
from platform_api.flow_api.services import Flows
from platform_api.paging import Page, Paging
from platform_api.problem_responses import MEDIA_TYPE
from platform_api.structured_logging import request_id

router = APIRouter(prefix="/api/flows", tags=["flows"])

FlowReader = Annotated[Caller, Depends(require("flow:read"))]
FlowWriter = Annotated[Caller, Depends(require("flow:write"))]
FlowPublisher = Annotated[Caller, Depends(require("flow:publish"))]


@router.post("", status_code=201, operation_id="flow_create", response_model=StoredFlow)
async def create_flow(new: NewFlow, caller: FlowWriter, sessions: Sessions, flows: Flows, now: Now) -> Any:
    """Check a flow document and store it as a new draft version; equal content returns the version it has."""
    checked = await flows.compiler.check(caller.org_id, new.yaml)
    if checked.plan is None:
        return invalid_flow([dict(each.to_json()) for each in checked.diagnostics])
    author = service.Author(caller.org_id, caller.user_id)
    async with sessions() as db:
        return await service.store_version(db, author, new.yaml, checked, checked.plan, now=now, new_id=new_id)


@router.get("", operation_id="flow_list")
async def list_flows(caller: FlowReader, db: Db, page: Paging, now: Now) -> Page[FlowItem]:
    """Flows, newest first, with how their last runs went."""
    return await service.list_flows(db, caller.org_id, page, now=now)


@router.get("/{flow}", operation_id="flow_get")
async def get_flow(
    flow: str,
    caller: FlowReader,
    sessions: Sessions,
    flows: Flows,
    version: Annotated[int | None, Query(ge=1, le=MAX_VERSION)] = None,
) -> FlowDetail:
    """One version of a flow (the published one, else the latest): text, graph, inputs, all versions."""
    async with sessions.read() as db:
        detail = await service.describe(db, caller.org_id, flow, version)
    try:
        plan, _ = await flows.compiler.plan(caller.org_id, flow, detail.version)
    except NodeError:
        return detail  # it was valid once: its text and versions are shown all the same
    return service.with_plan(detail, plan)


@router.get("/{flow}/versions", operation_id="flow_versions")
async def list_versions(flow: str, caller: FlowReader, db: Db) -> Page[Any]:
    """All versions of a flow, newest first."""
    detail = await service.describe(db, caller.org_id, flow, None)
    return Page(items=list(detail.versions))


@router.get("/{flow}/diff", operation_id="flow_diff")
async def diff_flow(
    flow: str,
    *,
    caller: FlowReader,
    sessions: Sessions,
    flows: Flows,
    before: Annotated[int | None, Query(ge=1, le=MAX_VERSION)] = None,
    after: Annotated[int | None, Query(ge=1, le=MAX_VERSION)] = None,
) -> FlowDiff:
    """What is different, and what it costs, from one version (the published one) to another (the latest)."""
    publisher = Publisher(flows, sessions, caller.org_id, caller.user_id)
    old, new, found = await publisher.difference(flow, before, after)
    return FlowDiff(before=old, after=new, is_empty=found.is_empty, difference=dict(found.to_json()))


@router.post("/{flow}/publish", operation_id="flow_publish")
async def publish_flow(
    flow: str, wanted: Publish, *, caller: FlowPublisher, sessions: Sessions, flows: Flows, now: Now
) -> PublishedFlow:
    """Make a version (the latest when none is named) the one that runs; its triggers come with it."""
    publisher = Publisher(flows, sessions, caller.org_id, caller.user_id)
    return _published(flow, *await publisher.publish(flow, wanted.version, now=now))


@router.post("/{flow}/rollback", operation_id="flow_rollback")
async def roll_back_flow(flow: str, caller: FlowPublisher, sessions: Sessions, flows: Flows, now: Now) -> PublishedFlow:
    """Go back to the version published before; while another is on trial, only the trial ends."""
    publisher = Publisher(flows, sessions, caller.org_id, caller.user_id)
    return _published(flow, *await publisher.roll_back(flow, now=now))


@router.put("/{flow}/canary", operation_id="flow_canary")
async def try_version(
    flow: str, wanted: Canary, *, caller: FlowPublisher, sessions: Sessions, flows: Flows, now: Now
) -> Canary:
    """Give a version a share of new runs; publishing any version, or a rollback, ends that."""
    publisher = Publisher(flows, sessions, caller.org_id, caller.user_id)
    row = await publisher.try_out(flow, wanted.version, wanted.percent, now=now)
    return Canary(version=row.canary_version or wanted.version, percent=row.canary_percent or wanted.percent)


def _published(flow: str, version: FlowVersionRow, difference: VersionDiff | None) -> PublishedFlow:
    return PublishedFlow(
        name=flow,
        version=version.version,
        status=version.status,
        diagnostics=version.diagnostics,
        difference=None if difference is None else dict(difference.to_json()),
    )


def invalid_flow(diagnostics: list[dict[str, Any]]) -> Response:
    """A problem that carries every diagnostic."""
    import orjson

    n_errors = sum(each["severity"] == "error" for each in diagnostics)
    problem = Problem(422, "invalid_flow", f"the flow has {n_errors} error{'s' if n_errors != 1 else ''}")
    body = problem.to_json(request_id()) | {
        "errors": [
            {"pointer": "/yaml", "message": f"{each['line']}:{each['column']}: {each['message']}"}
            for each in diagnostics
            if each["severity"] == "error"
        ],
        "diagnostics": diagnostics,
    }
    return Response(orjson.dumps(body), status_code=422, media_type=MEDIA_TYPE)
