"""Queries of leases: what processes hold of windows. Windows are changed before leases, leases in the order of ids."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast
from uuid import UUID

from sqlalchemy import Table, bindparam, delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from bridge.budgets import LeaseRequest, LeaseState
from platform_api.database.tables.usage import BudgetLeaseRow, BudgetRow, BudgetWindowRow
from platform_api.database.upserts import insert_or_add

LEASE = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class LeaseWriter:
    """Who takes leases, and when."""

    org_id: UUID
    writer_id: str
    at: datetime


class LeaseRepository:
    """Leases, of all organisations: a process has them in many. Every query names its leases or its process."""

    def __init__(self, db: AsyncSession) -> None:
        self._db = db

    async def add(self, writer: LeaseWriter, amounts: Sequence[tuple[LeaseRequest, int]]) -> None:
        """Add to leases, which are made where missing, and let them live on."""
        records: list[dict[str, object]] = [
            {
                "id": UUID(request.lease_id),
                "org_id": writer.org_id,
                "budget_id": UUID(request.budget.id),
                "starts_at": request.starts_at,
                "amount_nano_usd": amount,
                "writer_id": writer.writer_id,
                "expires_at": writer.at + LEASE,
                "created_at": writer.at,
            }
            for request, amount in sorted(amounts, key=lambda one: one[0].lease_id)
        ]
        await insert_or_add(self._db, BudgetLeaseRow, records, add=("amount_nano_usd",), replace=("expires_at",))

    async def renew(self, lease_ids: Sequence[UUID], at: datetime) -> None:
        """Let them live on from `at`."""
        await self._db.execute(
            update(BudgetLeaseRow)
            .where(BudgetLeaseRow.id.in_(lease_ids))
            .values(expires_at=at + LEASE)
            .execution_options(synchronize_session=False)
        )

    async def states(self, lease_ids: Sequence[UUID]) -> dict[str, LeaseState]:
        """Those that exist, each beside its window."""
        taken = BudgetWindowRow.held_nano_usd + BudgetWindowRow.settled_nano_usd
        query = (
            select(BudgetLeaseRow.id, BudgetWindowRow.recalls, taken > BudgetRow.limit_nano_usd)
            .join(
                BudgetWindowRow,
                (BudgetWindowRow.budget_id == BudgetLeaseRow.budget_id)
                & (BudgetWindowRow.starts_at == BudgetLeaseRow.starts_at),
            )
            .join(BudgetRow, BudgetRow.id == BudgetLeaseRow.budget_id)
            .where(BudgetLeaseRow.id.in_(lease_ids))
        )
        rows = (await self._db.execute(query)).all()
        return {str(lease_id): LeaseState(recalls, bool(is_over)) for lease_id, recalls, is_over in rows}

    async def find(self, lease_ids: Iterable[UUID]) -> dict[UUID, BudgetLeaseRow]:
        """Leases by id; those that are gone are missing."""
        query = select(BudgetLeaseRow).where(BudgetLeaseRow.id.in_(set(lease_ids)))
        rows = (await self._db.scalars(query.execution_options(populate_existing=True))).all()
        return {row.id: row for row in rows}

    async def of_writer(self, writer_id: str) -> Sequence[BudgetLeaseRow]:
        """Everything a process holds."""
        query = select(BudgetLeaseRow).where(BudgetLeaseRow.writer_id == writer_id).order_by(BudgetLeaseRow.id)
        return (await self._db.scalars(query.execution_options(populate_existing=True))).all()

    async def reduce(self, amounts: Mapping[UUID, int]) -> None:
        """Take the amounts out of the leases; a lease that nothing is left of is gone."""
        if not amounts:
            return
        table = cast("Table[Any]", BudgetLeaseRow.__table__)
        change = (
            update(table)
            .where(table.c.id == bindparam("lease_id", type_=table.c.id.type))
            .values(amount_nano_usd=table.c.amount_nano_usd - bindparam("taken"))
        )
        changes = [{"lease_id": lease_id, "taken": amounts[lease_id]} for lease_id in sorted(amounts)]
        await (await self._db.connection()).execute(change, changes)
        await self._db.execute(
            delete(BudgetLeaseRow)
            .where(BudgetLeaseRow.id.in_(list(amounts)), BudgetLeaseRow.amount_nano_usd == 0)
            .execution_options(synchronize_session=False)
        )
