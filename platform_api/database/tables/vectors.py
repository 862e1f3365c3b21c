"""Rows of vector indexes: documents cut into chunks, each with the vector of its meaning.

Beside these tables the revision makes what searches words: on SQLite the FTS5 table `vector_words` with its triggers,
on PostgreSQL the index `ix_vector_chunks_words`. `platform_api.vectors.words` reads them.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Index, Integer, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from platform_api.database.columns import Float32Vector, Id, JsonDocument
from platform_api.database.tables.base import Base, OrgScoped, org_key, org_reference

ChunkId = BigInteger().with_variant(Integer, "sqlite")
"""A whole number, because FTS5 points at rows by their number."""


class VectorIndexRow(OrgScoped, Base):
    """A named index. All its vectors are of one model and one length."""

    __tablename__ = "vector_indexes"
    __table_args__ = (org_key(), UniqueConstraint("org_id", "name"))

    id: Mapped[UUID] = mapped_column(Id, primary_key=True)
    name: Mapped[str] = mapped_column(String(63))
    model: Mapped[str] = mapped_column(String(255))
    dimensions: Mapped[int]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class VectorDocumentRow(OrgScoped, Base):
    """A document under the name its owner gives it; `digest` tells whether it is still the same."""

    __tablename__ = "vector_documents"
    __table_args__ = (
        org_key(),
        org_reference("index_id", "vector_indexes", ondelete="CASCADE"),
        UniqueConstraint("index_id", "name"),
    )

    id: Mapped[UUID] = mapped_column(Id, primary_key=True)
    index_id: Mapped[UUID] = mapped_column(Id)
    name: Mapped[str] = mapped_column(String(512))
    digest: Mapped[str] = mapped_column(String(64))
    facts: Mapped[Any] = mapped_column(JsonDocument)
    updated_at: Mapped[datetime]


class VectorChunkRow(OrgScoped, Base):
    """A piece of a document, in its order; `digest` is of its text."""

    __tablename__ = "vector_chunks"
    __table_args__ = (
        org_reference("document_id", "vector_documents", ondelete="CASCADE"),
        UniqueConstraint("document_id", "number"),
        Index("ix_vector_chunks_index_id_digest", "index_id", "digest"),
    )

    id: Mapped[int] = mapped_column(ChunkId, primary_key=True, autoincrement=True)
    index_id: Mapped[UUID] = mapped_column(Id)
    document_id: Mapped[UUID] = mapped_column(Id)
    number: Mapped[int]
    digest: Mapped[str] = mapped_column(String(64))
    text: Mapped[str] = mapped_column(Text)
    vector: Mapped[bytes] = mapped_column(Float32Vector)
