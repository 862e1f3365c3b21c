"""Reads a response body within a limit of decoded bytes; a small compressed body cannot grow beyond it."""

import zlib
from collections.abc import AsyncIterator

from nodes.errors import NodeError

ACCEPTED_ENCODINGS = "gzip, deflate"


async def read_body(pieces: AsyncIterator[bytes], encoding: str, max_bytes: int) -> bytes:
    """The decoded body.

    Raises:
        NodeError: It is bigger than `max_bytes` (`invalid_request`), or not encoded as it says (`unavailable`).
    """
    decoder = _Decoder(encoding.strip().lower() or "identity")
    made = bytearray()
    async for piece in pieces:
        made += decoder.decode(piece, max_bytes + 1 - len(made))
        if len(made) > max_bytes:
            raise NodeError(f"http: the body is bigger than {max_bytes} bytes", error_class="invalid_request")
    if made and not decoder.is_whole:
        raise NodeError("http: the compressed body ends too early", error_class="unavailable")
    return bytes(made)


class _Decoder:
    """One content encoding, undone piece by piece; never makes more than it is given room for."""

    def __init__(self, encoding: str) -> None:
        if encoding not in {"gzip", "x-gzip", "deflate", "identity"}:
            raise NodeError(
                f"http: the body is encoded as {encoding!r}, which was not asked for", error_class="unavailable"
            )
        self._encoding = encoding
        self._inflater = None if encoding == "identity" else zlib.decompressobj(zlib.MAX_WBITS | 32)
        self._is_started = False

    @property
    def is_whole(self) -> bool:
        """Did the stream reach its end?"""
        return self._inflater is None or self._inflater.eof

    def decode(self, piece: bytes, room: int) -> bytes:
        """The decoded bytes, at most `room`."""
        if self._inflater is None:
            return piece
        try:
            made = self._inflater.decompress(piece, max(room, 1))
        except zlib.error as error:
            if self._encoding == "deflate" and not self._is_started:
                return self._as_raw_deflate(piece, room, error)
            raise NodeError("http: the body is not compressed as it says", error_class="unavailable") from error
        self._is_started = True
        return made

    def _as_raw_deflate(self, piece: bytes, room: int, error: zlib.error) -> bytes:
        """Some servers send deflate without the zlib header."""
        self._inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        self._is_started = True
        try:
            return self._inflater.decompress(piece, max(room, 1))
        except zlib.error:
            raise NodeError("http: the body is not compressed as it says", error_class="unavailable") from error
