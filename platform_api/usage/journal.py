"""The usage journal: what was spent, on disk before anybody asks, so that a killed process loses nothing.

Every process appends to a folder of its own under the journal root:

    <root>/<writer id>/lock           held (flock) while the process lives: whoever can take it knows it is dead
    <root>/<writer id>/00000001.log   segments of frames (platform_api/usage/journal_frames.py)

An attempt is written down before its request leaves, and settled before the answer's last byte goes out: what was
dispatched and never settled is an attempt that a kill cut off. A frame is one `write`, so after `kill -9` a segment is
whole up to at most one torn frame at its end; `fsync` decides about a loss of power. A disk that is full refuses
attempts, never their ends: those are kept in memory until they can be written. Segments are deleted by the drain
(platform_api/usage/drain.py) once they are closed and stored.
"""

import errno
import fcntl
import logging
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Literal

import msgspec

from bridge.call_record import AttemptRecord, CallRecord, Dispatch
from bridge.errors import JournalUnavailableError
from platform_api.usage.journal_frames import StoredSettlement, encode_frame
from platform_api.usage.journal_sync import SegmentSync

log = logging.getLogger(__name__)

Fsync = Literal["always", "interval", "never"]
_SUFFIX = ".log"
_MAX_KEPT = 1000
"""Of calls that cost nothing, refused ones mostly; of all others every one is kept."""
_REFUSAL = "usage cannot be recorded at the moment, so nothing was sent to a provider; try again in a moment"


class JournalError(OSError):
    """The journal's folder belongs to another process."""


class JournalLock:
    """The sign of life of a writer: an exclusive lock that the system drops when the process ends."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._fd: int | None = None

    def take(self) -> bool:
        """True when nobody else holds it; then it is ours until `release`.

        Raises FileNotFoundError when the folder was removed meanwhile.
        """
        place = self._folder / "lock"
        fd = os.open(place, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            is_there = os.fstat(fd).st_ino == place.stat().st_ino
        except (BlockingIOError, FileNotFoundError) as error:
            os.close(fd)
            if isinstance(error, FileNotFoundError):
                raise
            return False
        if not is_there:  # whoever held it has removed it, and somebody made another
            os.close(fd)
            return False
        self._fd = fd
        return True

    def release(self) -> None:
        """Let go. Harmless when it was never taken."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


def _claimed(folder: Path) -> JournalLock:
    """The folder's lock. Somebody who looks for dead writers may hold, or remove, a folder made this instant."""
    for _ in range(20):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = JournalLock(folder)
        with suppress(FileNotFoundError):
            if lock.take():
                return lock
        time.sleep(0.01)
    raise JournalError(f"the journal {folder} belongs to another process")


class Journal:
    """The journal of this process: a CallJournal and a CallSink. Every frame costs one write."""

    def __init__(
        self, root: Path, writer_id: str, *, fsync: Fsync = "never", rotate_bytes: int = 8 * 1024 * 1024
    ) -> None:
        self.writer_id = writer_id
        self.folder = root / writer_id
        self._lock = _claimed(self.folder)
        self._rotate_bytes = rotate_bytes
        self._encoder = msgspec.json.Encoder()
        self._unwritten: list[bytes] = []
        self._number = max((int(path.stem) for path in segments(self.folder)), default=0)
        self._fd: int | None = None
        self._size = 0
        self._is_synced_always = fsync == "always"
        self._sync = SegmentSync(self.folder) if fsync == "interval" else None
        self._is_refusing = False

    @property
    def open_segment(self) -> Path | None:
        """The segment that is being written; None before the first record and after a rotation."""
        return None if self._fd is None else self.folder / f"{self._number:08d}{_SUFFIX}"

    @property
    def unwritten(self) -> tuple[bytes, ...]:
        """Payloads that the disk did not take, oldest first."""
        return tuple(self._unwritten)

    def dispatched(self, attempt: Dispatch) -> None:
        """Append an attempt. Raises JournalUnavailableError; then nothing of it is on disk, or kept."""
        try:
            self._write_unwritten()
            self._write(self._encoder.encode(attempt))
        except OSError as error:
            self._refused(error)
            raise JournalUnavailableError(_REFUSAL) from error
        if self._is_refusing:
            self._is_refusing = False
            log.warning("usage_journal_takes_calls_again", extra={"folder": str(self.folder)})

    def settled(self, call_id: str, attempt: AttemptRecord) -> None:
        """Append the end of an attempt whose call goes on; it is kept when the disk refuses it."""
        try:
            self._append(self._encoder.encode(StoredSettlement(call_id, attempt)))
        except OSError as error:
            self._refused(error)

    def record(self, call: CallRecord) -> None:
        """Append the call; it is kept when the disk refuses it."""
        try:
            self._append(self._encoder.encode(call))
        except OSError as error:
            self._refused(error)
            if not call.attempts and len(self._unwritten) > _MAX_KEPT:
                self._unwritten.pop()

    def retry(self) -> None:
        """Write what the disk did not take before, if it takes it now."""
        with suppress(OSError):
            self._write_unwritten()

    def stored(self, payload: bytes) -> None:
        """What was kept is in the database: it need not be written any more."""
        if payload in self._unwritten:
            self._unwritten.remove(payload)

    def sync(self) -> None:
        """Bring everything written so far to the disk, where `interval` has not done so yet. Blocks; for threads."""
        if self._sync is not None:
            self._sync.sync()

    @property
    def is_synced(self) -> bool:
        """Does nothing written wait for a sync that the configuration promises?"""
        return self._sync is None or not self._sync.is_behind

    def rotate(self) -> None:
        """Close the segment; the next record opens another."""
        if self._fd is not None:
            if self._sync is not None:
                self._sync.closed()
            os.close(self._fd)
            self._fd = None

    def close(self) -> None:
        """Close and let go of the folder. What is not drained yet is drained by whoever starts next."""
        self.rotate()
        if self._sync is not None:
            self._sync.end()
        self._lock.release()

    def _append(self, payload: bytes) -> None:
        self._unwritten.append(payload)
        self._write_unwritten()

    def _write_unwritten(self) -> None:
        while self._unwritten:
            self._write(self._unwritten[0])
            self._unwritten.pop(0)

    def _write(self, payload: bytes) -> None:
        """All of a frame, or nothing of it. Raises OSError."""
        frame = encode_frame(payload)
        try:
            written = os.write(self._opened(), frame)
        except OSError as error:
            if error.errno != errno.EFBIG or self._size == 0:
                raise
            self.rotate()  # this segment may not grow any more; another one may
            written = os.write(self._opened(), frame)
        if written < len(frame):
            self._cut_back()
            raise OSError(errno.ENOSPC, "only a part of it could be written")
        self._secure()
        self._size += written
        if self._size >= self._rotate_bytes:
            self.rotate()

    def _secure(self) -> None:
        """As far as the configuration wants it, on the disk itself."""
        if self._sync is not None:
            self._sync.wrote()
        elif self._is_synced_always and self._fd is not None:
            try:
                os.fdatasync(self._fd)
            except OSError:
                self._cut_back()
                raise

    def _cut_back(self) -> None:
        """Remove what was half-written; where that cannot be done nothing more is written behind it."""
        try:
            if self._fd is not None:
                os.ftruncate(self._fd, self._size)
        except OSError:
            self.rotate()

    def _opened(self) -> int:
        """The segment's descriptor."""
        if self._fd is None:
            path = self.folder / f"{self._number + 1:08d}{_SUFFIX}"
            self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            self._number += 1
            self._size = os.fstat(self._fd).st_size
            if self._sync is not None:
                self._sync.opened(self._fd)
        return self._fd

    def _refused(self, error: OSError) -> None:
        """Say it once, until calls are taken again."""
        if not self._is_refusing:
            self._is_refusing = True
            log.error("usage_journal_refuses_calls", extra={"folder": str(self.folder), "error": str(error)})


def segments(folder: Path) -> list[Path]:
    """Segments of one writer, oldest first."""
    return sorted(folder.glob(f"*{_SUFFIX}"))


def dead_writers(root: Path) -> Iterator[tuple[str, JournalLock]]:
    """Folders whose process is gone: writer id and the lock, now held by the caller, who must release it."""
    if not root.is_dir():
        return
    for folder in sorted(path for path in root.iterdir() if path.is_dir()):
        lock, is_ours = JournalLock(folder), False
        with suppress(FileNotFoundError):  # somebody else has drained and removed it
            is_ours = lock.take()
        if is_ours:
            yield folder.name, lock
