"""Stores journalled calls: rows, ledger and budgets in one transaction, every call and every attempt exactly once.

A call that was cut off by a kill is stored at its worst case. Should its true record turn up after all, rows that
`correct` the estimates bring the ledger and the budgets to what it really cost.
"""

import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from uuid import UUID, uuid5

from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from platform_api.budgets.settlement import SpentCall, settle
from platform_api.database.tables.identity import OrganizationRow
from platform_api.database.tables.usage import CallRow, LedgerRow
from platform_api.usage.call_rows import Record, call_record, ledger_record, spent_call
from platform_api.usage.journal_frames import StoredCall
from platform_api.usage.open_calls import CUT_OFF, is_lost

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PendingCall:
    """A journalled call as everything it becomes."""

    call: StoredCall
    row: Record
    attempts: list[Record]
    spent: SpentCall

    @classmethod
    def of(cls, call: StoredCall) -> "PendingCall":
        """Raises ValueError when an id is none."""
        attempts = [ledger_record(call, position, attempt) for position, attempt in enumerate(call.attempts)]
        return cls(call, call_record(call), attempts, spent_call(call))

    @property
    def id(self) -> UUID:
        """The call's."""
        return self.row["id"]

    @property
    def is_cut_off(self) -> bool:
        """Is its end unknown?"""
        return self.call.error_message == CUT_OFF


async def store_calls(db: AsyncSession, calls: Sequence[PendingCall]) -> list[PendingCall]:
    """Store what is not stored yet; the calls whose organisation does not exist, which were left out."""
    orgs = await _organizations(db, {call.spent.org_id for call in calls})
    known = await _known(db, {call.id for call in calls})
    fresh = [call for call in calls if call.spent.org_id in orgs and call.id not in known]
    if fresh:
        await _insert(db, fresh)
    for call in calls:
        if known.get(call.id):
            await _correct(db, call)
    return [call for call in calls if call.spent.org_id not in orgs]


async def _insert(db: AsyncSession, calls: Sequence[PendingCall]) -> None:
    await db.execute(insert(CallRow), [call.row for call in calls])
    attempts = [attempt for call in calls for attempt in call.attempts]
    if attempts:
        await db.execute(insert(LedgerRow), attempts)
    for call in calls:
        if call.is_cut_off:
            log.error("call_outcome_lost", extra={"call_id": call.call.call_id, "nano_usd": call.spent.cost_nano_usd})
    await settle(db, [call.spent for call in calls])


async def _correct(db: AsyncSession, call: PendingCall) -> None:
    """Bring a call that was stored as cut off to what is known of it now. A second time changes nothing."""
    rows = (await db.scalars(select(LedgerRow).where(LedgerRow.call_id == call.id))).all()
    estimates = {row.attempt_id: row.cost_nano_usd for row in rows if row.corrects is None and _is_estimate(row)}
    stored = {row.attempt_id for row in rows} | {row.corrects for row in rows}
    added: list[Record] = []
    for attempt, record in zip(call.call.attempts, call.attempts, strict=True):
        attempt_id: UUID = record["attempt_id"]
        if is_lost(attempt):
            continue
        if attempt_id not in stored:
            added.append(record)
        elif attempt_id in estimates and _correction_id(attempt_id) not in stored:
            added.append(_correction(record, estimates[attempt_id]))
    if added:
        await db.execute(insert(LedgerRow), added)
        difference = sum(record["cost_nano_usd"] or 0 for record in added)
        await settle(db, [replace(call.spent, cost_nano_usd=difference, shares=())])
    if not call.is_cut_off:
        values = {name: value for name, value in call.row.items() if name not in ("id", "org_id")}
        await db.execute(
            update(CallRow).where(CallRow.id == call.id).values(**values).execution_options(synchronize_session=False)
        )
    if added or not call.is_cut_off:
        log.warning("call_outcome_found", extra={"call_id": call.call.call_id, "rows": len(added)})


def _is_estimate(row: LedgerRow) -> bool:
    return row.is_estimated and row.usage is None


def _correction(record: Record, estimate_nano_usd: int | None) -> Record:
    """The row that turns the estimate of an attempt into what it was."""
    cost: int | None = record["cost_nano_usd"]
    return {
        **record,
        "attempt_id": _correction_id(record["attempt_id"]),
        "corrects": record["attempt_id"],
        "cost_nano_usd": None if cost is None else cost - (estimate_nano_usd or 0),
    }


def _correction_id(attempt_id: UUID) -> UUID:
    """Always the same for an attempt, so that it is corrected once."""
    return uuid5(attempt_id, "correction")


async def _known(db: AsyncSession, call_ids: Collection[UUID]) -> dict[UUID, bool]:
    """Which of the calls are stored, and whether as cut off."""
    query = select(CallRow.id, CallRow.error_message).where(CallRow.id.in_(call_ids))
    return {call_id: said == CUT_OFF for call_id, said in (await db.execute(query)).all()}


async def _organizations(db: AsyncSession, org_ids: Collection[UUID]) -> set[UUID]:
    """Those that exist."""
    return set((await db.scalars(select(OrganizationRow.id).where(OrganizationRow.id.in_(org_ids)))).all())
