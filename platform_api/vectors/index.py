"""`nodes.vector_index.VectorIndex` over the platform's database. Every session belongs to the asking organisation.

numpy is loaded with the first use of an index: a process without one does without.
"""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import ColumnElement, Float, LargeBinary, Select, cast, delete, func, insert, select, text, type_coerce
from sqlalchemy.dialects.postgresql import ARRAY, REAL
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.types import UserDefinedType

from bridge.clock import Clock
from bridge.identifiers import new_id
from nodes.vector_index import Document, Filter, Hit, IndexShape
from platform_api.database.session import Database
from platform_api.database.tables.vectors import VectorChunkRow, VectorDocumentRow, VectorIndexRow
from platform_api.database.upserts import insert_missing, storable
from platform_api.vectors.facts import holds
from platform_api.vectors.words import best_chunks, words_of

if TYPE_CHECKING:
    from platform_api.vectors.nearest import Ranked

ROWS_AT_A_TIME = 5_000
NAMES_AT_A_TIME = 500
"""Fewer than the parameters that either database takes in one statement."""
_ROWS_INSERTED_AT_A_TIME = 500


@dataclass(frozen=True, slots=True)
class _Place:
    """An index of an organisation."""

    id: UUID
    shape: IndexShape


class _PgVector(UserDefinedType[Any]):
    """pgvector's type, to cast to."""

    cache_ok = True

    def get_col_spec(self, **_: object) -> str:
        return "vector"


class SqlVectorIndex:
    """VectorIndex in the database. On PostgreSQL, pgvector ranks where the extension was made, else numpy here."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._has_pgvector: bool | None = False if database.is_sqlite else None

    async def shape(self, org_id: str, index: str) -> IndexShape | None:
        async with self._database.for_org(UUID(org_id)).read() as db:
            place = await _place(db, org_id, index)
        return None if place is None else place.shape

    async def digests(self, org_id: str, index: str, documents: Collection[str]) -> Mapping[str, str]:
        found: dict[str, str] = {}
        async with self._database.for_org(UUID(org_id)).read() as db:
            place = await _place(db, org_id, index)
            for names in _slices(documents) if place is not None else ():
                query = select(VectorDocumentRow.name, VectorDocumentRow.digest).where(
                    VectorDocumentRow.index_id == (place.id if place else None), VectorDocumentRow.name.in_(names)
                )
                found |= {row[0]: row[1] for row in await db.execute(query)}
        return found

    async def vectors(self, org_id: str, index: str, chunks: Collection[str]) -> Mapping[str, Sequence[float]]:
        from platform_api.vectors.nearest import as_floats

        found: dict[str, Sequence[float]] = {}
        async with self._database.for_org(UUID(org_id)).read() as db:
            place = await _place(db, org_id, index)
            for digests in _slices(chunks) if place is not None else ():
                query = select(VectorChunkRow.digest, VectorChunkRow.vector).where(
                    VectorChunkRow.index_id == (place.id if place else None), VectorChunkRow.digest.in_(digests)
                )
                found |= {row[0]: as_floats(row[1]) for row in await db.execute(query)}
        return found

    async def put(self, org_id: str, index: str, shape: IndexShape, documents: Sequence[Document]) -> None:
        async with self._database.for_org(UUID(org_id))() as db:
            index_id = await self._made(db, UUID(org_id), index, shape)
            await _remove(db, org_id, index_id, [document.id for document in documents])
            rows = [self._document_row(UUID(org_id), index_id, document) for document in documents]
            await db.execute(insert(VectorDocumentRow), rows)
            chunks = [
                _chunk_row(row, number, document)
                for row, document in zip(rows, documents, strict=True)
                for number in range(len(document.chunks))
            ]
            for start in range(0, len(chunks), _ROWS_INSERTED_AT_A_TIME):
                await db.execute(insert(VectorChunkRow), chunks[start : start + _ROWS_INSERTED_AT_A_TIME])

    async def remove(self, org_id: str, index: str, documents: Collection[str]) -> int:
        async with self._database.for_org(UUID(org_id))() as db:
            place = await _place(db, org_id, index)
            return 0 if place is None else await _remove(db, org_id, place.id, documents)

    async def nearest(
        self, org_id: str, index: str, vector: Sequence[float], *, limit: int, where: Filter
    ) -> Sequence[Hit]:
        async with self._database.for_org(UUID(org_id)).read() as db:
            place = await _place(db, org_id, index)
            if place is None:
                return ()
            if await self._ranks_in_database(db):
                ranked = await self._ranked_by_pgvector(db, place, vector, limit=limit, where=where)
            else:
                from platform_api.vectors.nearest import nearest

                batches = self._batches(db, place, where)
                ranked = await nearest(batches, vector, limit=limit, is_sent=not self._database.is_sqlite)
            return await _hits(db, org_id, ranked)

    async def matching(
        self, org_id: str, index: str, words: str, vector: Sequence[float], *, limit: int, where: Filter
    ) -> Sequence[Hit]:
        from platform_api.vectors.nearest import as_floats, similarities, unit

        wanted = words_of(words)
        async with self._database.for_org(UUID(org_id)).read() as db:
            place = await _place(db, org_id, index)
            if place is None or not wanted:
                return ()
            found = best_chunks(place.id, wanted, is_sqlite=self._database.is_sqlite)
            query = self._filtered(found, where).order_by(text("weight desc"), VectorChunkRow.id).limit(limit)
            ids = [row[0] for row in await db.execute(query)]
            query_vectors = select(VectorChunkRow.id, VectorChunkRow.vector).where(VectorChunkRow.id.in_(ids))
            stored = {row[0]: as_floats(row[1]) for row in await db.execute(query_vectors)}
            similar = {
                chunk_id: float(similarities(unit(floats)[None, :], unit(vector))[0])
                for chunk_id, floats in stored.items()
            }
            return await _hits(db, org_id, [(chunk_id, similar[chunk_id]) for chunk_id in ids])

    async def _made(self, db: AsyncSession, org_id: UUID, index: str, shape: IndexShape) -> UUID:
        """The index's id, its row locked; it is made where it is missing. Raises IndexMismatchError."""
        now = self._clock.now()
        record = {
            "id": UUID(new_id()),
            "org_id": org_id,
            "name": index,
            "model": shape.model,
            "dimensions": shape.dimensions,
            "created_at": now,
            "updated_at": now,
        }
        await insert_missing(db, VectorIndexRow, record)
        query = select(VectorIndexRow).where(VectorIndexRow.org_id == org_id, VectorIndexRow.name == index)
        row = (await db.scalars(query.with_for_update())).one()
        IndexShape(row.model, row.dimensions).check(index, shape)
        row.updated_at = now
        return row.id

    def _document_row(self, org_id: UUID, index_id: UUID, document: Document) -> dict[str, Any]:
        return {
            "id": UUID(new_id()),
            "org_id": org_id,
            "index_id": index_id,
            "name": document.id,
            "digest": document.digest,
            "facts": storable(document.facts),
            "updated_at": self._clock.now(),
        }

    async def _ranks_in_database(self, db: AsyncSession) -> bool:
        if self._has_pgvector is None:
            self._has_pgvector = bool(await db.scalar(text("select to_regtype('vector') is not null")))
        return self._has_pgvector

    async def _ranked_by_pgvector(
        self, db: AsyncSession, place: _Place, vector: Sequence[float], *, limit: int, where: Filter
    ) -> "Ranked":
        asked: ColumnElement[Any] = cast(cast(list(vector), ARRAY(REAL)), _PgVector)
        distance: ColumnElement[Any] = cast(VectorChunkRow.vector, _PgVector).op("<=>", return_type=Float())(asked)
        query = select(VectorChunkRow.id, distance.label("distance")).where(VectorChunkRow.index_id == place.id)
        query = self._filtered(query, where).order_by(text("distance"), VectorChunkRow.id).limit(limit)
        return [(row[0], _similarity(row[1])) for row in await db.execute(query)]

    async def _batches(self, db: AsyncSession, place: _Place, where: Filter) -> AsyncIterator[Any]:
        stored: ColumnElement[Any] = type_coerce(VectorChunkRow.vector, LargeBinary)
        vector: ColumnElement[Any] = stored if self._database.is_sqlite else func.array_send(VectorChunkRow.vector)
        query = select(VectorChunkRow.id, vector).where(VectorChunkRow.index_id == place.id)
        query = self._filtered(query, where).order_by(VectorChunkRow.id)
        rows = await db.stream(query.execution_options(yield_per=ROWS_AT_A_TIME))
        async for batch in rows.partitions():
            yield batch

    def _filtered(self, query: Select[int, Any], where: Filter) -> Select[int, Any]:
        if not where:
            return query
        return query.join(VectorDocumentRow, VectorDocumentRow.id == VectorChunkRow.document_id).where(
            holds(where, is_sqlite=self._database.is_sqlite)
        )


async def _place(db: AsyncSession, org_id: str, index: str) -> _Place | None:
    query = select(VectorIndexRow).where(VectorIndexRow.org_id == UUID(org_id), VectorIndexRow.name == index)
    row = (await db.scalars(query)).one_or_none()
    return None if row is None else _Place(row.id, IndexShape(row.model, row.dimensions))


async def _remove(db: AsyncSession, org_id: str, index_id: UUID, documents: Collection[str]) -> int:
    n_removed = 0
    for names in _slices(documents):
        statement = (
            delete(VectorDocumentRow)
            .where(
                VectorDocumentRow.org_id == UUID(org_id),
                VectorDocumentRow.index_id == index_id,
                VectorDocumentRow.name.in_(names),
            )
            .returning(VectorDocumentRow.id)
        )
        n_removed += len((await db.execute(statement)).all())
    return n_removed


async def _hits(db: AsyncSession, org_id: str, ranked: "Ranked") -> list[Hit]:
    """The ranked chunks with what they say, in the same order."""
    query = (
        select(VectorChunkRow, VectorDocumentRow.name, VectorDocumentRow.facts)
        .join(VectorDocumentRow, VectorDocumentRow.id == VectorChunkRow.document_id)
        .where(VectorChunkRow.org_id == UUID(org_id), VectorChunkRow.id.in_([one[0] for one in ranked]))
    )
    rows = {row[0].id: row for row in await db.execute(query)}
    return [
        Hit(
            document=rows[chunk_id][1],
            number=rows[chunk_id][0].number,
            text=rows[chunk_id][0].text,
            similarity=similarity,
            facts=rows[chunk_id][2],
        )
        for chunk_id, similarity in ranked
        if chunk_id in rows
    ]


def _chunk_row(document_row: Mapping[str, Any], number: int, document: Document) -> dict[str, Any]:
    from platform_api.vectors.nearest import as_bytes

    chunk = document.chunks[number]
    return {
        "org_id": document_row["org_id"],
        "index_id": document_row["index_id"],
        "document_id": document_row["id"],
        "number": number,
        "digest": chunk.digest,
        "text": storable(chunk.text),
        "vector": as_bytes(chunk.vector),
    }


def _similarity(distance: float | None) -> float:
    """Of pgvector's cosine distance, which is not a number where a vector is all zeros."""
    return 0.0 if distance is None or distance != distance else max(-1.0, min(1.0, 1.0 - distance))  # noqa: PLR0124


def _slices(names: Collection[str]) -> list[list[str]]:
    listed = list(names)
    return [listed[start : start + NAMES_AT_A_TIME] for start in range(0, len(listed), NAMES_AT_A_TIME)]
