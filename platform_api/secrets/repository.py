"""Queries of secrets."""

from collections.abc import Collection, Sequence
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from platform_api.database.tables.secrets import SecretRow


class SecretRepository:
    """The secrets of one organisation at a time."""

    def __init__(self, db: AsyncSession) -> None:
        self._db = db

    async def find(self, org_id: UUID, name: str) -> SecretRow | None:
        """The secret of that name."""
        return await self._db.scalar(select(SecretRow).where(SecretRow.org_id == org_id, SecretRow.name == name))

    async def all(self, org_id: UUID) -> Sequence[SecretRow]:
        """All of them, by name; there are at most `service.MAX_SECRETS`."""
        return (
            await self._db.scalars(select(SecretRow).where(SecretRow.org_id == org_id).order_by(SecretRow.name))
        ).all()

    async def named(self, org_id: UUID, names: Collection[str]) -> Sequence[SecretRow]:
        """Those of the names that there are."""
        query = select(SecretRow).where(SecretRow.org_id == org_id, SecretRow.name.in_(list(names)))
        return (await self._db.scalars(query)).all()

    async def count(self, org_id: UUID) -> int:
        """How many there are."""
        return await self._db.scalar(select(func.count()).where(SecretRow.org_id == org_id)) or 0
