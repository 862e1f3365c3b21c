"""Vector indexes, and the search for words in them.

Revision: 0013
Follows: 0012
"""

import sqlalchemy as sa
from alembic import op

from platform_api.database.columns import Float32Vector, Id, JsonDocument, UtcTime
from platform_api.migrations.row_security import guard, unguard

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

TABLES = ["vector_indexes", "vector_documents", "vector_chunks"]
WORDS = (
    "create virtual table vector_words using fts5("
    "index_id, text, content='vector_chunks', content_rowid='id', tokenize='unicode61 remove_diacritics 2')",
    "create trigger vector_chunks_added after insert on vector_chunks begin "
    "insert into vector_words(rowid, index_id, text) values (new.id, new.index_id, new.text); end",
    "create trigger vector_chunks_removed after delete on vector_chunks begin "
    "insert into vector_words(vector_words, rowid, index_id, text) "
    "values ('delete', old.id, old.index_id, old.text); end",
)


def upgrade() -> None:
    """Go forward."""
    _create_indexes()
    _create_documents()
    _create_chunks()
    guard(TABLES)
    if op.get_bind().dialect.name == "postgresql":
        op.execute("create index ix_vector_chunks_words on vector_chunks using gin (to_tsvector('simple', text))")
    else:
        for statement in WORDS:
            op.execute(statement)


def downgrade() -> None:
    """Go back. Every index is gone."""
    unguard(TABLES)
    if op.get_bind().dialect.name != "postgresql":
        op.execute("drop trigger vector_chunks_removed")
        op.execute("drop trigger vector_chunks_added")
        op.execute("drop table vector_words")
    for table in reversed(TABLES):
        op.drop_table(table)


def _create_indexes() -> None:
    op.create_table(
        "vector_indexes",
        sa.Column("id", Id(), nullable=False),
        sa.Column("name", sa.String(length=63), nullable=False),
        sa.Column("model", sa.String(length=255), nullable=False),
        sa.Column("dimensions", sa.Integer(), nullable=False),
        sa.Column("created_at", UtcTime(), nullable=False),
        sa.Column("updated_at", UtcTime(), nullable=False),
        sa.Column("org_id", Id(), nullable=False),
        sa.ForeignKeyConstraint(
            ["org_id"], ["organizations.id"], name=op.f("fk_vector_indexes_org_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_vector_indexes")),
        sa.UniqueConstraint("org_id", "id", name=op.f("uq_vector_indexes_org_id_id")),
        sa.UniqueConstraint("org_id", "name", name=op.f("uq_vector_indexes_org_id_name")),
    )
    op.create_index(op.f("ix_vector_indexes_org_id"), "vector_indexes", ["org_id"], unique=False)


def _create_documents() -> None:
    op.create_table(
        "vector_documents",
        sa.Column("id", Id(), nullable=False),
        sa.Column("index_id", Id(), nullable=False),
        sa.Column("name", sa.String(length=512), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("facts", JsonDocument, nullable=False),
        sa.Column("updated_at", UtcTime(), nullable=False),
        sa.Column("org_id", Id(), nullable=False),
        sa.ForeignKeyConstraint(
            ["org_id", "index_id"],
            ["vector_indexes.org_id", "vector_indexes.id"],
            name=op.f("fk_vector_documents_org_id_index_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["org_id"], ["organizations.id"], name=op.f("fk_vector_documents_org_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_vector_documents")),
        sa.UniqueConstraint("org_id", "id", name=op.f("uq_vector_documents_org_id_id")),
        sa.UniqueConstraint("index_id", "name", name=op.f("uq_vector_documents_index_id_name")),
    )
    op.create_index(op.f("ix_vector_documents_org_id"), "vector_documents", ["org_id"], unique=False)


def _create_chunks() -> None:
    op.create_table(
        "vector_chunks",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("index_id", Id(), nullable=False),
        sa.Column("document_id", Id(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("vector", Float32Vector(), nullable=False),
        sa.Column("org_id", Id(), nullable=False),
        sa.ForeignKeyConstraint(
            ["org_id", "document_id"],
            ["vector_documents.org_id", "vector_documents.id"],
            name=op.f("fk_vector_chunks_org_id_document_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["org_id"], ["organizations.id"], name=op.f("fk_vector_chunks_org_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_vector_chunks")),
        sa.UniqueConstraint("document_id", "number", name=op.f("uq_vector_chunks_document_id_number")),
    )
    op.create_index(op.f("ix_vector_chunks_org_id"), "vector_chunks", ["org_id"], unique=False)
    op.create_index("ix_vector_chunks_index_id_digest", "vector_chunks", ["index_id", "digest"], unique=False)
