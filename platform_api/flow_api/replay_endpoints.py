"""Replays and reruns over HTTP."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Query, Response

from bridge.money import usd_number
from flows.runs import FINAL_RUN
from platform_api.auth.caller import require
from platform_api.auth.principals import Caller
from platform_api.errors import NotFoundError
from platform_api.flow_api.replay_schemas import NewReplay, NewRerun, ReplayAnswer, RerunResult
from platform_api.flow_api.replays import ReplayOrder, RerunOrder
from platform_api.flow_api.run_views import run_result
from platform_api.flow_api.services import Flows

router = APIRouter(prefix="/api/runs", tags=["runs"])

FlowRunner = Annotated[Caller, Depends(require("flow:run"))]
MAX_WAIT_S = 300.0


@router.post("/{run_id}/replay", operation_id="run_replay")
async def replay_run(run_id: UUID, new: NewReplay, caller: FlowRunner, flows: Flows) -> ReplayAnswer:
    """Walk a run that has ended again over its recording, and tell what would have changed. Nothing is stored.

    Without `allow_calls` no model is asked, nothing is reached and nothing is spent.
    """
    order = ReplayOrder(caller.org_id, run_id, yaml=new.yaml, version=new.version, may_call=new.allow_calls)
    report = await flows.replays.replay(order)
    return ReplayAnswer.model_validate(report.to_json())


@router.post("/{run_id}/rerun", operation_id="run_rerun", responses={202: {"model": RerunResult}})
async def rerun_run(
    run_id: UUID,
    new: NewRerun,
    *,
    caller: FlowRunner,
    flows: Flows,
    response: Response,
    wait: Annotated[float, Query(ge=0, le=MAX_WAIT_S, description="Seconds to wait for the end.")] = 0.0,
    idempotency_key: Annotated[str | None, Header(max_length=255)] = None,
) -> RerunResult:
    """Start a new run with the inputs of one that has ended, keeping what had succeeded: that is not paid for again.

    200 with the outputs when it ended in time, whatever its status; else 202.
    """
    order = RerunOrder(
        org_id=caller.org_id,
        run_id=run_id,
        start=new.start,
        version=new.version,
        engine=new.engine,
        key_id=caller.key_id,
        user_id=caller.user_id,
        idempotency_key=idempotency_key,
    )
    entered, kept = await flows.replays.rerun(order)
    run = await flows.dispatcher.wait(entered.run_id, wait)
    if run is None:
        raise NotFoundError("run", entered.run_id)
    response.status_code = 200 if run.status in FINAL_RUN else 202
    response.headers["location"] = f"/api/runs/{run.id}"
    return RerunResult(
        **run_result(run).model_dump(),
        parent_run_id=str(run_id),
        kept=[step.path for step in kept.steps],
        saved_usd=usd_number(kept.saved_nano_usd),
    )
