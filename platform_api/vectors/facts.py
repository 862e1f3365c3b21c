"""Filters over what is known of a document, as SQL: a value of JSON equals one of those wanted, type included."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, and_, false, func, literal, or_
from sqlalchemy.dialects.postgresql import JSONB

from nodes.vector_index import Filter, Scalar
from platform_api.database.tables.vectors import VectorDocumentRow


def holds(where: Filter, *, is_sqlite: bool) -> ColumnElement[bool]:
    """Every entry holds for the document of the row."""
    equals = _equals_in_sqlite if is_sqlite else _equals_in_postgres
    return and_(
        literal(value=True),
        *(or_(false(), *(equals(name, value) for value in _values(wanted))) for name, wanted in where.items()),
    )


def _values(wanted: Scalar | Sequence[Scalar]) -> Sequence[Scalar]:
    return wanted if isinstance(wanted, Sequence) and not isinstance(wanted, str) else [wanted]


def _equals_in_postgres(name: str, value: Scalar) -> ColumnElement[bool]:
    return VectorDocumentRow.facts.op("@>", is_comparison=True)(literal({name: value}, JSONB))


def _equals_in_sqlite(name: str, value: Scalar) -> ColumnElement[bool]:
    path = f'$."{name}"'  # a name holds no quote
    found: ColumnElement[Any] = func.json_extract(VectorDocumentRow.facts, path)
    kind: ColumnElement[Any] = func.json_type(VectorDocumentRow.facts, path)
    if isinstance(value, bool):
        return kind == ("true" if value else "false")
    return and_(kind.in_(["text"] if isinstance(value, str) else ["integer", "real"]), found == value)
