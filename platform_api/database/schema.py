"""All tables at once: what migrations are compared with, and which of them belong to a tenant."""

from sqlalchemy import MetaData

from platform_api.database.tables import flows, identity, operations, secrets, triggers, usage, vectors
from platform_api.database.tables.base import Base

TABLE_FILES = (identity, flows, usage, operations, secrets, triggers, vectors)

BY_HAND = ("vector_words", "ix_vector_chunks_words")
"""How the names of tables and indexes begin that revisions make by hand: what searches words is spelled differently by
each database, and the ORM cannot say it."""


def metadata() -> MetaData:
    """The metadata with every table in it."""
    return Base.metadata


def tenant_tables() -> tuple[str, ...]:
    """Names of the tables that row-level security guards: those with an org_id."""
    return tuple(sorted(table.name for table in Base.metadata.tables.values() if "org_id" in table.columns))
