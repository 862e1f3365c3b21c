"""Usage and calls over HTTP. What this process has journalled is stored first, so an answer is never behind itself."""

from datetime import UTC, date, datetime, timedelta
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query

from platform_api.auth.caller import Now, Sessions, require
from platform_api.auth.principals import Caller
from platform_api.drained import Drained
from platform_api.errors import FieldProblem, InvalidError
from platform_api.usage import service
from platform_api.usage.schemas import CallDetail, UsageReport

router = APIRouter(tags=["usage"])

UsageReader = Annotated[Caller, Depends(require("usage:read"))]
CallReader = Annotated[Caller, Depends(require("call:read"))]


@router.get("/api/billing/usage", operation_id="usage_report", dependencies=[Drained])
async def usage(
    caller: UsageReader,
    sessions: Sessions,
    now: Now,
    start: Annotated[str | None, Query(alias="from", max_length=40, description="Default: the month's start.")] = None,
    end: Annotated[str | None, Query(alias="to", max_length=40, description="Exclusive; a day counts whole.")] = None,
) -> UsageReport:
    """What was used from a moment to before another, by model and by UTC day."""
    month = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    begins = month if start is None else _moment("from", start)
    ends = now + timedelta(seconds=1) if end is None else _moment("to", end, is_end=True)
    if begins >= ends:
        raise InvalidError("the span is empty", [FieldProblem("/from", "must lie before `to`")])
    async with sessions.read() as db:
        return await service.report(db, caller.org_id, begins, ends)


@router.get("/api/calls/{call_id}", operation_id="call_get", dependencies=[Drained])
async def call(call_id: UUID, caller: CallReader, sessions: Sessions) -> CallDetail:
    """One call: the decision, every attempt and its cost."""
    async with sessions.read() as db:
        return await service.call_detail(db, caller.org_id, call_id)


def _moment(name: str, given: str, *, is_end: bool = False) -> datetime:
    """A day or a time, UTC where it does not say; the end of a day when it ends the span."""
    try:
        if len(given) == len("2026-01-31"):
            day = date.fromisoformat(given) + timedelta(days=1 if is_end else 0)
            return datetime(day.year, day.month, day.day, tzinfo=UTC)
        moment = datetime.fromisoformat(given)
    except ValueError as error:
        raise InvalidError(
            f"{given!r} is no time", [FieldProblem(f"/{name}", "write 2026-01-31 or 2026-01-31T08:00:00Z")]
        ) from error
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
