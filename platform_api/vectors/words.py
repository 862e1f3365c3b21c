"""Search for words, as each database does it: FTS5 with BM25 on SQLite, full-text search on PostgreSQL."""

import re
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Integer, Select, column, func, literal, literal_column, select, table

from platform_api.database.tables.vectors import VectorChunkRow

MAX_WORDS = 32
_WORD = re.compile(r"\w+")


def words_of(question: str) -> list[str]:
    """The different words of a question in lower case, the first MAX_WORDS of them."""
    return list(dict.fromkeys(word.lower() for word in _WORD.findall(question)))[:MAX_WORDS]


def best_chunks(index_id: UUID, words: list[str], *, is_sqlite: bool) -> Select[int, Any]:
    """Ids of the index's chunks that hold any of the words, with how well they match: more is better."""
    return _fts5(index_id, words) if is_sqlite else _full_text(index_id, words)


def _fts5(index_id: UUID, words: list[str]) -> Select[int, Any]:
    """BM25 counts how rare a word is over all indexes of the database; which rows are found is the index's own."""
    anywhere = " OR ".join(f'"{word}"' for word in words)  # a word holds no quote
    wanted = f'index_id : "{index_id}" AND text : ({anywhere})'
    searched = table("vector_words", column("rowid", Integer))
    matches: ColumnElement[bool] = literal_column("vector_words").op("match", is_comparison=True)(wanted)
    weight: ColumnElement[Any] = literal_column("-bm25(vector_words, 0.0, 1.0)")
    return (
        select(VectorChunkRow.id, weight.label("weight"))
        .join(searched, searched.c.rowid == VectorChunkRow.id)
        .where(VectorChunkRow.index_id == index_id, matches)
    )


def _full_text(index_id: UUID, words: list[str]) -> Select[int, Any]:
    simple: ColumnElement[Any] = literal_column("'simple'")
    indexed: ColumnElement[Any] = func.to_tsvector(simple, VectorChunkRow.text)
    asked: ColumnElement[Any] = func.to_tsquery(simple, literal(" | ".join(f"'{word}'" for word in words)))
    weight: ColumnElement[Any] = func.ts_rank_cd(indexed, asked, 1)
    return select(VectorChunkRow.id, weight.label("weight")).where(
        VectorChunkRow.index_id == index_id, indexed.op("@@", is_comparison=True)(asked)
    )
