"""Journalled calls as rows of `calls` and `ledger`. Pure mapping."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

import msgspec

from bridge.budgets import scopes_of
from bridge.call_record import AttemptRecord, Lease
from platform_api.budgets.settlement import HeldShare, SpentCall
from platform_api.database.upserts import storable
from platform_api.usage.journal_frames import StoredCall

Record = dict[str, Any]

NUL = b"\\u0000"


def call_record(call: StoredCall) -> Record:
    """The row of a call."""
    context = call.context
    return {
        "id": UUID(call.call_id),
        "org_id": UUID(context.org_id),
        "key_id": _id(context.key_id),
        "user_id": _id(context.user_id),
        "run_id": _id(context.run_id),
        "step_path": context.step_path,
        "flow": context.flow,
        "task": context.task,
        "request_id": context.request_id,
        "requested": call.requested[:200],
        "alias": call.alias,
        "decision": _decision(call.decision),
        "status": call.status,
        "cache": call.cache,
        "is_stream": call.is_stream,
        "error_class": call.error_class,
        "error_message": storable(call.error_message),
        "re_asks": call.re_asks,
        "is_rescued": call.is_rescued,
        "cache_similarity": call.cache_similarity,
        "started_at": call.started_at,
        "finished_at": call.finished_at,
    }


def ledger_record(call: StoredCall, position: int, attempt: AttemptRecord) -> Record:
    """The row of one attempt."""
    usage = attempt.usage
    return {
        "attempt_id": UUID(attempt.attempt_id),
        "org_id": UUID(call.context.org_id),
        "call_id": UUID(call.call_id),
        "position": position,
        "deployment": attempt.deployment,
        "provider": attempt.provider,
        "model": attempt.model,
        "outcome": attempt.outcome,
        "error_class": attempt.error_class,
        "error_message": storable(attempt.error_message),
        "status": attempt.status,
        "finish_reason": attempt.finish_reason,
        "usage": None if usage is None else msgspec.to_builtins(usage),
        "input_tokens": 0 if usage is None else usage.input_tokens,
        "output_tokens": 0 if usage is None else usage.output_tokens,
        "price_row": None if attempt.price is None else attempt.price.row,
        "price_data_version": None if attempt.price is None else attempt.price.data_version,
        "cost_nano_usd": attempt.cost_nano_usd,
        "provider_cost_nano_usd": attempt.provider_cost_nano_usd,
        "is_estimated": attempt.is_estimated,
        "duration_ms": attempt.duration_ms,
        "ttft_ms": attempt.ttft_ms,
        "at": attempt.started_at,
        "corrects": None,
    }


def spent_call(call: StoredCall) -> SpentCall:
    """What the call means to budgets. Without a price it counts at what was held for it, else as nothing."""
    costs = [attempt.cost_nano_usd for attempt in call.attempts]
    is_unknown = bool(call.leases) and None in costs
    return SpentCall(
        org_id=UUID(call.context.org_id),
        scopes=scopes_of(call.context, call.alias),
        cost_nano_usd=None if is_unknown else sum(cost or 0 for cost in costs),
        started_at=call.started_at,
        shares=_shares(call.leases),
    )


def _shares(leases: Iterable[Lease]) -> tuple[HeldShare, ...]:
    return tuple(HeldShare(UUID(lease.id), lease.amount_nano_usd) for lease in leases)


def _decision(raw: msgspec.Raw) -> Any:  # JSON
    """The decision as JSON values; only a text with a NUL, which no database takes, is walked through."""
    decoded = msgspec.json.decode(raw)
    return storable(decoded) if NUL in bytes(raw) else decoded


def _id(text: str | None) -> UUID | None:
    return None if text is None else UUID(text)
