"""Column types that mean the same on SQLite and PostgreSQL: ids, UTC time, nano-dollars, JSON."""

from array import array
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import JSON, BigInteger, DateTime, LargeBinary, String, Uuid
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, REAL
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator, TypeEngine


class Id(TypeDecorator[UUID]):
    """A UUIDv7: native on PostgreSQL, 36 characters of text elsewhere. Text is accepted where an id is compared."""

    impl = String(36)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:  # a type engine of either Python type
        if dialect.name == "postgresql":
            return dialect.type_descriptor(Uuid(as_uuid=True))
        return dialect.type_descriptor(String(36))

    def process_bind_param(self, value: UUID | str | None, dialect: Dialect) -> UUID | str | None:
        if value is None:
            return None
        identifier = value if isinstance(value, UUID) else UUID(value)
        return identifier if dialect.name == "postgresql" else str(identifier)

    def process_result_value(self, value: Any, dialect: Dialect) -> UUID | None:  # what the driver returns
        return value if value is None or isinstance(value, UUID) else UUID(str(value))


class UtcTime(TypeDecorator[datetime]):
    """Aware UTC time. A naive one is refused: it is a bug where it was made."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"a time without a zone cannot be stored: {value!r}")
        moment = value.astimezone(UTC)
        return moment if dialect.name == "postgresql" else moment.replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)


class Float32Vector(TypeDecorator[bytes]):
    """Numbers of single precision as their bytes (little-endian): `real[]` on PostgreSQL, bytes elsewhere."""

    impl = LargeBinary
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:  # a type engine of either Python type
        return dialect.type_descriptor(ARRAY(REAL) if dialect.name == "postgresql" else LargeBinary())

    def process_bind_param(self, value: bytes | None, dialect: Dialect) -> bytes | list[float] | None:
        return array("f", value).tolist() if value is not None and dialect.name == "postgresql" else value

    def process_result_value(self, value: Any, dialect: Dialect) -> bytes | None:  # what the driver returns
        return value if value is None or isinstance(value, bytes) else array("f", value).tobytes()


NanoUsd = BigInteger()
"""Whole nano-dollars; the column's name ends in `_nano_usd`."""

JsonDocument = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")
"""Any JSON value; None is SQL NULL. JSONB on PostgreSQL."""
