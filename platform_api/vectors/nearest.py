"""The nearest vectors of an index, exactly: in PostgreSQL where pgvector is, else here, a batch of rows at a time."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Ranked = list[tuple[int, float]]
_POSTGRES_HEADER_BYTES = 20
_POSTGRES_ITEM = np.dtype([("n_bytes", ">i4"), ("value", ">f4")])


def as_bytes(vector: Sequence[float]) -> bytes:
    """The vector as it is stored: single precision, little-endian."""
    return np.asarray(vector, dtype="<f4").tobytes()


def as_floats(stored: bytes) -> tuple[float, ...]:
    """The stored vector as numbers."""
    return tuple(np.frombuffer(stored, dtype="<f4").tolist())


def unit(vector: Sequence[float]) -> Floats:
    """The vector at length 1; all zeros stays so, and is like nothing."""
    floats = np.asarray(vector, dtype=np.float32)
    length = float(np.linalg.norm(floats))
    return floats / np.float32(length) if length > 0 else floats


async def nearest(
    batches: AsyncIterator[Sequence[tuple[int, bytes]]], vector: Sequence[float], *, limit: int, is_sent: bool
) -> Ranked:
    """Ids with their cosine similarity, the most similar first, among equals the lowest id.

    `batches` are ids with stored vectors, or, with `is_sent`, with what PostgreSQL's `array_send` makes of them.
    """
    wanted = unit(vector)
    best: Ranked = []
    async for batch in batches:
        ids = [row[0] for row in batch]
        matrix = _matrix([row[1] for row in batch], len(wanted), is_sent=is_sent)
        similar = similarities(matrix, wanted)
        order = np.argsort(-similar, kind="stable")[:limit].tolist()
        best += [(ids[place], float(similar[place])) for place in order]
        best = sorted(best, key=lambda one: (-one[1], one[0]))[:limit]
    return best


def similarities(matrix: Floats, wanted: Floats) -> npt.NDArray[Any]:
    """Cosine similarity of each row with the unit vector `wanted`: `[n_rows]`, in [-1, 1]; of a zero row 0."""
    lengths = np.linalg.norm(matrix, axis=1)
    dots = matrix @ wanted
    return np.clip(np.divide(dots, lengths, out=np.zeros_like(dots), where=lengths > 0), -1.0, 1.0)


def _matrix(vectors: Sequence[bytes], dimensions: int, *, is_sent: bool) -> Floats:
    joined = b"".join(vector[_POSTGRES_HEADER_BYTES:] for vector in vectors) if is_sent else b"".join(vectors)
    if is_sent:
        return np.frombuffer(joined, dtype=_POSTGRES_ITEM)["value"].astype(np.float32).reshape(-1, dimensions)
    return np.frombuffer(joined, dtype="<f4").reshape(-1, dimensions)
