"""Usage of a span of time, and single calls, as answers."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from bridge.money import usd_number
from platform_api.database.tables.usage import CallRow, LedgerRow
from platform_api.errors import NotFoundError
from platform_api.usage.repository import Totals, UsageRepository
from platform_api.usage.schemas import AttemptItem, CallDetail, DayFigures, ModelFigures, UsageReport


async def report(db: AsyncSession, org_id: UUID, start: datetime, end: datetime) -> UsageReport:
    """Everything used from `start` to before `end`. Requests are counted by calls, money by attempts."""
    usage = UsageRepository(db)
    models = await usage.by_model(org_id, start, end)
    requests_by_day = await usage.requests_by_day(org_id, start, end)
    days = {totals.key[0]: totals for totals in await usage.by_day(org_id, start, end)}
    nothing = Totals((), 0, 0, 0, 0, 0)
    return UsageReport(
        requests=await usage.requests(org_id, start, end),
        input_tokens=sum(totals.input_tokens for totals in models),
        output_tokens=sum(totals.output_tokens for totals in models),
        cost_usd=usd_number(sum(totals.cost_nano_usd for totals in models)) or 0.0,
        unpriced_attempts=sum(totals.unpriced_attempts for totals in models),
        by_model=[
            ModelFigures(model=totals.key[0], provider=totals.key[1], requests=totals.requests, **_figures(totals))
            for totals in models
        ],
        by_day=[
            DayFigures(day=day, requests=requests_by_day.get(day, 0), **_figures(days.get(day, nothing)))
            for day in sorted({*days, *requests_by_day})
        ],
    )


async def call_detail(db: AsyncSession, org_id: UUID, call_id: UUID) -> CallDetail:
    """One call. Raises NotFoundError."""
    usage = UsageRepository(db)
    call = await usage.find_call(org_id, call_id)
    if call is None:
        raise NotFoundError("call", call_id)
    return _detail(call, await usage.attempts(org_id, call_id))


def _figures(totals: Totals) -> dict[str, Any]:
    return {
        "input_tokens": totals.input_tokens,
        "output_tokens": totals.output_tokens,
        "cost_usd": usd_number(totals.cost_nano_usd) or 0.0,
        "unpriced_attempts": totals.unpriced_attempts,
    }


def _detail(call: CallRow, attempts: Sequence[LedgerRow]) -> CallDetail:
    last = attempts[-1] if attempts else None
    costs = [attempt.cost_nano_usd for attempt in attempts]
    known = [cost for cost in costs if cost is not None]
    return CallDetail(
        call_id=str(call.id),
        requested=call.requested,
        alias=call.alias,
        model=None if last is None else last.model,
        provider=None if last is None else last.provider,
        decision=call.decision,
        attempts=[_attempt(attempt) for attempt in attempts],
        cost_usd=usd_number(sum(known)) if len(known) == len(costs) else None,
        status=call.status,
        cache=call.cache,
        cache_similarity=call.cache_similarity,
        is_rescued=call.is_rescued,
        is_stream=call.is_stream,
        error_class=call.error_class,
        error_message=call.error_message,
        run_id=None if call.run_id is None else str(call.run_id),
        step_path=call.step_path,
        flow=call.flow,
        started_at=call.started_at,
        duration_ms=round((call.finished_at - call.started_at).total_seconds() * 1000, 3),
    )


def _attempt(row: LedgerRow) -> AttemptItem:
    return AttemptItem(
        attempt_id=str(row.attempt_id),
        deployment=row.deployment,
        provider=row.provider,
        model=row.model,
        outcome=row.outcome,
        error_class=row.error_class,
        error_message=row.error_message,
        status=row.status,
        finish_reason=row.finish_reason,
        usage=row.usage,
        cost_usd=usd_number(row.cost_nano_usd),
        is_estimated=row.is_estimated,
        price_row=row.price_row,
        started_at=row.at,
        duration_ms=row.duration_ms,
        ttft_ms=row.ttft_ms,
        corrects=None if row.corrects is None else str(row.corrects),
    )
