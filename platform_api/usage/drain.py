"""From the journal into the database, in batches: calls, ledger rows and budgets in one transaction, exactly once.

A call that is in `calls` already is passed over, so reading a segment twice does no harm. Journals of dead processes
are drained by whoever finds them; only then is what those processes still held counted.
"""

import asyncio
import logging
import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import msgspec
from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from bridge.call_record import CallRecord
from bridge.clock import Clock
from platform_api.budgets.settlement import SpentCall, release_expired, settle, settle_lost
from platform_api.database.session import Database
from platform_api.database.tables.identity import OrganizationRow
from platform_api.database.tables.usage import CallRow, JournalWriterRow, LedgerRow
from platform_api.database.upserts import insert_missing
from platform_api.usage.call_rows import Record, call_record, ledger_record, lost_records, spent_call
from platform_api.usage.journal import (
    Journal,
    dead_writers,
    decode_call,
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
FORGOTTEN = timedelta(minutes=15)
REJECTED = "rejected"


class UsageDrain:
    """Stores what the process's journal holds. A CallSink: hand it to the bridge in place of the journal."""

    def __init__(self, database: Database, journal: Journal, root: Path, clock: Clock) -> None:
        self._sessions = database.system()
        self._journal = journal
        self._root = root
        self._clock = clock
        self._offsets: dict[Path, int] = {}
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
            await self._close_writer(self._journal.writer_id)
            _remove(self._journal.folder)
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
                await self._release_forgotten()
            except Exception:  # the database is away; next time
                log.warning("usage_look_around_failed", exc_info=True)

    async def _release_forgotten(self) -> None:
        async with self._draining, self._sessions() as db:
            before = self._clock.now() - FORGOTTEN
            n_leases = await release_expired(db, self._journal.writer_id, before=before)
        if n_leases:
            log.error("budget_leases_without_record", extra={"leases": n_leases})

    async def _drain_dead_writer(self, writer_id: str) -> None:
        folder = self._root / writer_id
        log.info("usage_journal_taken_over", extra={"writer_id": writer_id, "segments": len(segments(folder))})
        await self._drain_folder(folder, None)
        await self._close_writer(writer_id)
        _remove(folder)

    async def _close_writer(self, writer_id: str) -> None:
        async with self._sessions() as db:
            for hold in await settle_lost(db, writer_id):
                call, attempt = lost_records(hold)
                await db.execute(insert(CallRow), [call])
                await db.execute(insert(LedgerRow), [attempt])
                log.error("call_outcome_lost", extra={"hold_id": str(hold.id), "nano_usd": hold.amount_nano_usd})
            await db.execute(
                update(JournalWriterRow)
                .where(JournalWriterRow.id == writer_id)
                .values(closed_at=self._clock.now())
                .execution_options(synchronize_session=False)
            )

    async def _drain_folder(self, folder: Path, open_segment: Path | None) -> None:
        for path in segments(folder):
            while True:
                frames = await asyncio.to_thread(read_frames, path, self._offsets.get(path, 0), max_frames=BATCH)
                if frames.payloads:
                    await self._store(frames.payloads)
                self._offsets[path] = frames.next_offset
                if len(frames.payloads) < BATCH:
                    break
            if path != open_segment:
                if frames.is_torn:
                    log.warning("usage_journal_torn", extra={"segment": str(path), "offset": frames.next_offset})
                path.unlink()
                self._offsets.pop(path, None)

    async def _store(self, payloads: Sequence[bytes]) -> None:
        pending: dict[UUID, _Pending] = {}
        for payload in payloads:
            try:
                call = _pending(payload)
            except (msgspec.MsgspecError, ValueError) as error:
                self._reject(payload, str(error))
            else:
                pending[call.row["id"]] = call
        async with self._sessions() as db:
            fresh = await self._fresh(db, list(pending.values()))
            if fresh:
                await db.execute(insert(CallRow), [call.row for call in fresh])
                ledger = [attempt for call in fresh for attempt in call.attempts]
                if ledger:
                    await db.execute(insert(LedgerRow), ledger)
                await settle(db, [call.spent for call in fresh])

    async def _fresh(self, db: AsyncSession, calls: Sequence["_Pending"]) -> list["_Pending"]:
        """The calls that are not stored yet and whose organisation exists."""
        ids, org_ids = [call.row["id"] for call in calls], {call.spent.org_id for call in calls}
        known = set((await db.scalars(select(CallRow.id).where(CallRow.id.in_(ids)))).all())
        orgs = set((await db.scalars(select(OrganizationRow.id).where(OrganizationRow.id.in_(org_ids)))).all())
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


def _pending(payload: bytes) -> _Pending:
    """Raises MsgspecError or ValueError when the payload is no call, or an id is none."""
    call = decode_call(payload)
    attempts = [ledger_record(call, position, attempt) for position, attempt in enumerate(call.attempts)]
    return _Pending(payload, call_record(call), attempts, spent_call(call))


def _remove(folder: Path) -> None:
    """Remove a drained journal; one that still holds a segment stays."""
    if not segments(folder):
        (folder / "lock").unlink(missing_ok=True)
        folder.rmdir()
