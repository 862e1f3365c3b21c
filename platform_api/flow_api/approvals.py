"""Steps that ask people: which are open, who may answer, what an answer does. Every answer is in the audit trail."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, cast
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from bridge.identifiers import NewId
from flows.errors import InvalidInputsError
from flows.inputs import check_inputs
from nodes.approve import form_schema
from nodes.waiting import Answer
from platform_api.auth.audit import audit
from platform_api.auth.permissions import ROLES, role_permissions
from platform_api.auth.principals import Caller
from platform_api.database.session import Database
from platform_api.database.tables.flows import AnswerRow, RunRow, StepRunRow
from platform_api.database.tables.identity import UserRow
from platform_api.database.upserts import insert_missing, storable
from platform_api.errors import ConflictError, FieldProblem, ForbiddenError, InvalidError, NotFoundError
from platform_api.flow_api.schemas import NewAnswer, OpenApproval

MAX_OPEN = 200


class SqlAnswers:
    """`flows.engine_services.Answers` in the platform's database."""

    def __init__(self, database: Database) -> None:
        self._sessions = database.system()

    async def of(self, run_id: str, path: str) -> Sequence[Answer]:
        """To this step, the first in time first."""
        query = select(AnswerRow).where(AnswerRow.run_id == UUID(run_id), AnswerRow.path == path)
        async with self._sessions.read() as db:
            return [_answer_of(row) for row in await db.scalars(query.order_by(AnswerRow.id))]


async def open_approvals(db: AsyncSession, org_id: UUID) -> list[OpenApproval]:
    """Steps of the organisation that wait for an answer, the longest waiting first."""
    query = (
        select(StepRunRow, RunRow.flow)
        .join(RunRow, RunRow.id == StepRunRow.run_id)
        .where(StepRunRow.org_id == org_id, StepRunRow.status == "waiting", StepRunRow.type == "approve")
        .where(RunRow.status.in_(("waiting", "running", "queued")))
        .order_by(StepRunRow.started_at)
        .limit(MAX_OPEN)
    )
    found: list[OpenApproval] = []
    for step, flow in (await db.execute(query)).all():
        asked = _asked(step)
        found.append(
            OpenApproval(
                run_id=str(step.run_id),
                flow=flow,
                path=step.path,
                form=asked.get("form") or {},
                assignees=asked.get("assignees") or [],
                quorum=asked.get("quorum") or 1,
                four_eyes=bool(asked.get("four_eyes")),
                approved_by=asked.get("approved_by") or [],
                since=step.started_at,
                expires_at=_moment(asked.get("until")),
            )
        )
    return found


async def answer(
    db: AsyncSession, caller: Caller, run_id: UUID, path: str, given: NewAnswer, *, now: datetime, new_id: NewId
) -> None:
    """Store what the caller says to a waiting step; the run goes on at the next wake.

    Raises:
        NotFoundError: No such run, or no such step in it yet.
        ConflictError: It does not wait (not_waiting), has expired (expired), or has the caller's answer already.
        ForbiddenError: The caller is not among the assignees, or started the run and four eyes are wanted.
        InvalidError: The values do not fit the form.
    """
    run = await db.scalar(select(RunRow).where(RunRow.org_id == caller.org_id, RunRow.id == run_id))
    step = await db.scalar(
        select(StepRunRow).where(
            StepRunRow.org_id == caller.org_id, StepRunRow.run_id == run_id, StepRunRow.path == path
        )
    )
    if run is None or step is None:
        raise NotFoundError("step", f"{run_id}/{path}")
    if step.type != "approve" or step.status != "waiting":
        raise ConflictError(f"step {path} does not wait for an answer; it is {step.status}", code="not_waiting")
    asked = _asked(step)
    expires_at = _moment(asked.get("until"))
    if expires_at is not None and expires_at <= now:
        raise ConflictError("the time to answer is over", code="expired")
    user = await _answering(db, caller, run, asked)
    values = _entered(asked, given) if given.decision == "approve" else {}
    record = {
        "id": UUID(new_id()),
        "org_id": caller.org_id,
        "run_id": run_id,
        "path": path,
        "user_id": user.id,
        "by": user.email,
        "decision": given.decision,
        "entered": storable(values),
        "comment": storable(given.comment),
        "at": now,
    }
    if not await insert_missing(db, AnswerRow, record):
        raise ConflictError("you have answered already", code="already_answered")
    await db.execute(
        update(RunRow).where(RunRow.id == run_id, RunRow.status.in_(("waiting", "running"))).values(wake_at=now)
    )
    action = "run.approved" if given.decision == "approve" else "run.rejected"
    audit(db, action, org_id=caller.org_id, now=now, caller=caller, target=f"{run_id}/{path}", flow=run.flow)


async def _answering(db: AsyncSession, caller: Caller, run: RunRow, asked: Mapping[str, Any]) -> UserRow:
    """The person who answers, if they may. Raises ForbiddenError."""
    user = None if caller.user_id is None else await db.scalar(select(UserRow).where(UserRow.id == caller.user_id))
    if user is None:
        raise ForbiddenError("only a person can answer, or a key that one made")
    assignees = cast("Sequence[str]", asked.get("assignees") or ())
    if assignees and not any(_is_meant(one, caller.role, user.email) for one in assignees):
        raise ForbiddenError(f"this is for {', '.join(assignees)}", code="not_assigned")
    if asked.get("four_eyes") and run.user_id == user.id:
        raise ForbiddenError("somebody else than who started the run has to answer", code="four_eyes")
    return user


def _is_meant(assignee: str, role: str, email: str) -> bool:
    """By name, or by a role: one that may do all that the named role may counts as it."""
    kind, _, name = assignee.partition(":")
    if kind == "user":
        return name.casefold() == email.casefold()
    wanted = name.capitalize()
    return wanted in ROLES and role_permissions(role) >= role_permissions(wanted)


def _entered(asked: Mapping[str, Any], given: NewAnswer) -> dict[str, Any]:
    try:
        return dict(check_inputs(form_schema(asked.get("form") or {}), given.values))
    except InvalidInputsError as error:
        problems = [FieldProblem(f"/values{pointer}", message) for pointer, message in error.problems]
        raise InvalidError("the values do not fit the form", problems, code="invalid_values") from error


def _asked(step: StepRunRow) -> Mapping[str, Any]:
    shown = step.output["value"] if step.output is not None else None
    return cast("Mapping[str, Any]", shown) if isinstance(shown, Mapping) else {}


def _moment(text: Any) -> datetime | None:  # JSON
    return datetime.fromisoformat(text) if isinstance(text, str) else None


def _answer_of(row: AnswerRow) -> Answer:
    return Answer(
        user_id=str(row.user_id),
        by=row.by,
        decision="approve" if row.decision == "approve" else "reject",
        at=row.at,
        values=row.entered,
        comment=row.comment,
    )
