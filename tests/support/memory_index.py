"""A vector index in this process, written to be obviously right: for tests of nodes, and beside the SQL one."""

import math
from collections.abc import Collection, Mapping, Sequence

from nodes.vector_index import Document, Filter, Hit, IndexShape, Scalar


class MemoryVectorIndex:
    """VectorIndex in dictionaries."""

    def __init__(self) -> None:
        self._shapes: dict[tuple[str, str], IndexShape] = {}
        self._documents: dict[tuple[str, str], dict[str, Document]] = {}

    async def shape(self, org_id: str, index: str) -> IndexShape | None:
        return self._shapes.get((org_id, index))

    async def digests(self, org_id: str, index: str, documents: Collection[str]) -> Mapping[str, str]:
        stored = self._documents.get((org_id, index), {})
        return {name: stored[name].digest for name in documents if name in stored}

    async def vectors(self, org_id: str, index: str, chunks: Collection[str]) -> Mapping[str, Sequence[float]]:
        stored = self._documents.get((org_id, index), {}).values()
        return {c.digest: c.vector for document in stored for c in document.chunks if c.digest in chunks}

    async def put(self, org_id: str, index: str, shape: IndexShape, documents: Sequence[Document]) -> None:
        self._shapes.setdefault((org_id, index), shape).check(index, shape)
        stored = self._documents.setdefault((org_id, index), {})
        for document in documents:
            stored.pop(document.id, None)
            stored[document.id] = document

    async def remove(self, org_id: str, index: str, documents: Collection[str]) -> int:
        stored = self._documents.get((org_id, index), {})
        return sum(stored.pop(name, None) is not None for name in documents)

    async def nearest(
        self, org_id: str, index: str, vector: Sequence[float], *, limit: int, where: Filter
    ) -> Sequence[Hit]:
        return sorted(self._hits(org_id, index, vector, where), key=lambda hit: -hit.similarity)[:limit]

    async def matching(
        self, org_id: str, index: str, words: str, vector: Sequence[float], *, limit: int, where: Filter
    ) -> Sequence[Hit]:
        wanted = set(words.lower().split())
        hits = self._hits(org_id, index, vector, where)
        counted = [(sum(word in wanted for word in hit.text.lower().split()), hit) for hit in hits]
        return [hit for count, hit in sorted(counted, key=lambda one: -one[0]) if count][:limit]

    def _hits(self, org_id: str, index: str, vector: Sequence[float], where: Filter) -> list[Hit]:
        return [
            Hit(document.id, number, chunk.text, _cosine(chunk.vector, vector), document.facts)
            for document in self._documents.get((org_id, index), {}).values()
            for number, chunk in enumerate(document.chunks)
            if all(_has(document, name, wanted) for name, wanted in where.items())
        ]


def _has(document: Document, name: str, wanted: Scalar | Sequence[Scalar]) -> bool:
    found = document.facts.get(name)
    values = [wanted] if isinstance(wanted, str | int | float) else wanted
    return any(isinstance(value, bool) == isinstance(found, bool) and value == found for value in values)


def _cosine(one: Sequence[float], other: Sequence[float]) -> float:
    length = math.hypot(*one) * math.hypot(*other)
    return sum(a * b for a, b in zip(one, other, strict=True)) / length if length else 0.0
