"""From the journal into the database, in batches: calls, ledger rows and budgets in one transaction, exactly once.

A call that is in `calls` already is passed over, so reading a segment twice does no harm. Journals of dead processes
are drained by whoever finds them; only then are calls that were cut off counted, at what was held for them, and the
leases of those processes freed. A segment stays on disk while it holds the hold of a call that is not over.
"""

import asyncio
import logging
import os
import socket
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import msgspec
from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from bridge.call_record import CallRecord
from bridge.clock import Clock
from platform_api.budgets.settlement import SpentCall, end_leases, settle
from platform_api.database.session import Database
from platform_api.database.tables.identity import OrganizationRow
from platform_api.database.tables.usage import CallRow, JournalWriterRow, LedgerRow
from platform_api.database.upserts import insert_missing
from platform_api.usage.call_rows import Record, call_record, ledger_record, lost_call, lost_records, spent_call
from platform_api.usage.journal import (
    Journal,
    StoredCall,
    StoredHold,
    dead_writers,
    decode_frame,
    encode_frame,
    read_frames,
    segments,
)

log = logging.getLogger(__name__)

BATCH = 200
GATHER_S = 0.1
"""How long calls are gathered before a batch is stored."""
RETRY_S = 2.0
LOOK_AROUND_S = 30.0
"""How often journals of dead processes are looked for."""
REJECTED = "rejected"


class UsageDrain:
    """Stores what the process's journal holds. A CallSink: hand it to the bridge in place of the journal."""

    def __init__(self, database: Database, journal: Journal, root: Path, clock: Clock) -> None:
        self._sessions = database.system()
        self._journal = journal
        self._root = root
        self._clock = clock
        self._offsets: dict[Path, int] = {}
        self._holds: dict[Path, dict[str, _OpenHold]] = {}
        """By journal and call: what calls hold that are not over, as far as was read."""
        self._draining = asyncio.Lock()
        self._is_behind = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def record(self, call: CallRecord) -> None:
        """Journal the call; it is in the database a moment later."""
        self._is_behind.set()
        self._journal.record(call)

    def pending_bytes(self) -> int:
        """How much of this process's journal is not in the database yet."""
        found = segments(self._journal.folder)
        return sum(path.stat().st_size - self._offsets.get(path, 0) for path in found)

    async def start(self) -> None:
        """Make the process known, take in what dead processes left, and keep draining."""
        record = {
            "id": self._journal.writer_id,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "started_at": self._clock.now(),
            "closed_at": None,
        }
        async with self._sessions() as db:
            await insert_missing(db, JournalWriterRow, record)
        await self.drain_dead()
        self._tasks = [asyncio.create_task(self._drain_for_ever()), asyncio.create_task(self._look_around_for_ever())]

    async def flush(self) -> None:
        """Store everything recorded so far."""
        async with self._draining:
            self._is_behind.clear()
            await self._drain_folder(self._journal.folder, self._journal.open_segment)

    async def drain_dead(self) -> int:
        """Take in the journals of processes that are gone; how many there were."""
        async with self._draining:
            return await self._drain_dead()

    async def aclose(self) -> None:
        """Store what is left and end the journal. What cannot be stored now is stored by whoever starts next."""
        async with self._draining:  # no task is stopped in the middle of a transaction
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
        try:
            await self.flush()
            self._journal.rotate()
            await self.flush()
            await self._close_writer(self._journal.writer_id, self._journal.folder)
        except Exception:  # the journal stays on disk and is drained at the next start
            log.warning("usage_journal_left", exc_info=True, extra={"writer_id": self._journal.writer_id})
        finally:
            self._journal.close()

    async def _drain_dead(self) -> int:
        found = 0
        for writer_id, lock in dead_writers(self._root):
            try:
                if writer_id != REJECTED:
                    await self._drain_dead_writer(writer_id)
                    found += 1
            finally:
                lock.release()
        return found

    async def _drain_for_ever(self) -> None:
        while True:
            await self._is_behind.wait()
            await asyncio.sleep(GATHER_S)
            try:
                await self.flush()
            except Exception:  # the database is away; the journal keeps everything
                log.warning("usage_drain_postponed", exc_info=True)
                self._is_behind.set()
                await asyncio.sleep(RETRY_S)

    async def _look_around_for_ever(self) -> None:
        while True:
            await asyncio.sleep(LOOK_AROUND_S)
            try:
                await self.drain_dead()
            except Exception:  # the database is away; next time
                log.warning("usage_look_around_failed", exc_info=True)

    async def _drain_dead_writer(self, writer_id: str) -> None:
        folder = self._root / writer_id
        log.info("usage_journal_taken_over", extra={"writer_id": writer_id, "segments": len(segments(folder))})
        await self._drain_folder(folder, None)
        await self._close_writer(writer_id, folder)

    async def _close_writer(self, writer_id: str, folder: Path) -> None:
        """Count the calls that were cut off, free the leases, and remove the journal: all is in the database."""
        async with self._sessions() as db:
            await self._store_lost(db, [one.hold for one in self._holds.get(folder, {}).values()])
            await end_leases(db, writer_id)
            await db.execute(
                update(JournalWriterRow)
                .where(JournalWriterRow.id == writer_id)
                .values(closed_at=self._clock.now())
                .execution_options(synchronize_session=False)
            )
        self._holds.pop(folder, None)
        self._remove(folder)

    async def _store_lost(self, db: AsyncSession, holds: Sequence[StoredHold]) -> None:
        ids = [UUID(hold.call_id) for hold in holds]
        known = set((await db.scalars(select(CallRow.id).where(CallRow.id.in_(ids)))).all())
        lost = [hold for hold in holds if UUID(hold.call_id) not in known]
        orgs = await _organizations(db, {UUID(hold.org_id) for hold in lost})
        lost = [hold for hold in lost if UUID(hold.org_id) in orgs]
        for hold in lost:
            call, attempt = lost_records(hold)
            await db.execute(insert(CallRow), [call])
            await db.execute(insert(LedgerRow), [attempt])
            log.error("call_outcome_lost", extra={"call_id": hold.call_id, "nano_usd": attempt["cost_nano_usd"]})
        await settle(db, [lost_call(hold) for hold in lost])

    async def _drain_folder(self, folder: Path, open_segment: Path | None) -> None:
        """Store what is new. Segments that nothing is written to any more, and no open hold is in, are removed."""
        for path in segments(folder):
            torn_at = await self._drain_segment(folder, path)
            if torn_at is not None and path != open_segment:
                log.warning("usage_journal_torn", extra={"segment": str(path), "offset": torn_at})
        needed = {one.segment for one in self._holds.get(folder, {}).values()}
        for path in segments(folder):
            if path != open_segment and path in self._offsets and path not in needed:
                self._forget(path)

    async def _drain_segment(self, folder: Path, path: Path) -> int | None:
        """Store what is new in it; where its last, torn frame begins, if there is one."""
        while True:
            frames = await asyncio.to_thread(read_frames, path, self._offsets.get(path, 0), max_frames=BATCH)
            if frames.payloads:
                await self._store(folder, path, frames.payloads)
            self._offsets[path] = frames.next_offset
            if len(frames.payloads) < BATCH:
                return frames.next_offset if frames.is_torn else None

    def _remove(self, folder: Path) -> None:
        for path in segments(folder):
            self._forget(path)
        (folder / "lock").unlink(missing_ok=True)
        folder.rmdir()

    def _forget(self, path: Path) -> None:
        path.unlink()
        self._offsets.pop(path, None)

    async def _store(self, folder: Path, path: Path, payloads: Sequence[bytes]) -> None:
        pending: dict[UUID, _Pending] = {}
        holds: dict[str, _OpenHold] = {}
        ended: set[str] = set()
        for payload in payloads:
            try:
                frame = decode_frame(payload)
                if isinstance(frame, StoredHold):
                    holds[frame.call_id] = _OpenHold(frame, path)
                    continue
                call = _pending(payload, frame)
            except (msgspec.MsgspecError, ValueError) as error:
                self._reject(payload, str(error))
            else:
                pending[call.row["id"]] = call
                ended.add(frame.call_id)
        if pending:
            await self._store_calls(list(pending.values()))
        still = {**self._holds.get(folder, {}), **holds}
        self._holds[folder] = {call_id: one for call_id, one in still.items() if call_id not in ended}

    async def _store_calls(self, calls: Sequence["_Pending"]) -> None:
        async with self._sessions() as db:
            fresh = await self._fresh(db, calls)
            if fresh:
                await db.execute(insert(CallRow), [call.row for call in fresh])
                ledger = [attempt for call in fresh for attempt in call.attempts]
                if ledger:
                    await db.execute(insert(LedgerRow), ledger)
                await settle(db, [call.spent for call in fresh])

    async def _fresh(self, db: AsyncSession, calls: Sequence["_Pending"]) -> list["_Pending"]:
        """The calls that are not stored yet and whose organisation exists."""
        ids = [call.row["id"] for call in calls]
        known = set((await db.scalars(select(CallRow.id).where(CallRow.id.in_(ids)))).all())
        orgs = await _organizations(db, {call.spent.org_id for call in calls})
        for call in calls:
            if call.spent.org_id not in orgs:
                self._reject(call.payload, f"there is no organization {call.spent.org_id}")
        return [call for call in calls if call.spent.org_id in orgs and call.row["id"] not in known]

    def _reject(self, payload: bytes, reason: str) -> None:
        """Keep what cannot be stored: a person has to look at it."""
        log.error("usage_record_rejected", extra={"reason": reason})
        folder = self._root / REJECTED
        folder.mkdir(mode=0o700, exist_ok=True)
        with (folder / f"{self._journal.writer_id}.frames").open("ab") as file:
            file.write(encode_frame(payload))


@dataclass(frozen=True, slots=True)
class _Pending:
    """A journalled call as everything it becomes."""

    payload: bytes
    row: Record
    attempts: list[Record]
    spent: SpentCall


@dataclass(frozen=True, slots=True)
class _OpenHold:
    """What a call holds that is not over, and the segment that says so."""

    hold: StoredHold
    segment: Path


def _pending(payload: bytes, call: StoredCall) -> _Pending:
    """Raises ValueError when an id is none."""
    attempts = [ledger_record(call, position, attempt) for position, attempt in enumerate(call.attempts)]
    return _Pending(payload, call_record(call), attempts, spent_call(call))


async def _organizations(db: AsyncSession, org_ids: Collection[UUID]) -> set[UUID]:
    """Those that exist."""
    return set((await db.scalars(select(OrganizationRow.id).where(OrganizationRow.id.in_(org_ids)))).all())
