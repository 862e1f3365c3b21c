"""What every table shares: names of constraints, column types by annotation, and the tenant a row belongs to."""

from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import ForeignKey, ForeignKeyConstraint, MetaData, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, declared_attr, mapped_column

from platform_api.database.columns import Id, UtcTime

CONSTRAINT_NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


class Base(DeclarativeBase):
    """Base of all rows. Relationships are not declared: queries join by hand and load what they say."""

    metadata = MetaData(naming_convention=CONSTRAINT_NAMES)
    type_annotation_map: ClassVar[dict[Any, Any]] = {UUID: Id, datetime: UtcTime}


class OrgScoped:
    """A row that belongs to an organisation. Sessions of a tenant see and write only its own rows.

    Tables with a single id take `org_key()` into `__table_args__`, so that others can point at (org_id, id).
    """

    @declared_attr
    def org_id(self) -> Mapped[UUID]:
        return mapped_column(Id, ForeignKey("organizations.id", ondelete="CASCADE"), index=True)


def org_key() -> UniqueConstraint:
    """Makes (org_id, id) a target of composite foreign keys."""
    return UniqueConstraint("org_id", "id")


def org_reference(column: str, table: str, *, ondelete: str | None = None) -> ForeignKeyConstraint:
    """`column` points at a row of `table` of the same organisation; a foreign one is refused by the database."""
    return ForeignKeyConstraint(["org_id", column], [f"{table}.org_id", f"{table}.id"], ondelete=ondelete)
