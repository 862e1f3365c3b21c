"""The usage journal: what was spent, on disk before anybody asks, so that a killed process loses nothing.

Every process appends to a folder of its own under the journal root:

    <root>/<writer id>/lock           held (flock) while the process lives: whoever can take it knows it is dead
    <root>/<writer id>/00000001.log   segments of frames: length, CRC-32, JSON

A frame is a CallRecord, written when a call is over, or a CallHold, written before a call under a budget is dispatched:
a hold without a record is a call that a kill cut off. A frame is one `write`, so after `kill -9` a segment is whole up
to at most one torn frame at its end. Segments are deleted by the drain (platform_api/usage/drain.py) once they are
closed and stored.
"""

import fcntl
import logging
import os
import struct
import time
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import msgspec

from bridge.call_record import (
    AttemptRecord,
    BudgetScope,
    CacheOutcome,
    CallContext,
    CallHold,
    CallRecord,
    CallStatus,
    Lease,
)
from bridge.errors import ErrorClass

log = logging.getLogger(__name__)

_HEADER = struct.Struct("<II")
_MAX_FRAME_BYTES = 64 * 1024 * 1024
_SUFFIX = ".log"


class JournalError(OSError):
    """The journal cannot be written; what could not be written is kept and tried again with the next record."""


def encode_frame(payload: bytes) -> bytes:
    """Length and CRC-32 in front of `payload`."""
    return _HEADER.pack(len(payload), zlib.crc32(payload)) + payload


@dataclass(frozen=True, slots=True)
class Frames:
    """Payloads read from a segment, and where reading has to go on."""

    payloads: tuple[bytes, ...]
    next_offset: int
    is_torn: bool
    """Bytes follow `next_offset` that are no whole frame: still being written, or cut by a kill."""


def read_frames(path: Path, offset: int = 0, *, max_frames: int = 500) -> Frames:
    """Whole frames of a segment from `offset` on. A frame with a wrong checksum is logged and left out."""
    payloads: list[bytes] = []
    with path.open("rb") as file:
        file.seek(offset)
        while len(payloads) < max_frames:
            header = file.read(_HEADER.size)
            if len(header) < _HEADER.size:
                return Frames(tuple(payloads), offset, is_torn=bool(header))
            length, checksum = _HEADER.unpack(header)
            payload = file.read(length) if length <= _MAX_FRAME_BYTES else b""
            if len(payload) < length:
                return Frames(tuple(payloads), offset, is_torn=True)
            if zlib.crc32(payload) == checksum:
                payloads.append(payload)
            else:
                log.error("usage_journal_frame_damaged", extra={"segment": path.name, "offset": offset})
            offset += _HEADER.size + length
    return Frames(tuple(payloads), offset, is_torn=False)


class JournalLock:
    """The sign of life of a writer: an exclusive lock that the system drops when the process ends."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._fd: int | None = None

    def take(self) -> bool:
        """True when nobody else holds it; then it is ours until `release`."""
        fd = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
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
                if (folder / "lock").exists():
                    return lock
                lock.release()
        time.sleep(0.01)
    raise JournalError(f"the journal {folder} belongs to another process")


class Journal:
    """The journal of this process. A CallSink: `record` costs one write."""

    def __init__(self, root: Path, writer_id: str, *, rotate_bytes: int = 8 * 1024 * 1024) -> None:
        self.writer_id = writer_id
        self.folder = root / writer_id
        self._lock = _claimed(self.folder)
        self._rotate_bytes = rotate_bytes
        self._encoder = msgspec.json.Encoder()
        self._unwritten: list[bytes] = []
        self._number = max((int(path.stem) for path in segments(self.folder)), default=0)
        self._fd: int | None = None
        self._size = 0

    @property
    def open_segment(self) -> Path | None:
        """The segment that is being written; None before the first record and after a rotation."""
        return None if self._fd is None else self.folder / f"{self._number:08d}{_SUFFIX}"

    def record(self, call: CallRecord) -> None:
        """Append the call. Raises JournalError when the disk refuses it; the record is then kept for later."""
        self._append(self._encoder.encode(call))

    def hold(self, hold: CallHold) -> None:
        """Append what a call holds, all of it: a later frame of the same call replaces it. Raises JournalError."""
        self._append(self._encoder.encode(StoredHold(*hold)))

    def _append(self, payload: bytes) -> None:
        self._unwritten.append(encode_frame(payload))
        try:
            self._write_out()
        except OSError as error:
            raise JournalError(f"the usage journal {self.folder} cannot be written: {error}") from error

    def rotate(self) -> None:
        """Close the segment; the next record opens another."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def close(self) -> None:
        """Close and let go of the folder. What is not drained yet is drained by whoever starts next."""
        self.rotate()
        self._lock.release()

    def _write_out(self) -> None:
        if self._fd is None:
            self._open_next()
        fd = self._fd
        while self._unwritten and fd is not None:
            frame = self._unwritten[0]
            written = os.write(fd, frame)
            if written < len(frame):
                os.ftruncate(fd, self._size)
                raise OSError("short write: the disk is full")
            self._size += written
            self._unwritten.pop(0)
        if self._size >= self._rotate_bytes:
            self.rotate()

    def _open_next(self) -> None:
        self._number += 1
        path = self.folder / f"{self._number:08d}{_SUFFIX}"
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._size = os.fstat(self._fd).st_size


def segments(folder: Path) -> list[Path]:
    """Segments of one writer, oldest first."""
    return sorted(folder.glob(f"*{_SUFFIX}"))


def dead_writers(root: Path) -> Iterator[tuple[str, JournalLock]]:
    """Folders whose process is gone: writer id and the lock, now held by the caller, who must release it."""
    if not root.is_dir():
        return
    for folder in sorted(path for path in root.iterdir() if path.is_dir()):
        lock = JournalLock(folder)
        if lock.take():
            yield folder.name, lock


class StoredCall(msgspec.Struct, frozen=True):
    """A CallRecord as the journal holds it. The decision stays as its JSON text: only its readers parse it."""

    call_id: str
    context: CallContext
    requested: str
    attempts: tuple[AttemptRecord, ...]
    status: CallStatus
    cache: CacheOutcome
    is_stream: bool
    started_at: datetime
    finished_at: datetime
    alias: str | None = None
    decision: msgspec.Raw = msgspec.Raw(b"null")
    error_class: ErrorClass | None = None
    error_message: str | None = None
    re_asks: int = 0
    is_rescued: bool = False
    cache_similarity: float | None = None
    leases: tuple[Lease, ...] = ()


class StoredHold(msgspec.Struct, frozen=True, tag_field="kind", tag="hold"):
    """A CallHold as the journal holds it."""

    call_id: str
    org_id: str
    scopes: tuple[BudgetScope, ...]
    leases: tuple[Lease, ...]
    started_at: datetime


_HOLD = b'{"kind":"hold",'


def decode_frame(payload: bytes) -> StoredCall | StoredHold:
    """What one frame holds. Raises msgspec.MsgspecError when it is neither."""
    if payload.startswith(_HOLD):
        return msgspec.json.decode(payload, type=StoredHold)
    return msgspec.json.decode(payload, type=StoredCall)
