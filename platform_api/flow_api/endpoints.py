"""Flows over HTTP: store, list, look at, publish."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Response

from bridge.identifiers import new_id
from nodes.errors import NodeError
from platform_api.auth.caller import Db, Now, Sessions, require
from platform_api.auth.principals import Caller
from platform_api.errors import ConflictError, NotFoundError, Problem
from platform_api.flow_api import schedules, service, triggers
from platform_api.flow_api.schemas import MAX_VERSION, FlowDetail, FlowItem, NewFlow, Publish, StoredFlow
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


@router.post("/{flow}/publish", operation_id="flow_publish")
async def publish_flow(
    flow: str, wanted: Publish, *, caller: FlowPublisher, sessions: Sessions, flows: Flows, now: Now
) -> StoredFlow:
    """Make a version (the latest when none is named) the one that runs; its schedules come with it."""
    async with sessions.read() as db:
        number = wanted.version or (await service.find(db, caller.org_id, flow)).latest_version
    try:
        plan, _ = await flows.compiler.plan(caller.org_id, flow, number)
    except LookupError as error:
        raise NotFoundError("version", f"{flow}@{number}") from error
    except NodeError as error:
        raise ConflictError(str(error), code="flow_invalid") from error
    if plan.schedules:
        flows.schedules.require_lane()
    async with sessions() as db:
        row, version = await service.publish(db, caller.org_id, flow, number, now=now)
        await triggers.replace_triggers(db, row, plan, user_id=caller.user_id, now=now, new_id=new_id)
        has_schedules = await schedules.replace_triggers(db, row, plan, user_id=caller.user_id, now=now, new_id=new_id)
    if has_schedules:
        await flows.schedules.publish()
    return StoredFlow(name=row.name, version=version.version, status=version.status, diagnostics=version.diagnostics)


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
