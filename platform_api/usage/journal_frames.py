"""What the usage journal holds, byte by byte: frames in segments, and what one frame says.

A frame is its payload's length and CRC-32 (little-endian, 4 bytes each), then the payload, JSON:

    {"kind": "dispatched", ...}  an attempt, before its request leaves, with what it may cost at most
    {"kind": "settled", ...}     the end of an attempt whose call goes on
    {"call_id": ...}             a CallRecord: the call is over, and all its attempts are settled
"""

import logging
import struct
import zlib
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import msgspec

from bridge.call_record import (
    AttemptRecord,
    CacheOutcome,
    CallContext,
    CallStatus,
    Dispatch,
    Lease,
)
from bridge.errors import ErrorClass

log = logging.getLogger(__name__)

_HEADER = struct.Struct("<II")
_MAX_FRAME_BYTES = 64 * 1024 * 1024
_BEGIN = b'{"'
"""Every payload begins so."""


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
            payload = file.read(length) if 0 < length <= _MAX_FRAME_BYTES else b""
            if len(payload) < max(length, 1):
                return Frames(tuple(payloads), offset, is_torn=True)
            if zlib.crc32(payload) == checksum:
                payloads.append(payload)
            else:
                log.error("usage_journal_frame_damaged", extra={"segment": path.name, "offset": offset})
            offset += _HEADER.size + length
    return Frames(tuple(payloads), offset, is_torn=False)


def next_whole_frame(path: Path, offset: int) -> int | None:
    """Where the first whole frame after `offset` begins, in a segment that nobody writes to any more.

    A loss of power can leave a hole of zeros; what was written behind it is found again. None: nothing follows.
    """
    content = path.read_bytes()
    place = content.find(_BEGIN, offset + 1 + _HEADER.size)
    while place >= 0:
        length, checksum = _HEADER.unpack_from(content, place - _HEADER.size)
        if 0 < length <= len(content) - place and zlib.crc32(content[place : place + length]) == checksum:
            return place - _HEADER.size
        place = content.find(_BEGIN, place + 1)
    return None


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


class StoredSettlement(msgspec.Struct, frozen=True, tag_field="kind", tag="settled"):
    """The end of an attempt whose call goes on."""

    call_id: str
    attempt: AttemptRecord


Frame = StoredCall | StoredSettlement | Dispatch

_calls = msgspec.json.Decoder(StoredCall)
_settlements = msgspec.json.Decoder(StoredSettlement)
_dispatches = msgspec.json.Decoder(Dispatch)


def decode_frame(payload: bytes) -> Frame:
    """What one frame holds. Raises msgspec.MsgspecError when it is none of them."""
    if payload.startswith(b'{"kind":"dispatched"'):
        return _dispatches.decode(payload)
    if payload.startswith(b'{"kind":"settled"'):
        return _settlements.decode(payload)
    return _calls.decode(payload)
