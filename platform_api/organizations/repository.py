"""Queries of an organisation and its members."""

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from platform_api.auth.permissions import OWNER
from platform_api.database.tables.identity import MembershipRow, OrganizationRow, UserRow


class OrganizationRepository:
    """One organisation at a time."""

    def __init__(self, db: AsyncSession) -> None:
        self._db = db

    async def get(self, org_id: UUID) -> OrganizationRow | None:
        """The organisation itself."""
        return await self._db.get(OrganizationRow, org_id)

    async def members(self, org_id: UUID) -> list[tuple[MembershipRow, UserRow]]:
        """Who belongs to it, longest first."""
        found = await self._db.execute(
            select(MembershipRow, UserRow)
            .join(UserRow, UserRow.id == MembershipRow.user_id)
            .where(MembershipRow.org_id == org_id)
            .order_by(MembershipRow.created_at, MembershipRow.id)
        )
        return [(membership, user) for membership, user in found.all()]

    async def member(self, org_id: UUID, user_id: UUID) -> MembershipRow | None:
        """One person's membership."""
        return await self._db.scalar(
            select(MembershipRow).where(MembershipRow.org_id == org_id, MembershipRow.user_id == user_id)
        )

    async def lock_owners(self, org_id: UUID) -> list[MembershipRow]:
        """The owners, locked until the transaction ends: two parallel changes cannot both take the last one away."""
        found = await self._db.scalars(
            select(MembershipRow)
            .where(MembershipRow.org_id == org_id, MembershipRow.role == OWNER)
            .order_by(MembershipRow.id)
            .with_for_update()
            .execution_options(populate_existing=True)
        )
        return list(found.all())
