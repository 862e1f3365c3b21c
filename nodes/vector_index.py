"""The port to an organisation's vector indexes: what `ingest` fills and `retrieve` searches."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Protocol

from pydantic import Field

from bridge.json_types import JsonObject, JsonValue
from nodes.errors import NodeError

Scalar = str | int | float | bool
Filter = Mapping[str, Scalar | Sequence[Scalar]]
"""Fact of a document -> the value it must have, or one of the values. All of them must hold."""
IndexName = Annotated[
    str, Field(pattern=r"^[a-z][a-z0-9_-]{0,62}$", description="The index: lower case, digits, `_`, `-`.")
]
FactName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_.-]{0,99}$")]


class IndexMismatchError(NodeError):
    """Vectors of another model or length than the index holds: they cannot be compared."""

    def __init__(self, message: str) -> None:
        super().__init__(message, error_class="invalid_request")


@dataclass(frozen=True, slots=True)
class IndexShape:
    """What an index holds: vectors of one model (`provider/model`) and one length."""

    model: str
    dimensions: int

    def check(self, index: str, other: "IndexShape") -> None:
        """Raises IndexMismatchError when vectors of `other` do not belong here."""
        if self.model != other.model:
            raise IndexMismatchError(
                f"index {index} holds vectors of {self.model}, not of {other.model}: set `model: {self.model}`, "
                "or use another index"
            )
        if self.dimensions != other.dimensions:
            raise IndexMismatchError(
                f"index {index} holds vectors of {self.dimensions} dimensions, not of {other.dimensions}: set "
                f"`dimensions: {self.dimensions}`, or use another index"
            )


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of a document. `digest` is the SHA-256 of its text, in hex."""

    text: str
    digest: str
    vector: Sequence[float]


@dataclass(frozen=True, slots=True)
class Document:
    """A document as it is stored: its chunks in order. `digest` is of everything that makes it what it is."""

    id: str
    digest: str
    facts: JsonObject
    chunks: Sequence[Chunk]


@dataclass(frozen=True, slots=True)
class Hit:
    """A chunk that was found. `similarity` is the cosine of its vector and the question's, in [-1, 1]."""

    document: str
    number: int
    text: str
    similarity: float
    facts: JsonObject = field(default_factory=dict[str, JsonValue])


class VectorIndex(Protocol):
    """All indexes of all organisations; an organisation reaches only its own."""

    async def shape(self, org_id: str, index: str) -> IndexShape | None:
        """What the index holds; None when there is none of that name."""
        ...

    async def digests(self, org_id: str, index: str, documents: Collection[str]) -> Mapping[str, str]:
        """The stored digest of those of the documents that are there, by id."""
        ...

    async def vectors(self, org_id: str, index: str, chunks: Collection[str]) -> Mapping[str, Sequence[float]]:
        """The stored vectors of those of the chunks (by digest) that are there."""
        ...

    async def put(self, org_id: str, index: str, shape: IndexShape, documents: Sequence[Document]) -> None:
        """Store the documents, each in place of the one of its id; makes the index. All of them, or none.

        Raises:
            IndexMismatchError: The index holds vectors of another shape.
        """
        ...

    async def remove(self, org_id: str, index: str, documents: Collection[str]) -> int:
        """Take documents out; how many of them were there."""
        ...

    async def nearest(
        self, org_id: str, index: str, vector: Sequence[float], *, limit: int, where: Filter
    ) -> Sequence[Hit]:
        """Chunks by falling similarity; equal ones in the order in which they were stored."""
        ...

    async def matching(
        self, org_id: str, index: str, words: str, vector: Sequence[float], *, limit: int, where: Filter
    ) -> Sequence[Hit]:
        """Chunks that hold any of the words, the best match first."""
        ...


class NoVectorIndex:
    """Where there is none: everything says so."""

    async def shape(self, org_id: str, index: str) -> IndexShape | None:
        raise _missing(org_id, index)

    async def digests(self, org_id: str, index: str, documents: Collection[str]) -> Mapping[str, str]:
        del documents
        raise _missing(org_id, index)

    async def vectors(self, org_id: str, index: str, chunks: Collection[str]) -> Mapping[str, Sequence[float]]:
        del chunks
        raise _missing(org_id, index)

    async def put(self, org_id: str, index: str, shape: IndexShape, documents: Sequence[Document]) -> None:
        del shape, documents
        raise _missing(org_id, index)

    async def remove(self, org_id: str, index: str, documents: Collection[str]) -> int:
        del documents
        raise _missing(org_id, index)

    async def nearest(
        self, org_id: str, index: str, vector: Sequence[float], *, limit: int, where: Filter
    ) -> Sequence[Hit]:
        del vector, limit, where
        raise _missing(org_id, index)

    async def matching(
        self, org_id: str, index: str, words: str, vector: Sequence[float], *, limit: int, where: Filter
    ) -> Sequence[Hit]:
        del words, vector, limit, where
        raise _missing(org_id, index)


def _missing(org_id: str, index: str) -> NodeError:
    del org_id
    return NodeError(f"index {index}: this process was given no vector index", error_class="invalid_request")
