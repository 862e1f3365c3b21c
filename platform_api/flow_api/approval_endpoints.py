"""Approvals over HTTP: what waits for an answer, and answering."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Path

from bridge.identifiers import new_id
from platform_api.auth.caller import Db, Now, Sessions, require
from platform_api.auth.principals import Caller
from platform_api.flow_api import approvals
from platform_api.flow_api.schemas import AnswerTaken, NewAnswer, OpenApproval
from platform_api.flow_api.services import Flows

router = APIRouter(prefix="/api", tags=["runs"])

RunReader = Annotated[Caller, Depends(require("run:read"))]
Approver = Annotated[Caller, Depends(require("run:approve"))]
StepPath = Annotated[str, Path(max_length=512, description="`review`, or `each[2].review`.")]


@router.get("/approvals", operation_id="approval_list")
async def list_approvals(caller: RunReader, db: Db) -> list[OpenApproval]:
    """Steps that wait for an answer, the longest waiting first."""
    return await approvals.open_approvals(db, caller.org_id)


@router.post("/runs/{run_id}/approvals/{path}", operation_id="run_answer")
async def answer_step(
    run_id: UUID, path: StepPath, given: NewAnswer, *, caller: Approver, sessions: Sessions, flows: Flows, now: Now
) -> AnswerTaken:
    """Approve or reject, once a person; the run goes on when enough have. 403: not meant for you, 409: too late."""
    async with sessions() as db:
        await approvals.answer(db, caller, run_id, path, given, now=now, new_id=new_id)
    await flows.dispatcher.wake(str(run_id))
    return AnswerTaken(run_id=str(run_id), path=path, decision=given.decision)
