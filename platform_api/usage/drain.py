"""From the journal into the database, in batches: calls, ledger rows and budgets in one transaction, exactly once.

A call that is in `calls` already is passed over, so reading a segment twice does no harm. Journals of dead processes
are drained by whoever finds them; only then are calls that were cut off counted, by their attempts at their worst case,
and the leases of those processes freed. A segment stays on disk while a call in it is not over.
"""

import asyncio
import logging
import os
import socket
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import msgspec
from sqlalchemy import update

from bridge.call_record import CallRecord
from bridge.clock import Clock
from platform_api.budgets.settlement import end_leases
from platform_api.database.session import Database
from platform_api.database.tables.usage import JournalWriterRow
from platform_api.database.upserts import insert_missing
from platform_api.usage.call_store import PendingCall, store_calls
from platform_api.usage.journal import Journal, dead_writers, segments
from platform_api.usage.journal_frames import (
    Frame,
    StoredCall,
    decode_frame,
    encode_frame,
    next_whole_frame,
    read_frames,
)
from platform_api.usage.open_calls import OpenCalls, ended_calls

log = logging.getLogger(__name__)

BATCH = 400
"""Frames of one transaction; a call has two at least. Its round trips cost the same however many there are."""
GATHER_S = 0.1
"""How long calls are gathered before a batch is stored."""
RETRY_S = 2.0
LOOK_AROUND_S = 30.0
"""How often journals of dead processes are looked for."""
REJECTED = "rejected"


class UsageDrain:
    """Stores what the process's journal holds. A CallSink: hand it to the bridge in place of the journal."""

    def __init__(
        self, database: Database, journal: Journal, root: Path, clock: Clock, *, look_around_s: float = LOOK_AROUND_S
    ) -> None:
        self._sessions = database.system()
        self._journal = journal
        self._root = root
        self._clock = clock
        self._look_around_s = look_around_s
        self._offsets: dict[Path, int] = {}
        self._open: dict[Path, OpenCalls] = {}
        """By journal."""
        self._draining = asyncio.Lock()
        self._is_behind = asyncio.Event()
        self._behind_since_s: float | None = None
        self._draining_since_s: float | None = None
        """Like `_behind_since_s`, of what is being stored now."""
        self._tasks: list[asyncio.Task[None]] = []

    def record(self, call: CallRecord) -> None:
        """Journal the call; it is in the database a moment later."""
        if self._behind_since_s is None:
            self._behind_since_s = self._clock.monotonic()
        self._is_behind.set()
        self._journal.record(call)

    @property
    def journal(self) -> Journal:
        """The journal of this process."""
        return self._journal

    @property
    def undrained_bytes(self) -> int:
        """How much of this process's journal is not in the database yet."""
        found = segments(self._journal.folder)
        on_disk = sum(path.stat().st_size - self._offsets.get(path, 0) for path in found)
        return on_disk + sum(len(payload) for payload in self._journal.unwritten)

    @property
    def lag_s(self) -> float:
        """How long the oldest call that is not in the database has waited; 0 when all are."""
        since_s = self._behind_since_s if self._draining_since_s is None else self._draining_since_s
        return 0.0 if since_s is None else self._clock.monotonic() - since_s

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
            self._draining_since_s, self._behind_since_s = self._behind_since_s, None
            try:
                self._journal.retry()
                await self._drain_folder(self._journal.folder, self._journal.open_segment)
                await self._store_unwritten()
            except BaseException:
                self._behind_since_s = self._draining_since_s
                raise
            finally:
                self._draining_since_s = None

    async def sync(self) -> None:
        """Return when everything recorded so far is as safe as `journal.fsync` promises, a loss of power included."""
        if not self._journal.is_synced:
            await asyncio.to_thread(self._journal.sync)

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
            await asyncio.sleep(self._look_around_s)
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
        cut_off = [PendingCall.of(call) for call in self._open_in(folder).cut_off()]
        async with self._sessions() as db:
            if cut_off:
                await store_calls(db, cut_off)
            await end_leases(db, writer_id)
            await db.execute(
                update(JournalWriterRow)
                .where(JournalWriterRow.id == writer_id)
                .values(closed_at=self._clock.now())
                .execution_options(synchronize_session=False)
            )
        self._open.pop(folder, None)
        self._remove(folder)

    def _open_in(self, folder: Path) -> OpenCalls:
        return self._open.setdefault(folder, OpenCalls())

    async def _drain_folder(self, folder: Path, open_segment: Path | None) -> None:
        """Store what is new. Segments that nothing is written to any more, and no open call is in, are removed."""
        for path in segments(folder):
            await self._drain_segment(folder, path, is_open=path == open_segment)
        needed = self._open_in(folder).segments
        for path in segments(folder):
            if path != open_segment and path in self._offsets and path not in needed:
                self._forget(path)

    async def _drain_segment(self, folder: Path, path: Path, *, is_open: bool) -> None:
        """Store what is new in it. Behind a frame that was cut or damaged the next whole one is looked for."""
        while True:
            frames = await asyncio.to_thread(read_frames, path, self._offsets.get(path, 0), max_frames=BATCH)
            if frames.payloads:
                await self._store(folder, path, frames.payloads)
            self._offsets[path] = frames.next_offset
            if frames.is_torn and not is_open:
                log.warning("usage_journal_torn", extra={"segment": str(path), "offset": frames.next_offset})
                whole_at = await asyncio.to_thread(next_whole_frame, path, frames.next_offset)
                if whole_at is None:
                    return
                self._offsets[path] = whole_at
            elif len(frames.payloads) < BATCH:
                return

    def _remove(self, folder: Path) -> None:
        for path in segments(folder):
            self._forget(path)
        (folder / "lock").unlink(missing_ok=True)
        with suppress(OSError):  # somebody looks for dead writers this instant: they find it empty, and remove it
            folder.rmdir()

    def _forget(self, path: Path) -> None:
        path.unlink()
        self._offsets.pop(path, None)

    async def _store_unwritten(self) -> None:
        """Calls that the disk did not take go into the database from memory."""
        kept = [payload for payload in self._journal.unwritten if isinstance(decode_frame(payload), StoredCall)]
        if kept:
            await self._store(self._journal.folder, None, kept)
        for payload in kept:
            self._journal.stored(payload)

    async def _store(self, folder: Path, segment: Path | None, payloads: Sequence[bytes]) -> None:
        frames: list[Frame] = []
        pending: list[PendingCall] = []
        for payload in payloads:
            try:
                frame = decode_frame(payload)
                frames.append(frame)
            except msgspec.MsgspecError as error:
                self._reject(payload, str(error))
        for call in ended_calls(frames):
            try:
                pending.append(PendingCall.of(call))
            except ValueError as error:
                self._reject(msgspec.json.encode(call), str(error))
        if pending:
            async with self._sessions() as db:
                homeless = await store_calls(db, pending)
            for one in homeless:
                self._reject(msgspec.json.encode(one.call), f"there is no organization {one.spent.org_id}")
        for frame in frames:
            self._open_in(folder).read(frame, segment)

    def _reject(self, payload: bytes, reason: str) -> None:
        """Keep what cannot be stored: a person has to look at it."""
        log.error("usage_record_rejected", extra={"reason": reason})
        folder = self._root / REJECTED
        folder.mkdir(mode=0o700, exist_ok=True)
        with (folder / f"{self._journal.writer_id}.frames").open("ab") as file:
            file.write(encode_frame(payload))
