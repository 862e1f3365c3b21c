"""Groups of runs that share a limit: who is admitted, who waits, who has to go.

Every decision is taken under the lock of the flow's row (on SQLite the one write lock), so that two processes cannot
give the last place away twice. A place is held from admission to the end; a run that waits for a person holds none,
and neither does one whose process has been dead for a minute.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, and_, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from flows.concurrency import Group
from flows.runs import FINAL_RUN
from platform_api.database.tables.flows import FlowRow, RunRow
from platform_api.errors import ConflictError

DEAD_AFTER = timedelta(seconds=60)
"""Beyond the end of its lease; until then the sweep takes a run over, and its place with it."""


@dataclass(frozen=True, slots=True)
class Place:
    """What a new run finds: room, or not; and the runs that go so that it may begin."""

    is_admitted: bool
    victims: tuple[RunRow, ...] = ()


class RunGroups:
    """Admission, within the caller's transaction."""

    def __init__(self, db: AsyncSession) -> None:
        self._db = db

    async def place(self, flow_id: UUID, group: Group, *, now: datetime) -> Place:
        """Where a run stands that is entered in this transaction. Victims are asked to stop.

        Raises:
            ConflictError: The group is full and its flow says `on_full: reject` (concurrency_full).
        """
        await self._lock(flow_id)
        going_on = await self._going_on(group.key, now=now)
        n_waiting = await self._count(RunRow.group_key == group.key, _waits())
        if len(going_on) < group.limit and n_waiting == 0:
            return Place(is_admitted=True)
        if group.on_full == "reject":
            message = f"{len(going_on)} runs with this key are going on, and the flow allows {group.limit} at once"
            raise ConflictError(message, code="concurrency_full")
        return Place(
            is_admitted=False,
            victims=await self._stop_oldest(group, now=now) if group.on_full == "cancel_oldest" else (),
        )

    async def full_groups(self, *, limit: int = 200) -> Sequence[tuple[UUID, str]]:
        """Flow and key of the groups in which runs wait."""
        query = select(RunRow.flow_id, RunRow.group_key).where(_waits()).distinct().limit(limit)
        return [(flow_id, key) for flow_id, key in (await self._db.execute(query)).all() if key is not None]

    async def admit(self, flow_id: UUID, key: str, *, now: datetime) -> Sequence[RunRow]:
        """The waiting runs for which there is room now, the first entered first. They hold their places from here."""
        await self._lock(flow_id)
        n_held = len(await self._going_on(key, now=now))
        waiting = (
            await self._db.scalars(select(RunRow).where(RunRow.group_key == key, _waits()).order_by(RunRow.id))
        ).all()
        admitted: list[RunRow] = []
        for row in waiting:
            if n_held + len(admitted) >= (row.group_limit or 1):
                break
            row.admitted_at = now
            admitted.append(row)
        return admitted

    async def queue_again(self, run_id: UUID) -> bool:
        """A run that waited and goes on has given its place away: it waits for room. False for one without a group."""
        statement = (
            update(RunRow)
            .where(RunRow.id == run_id, RunRow.status == "waiting", RunRow.group_key.is_not(None))
            .values(status="queued", admitted_at=None)
            .returning(RunRow.id)
        )
        return (await self._db.execute(statement)).first() is not None

    async def _lock(self, flow_id: UUID) -> None:
        await self._db.execute(select(FlowRow.id).where(FlowRow.id == flow_id).with_for_update())

    async def _going_on(self, key: str, *, now: datetime) -> Sequence[RunRow]:
        """Runs that hold a place, the first entered first."""
        is_alive = or_(RunRow.lease_until.is_(None), RunRow.lease_until > now - DEAD_AFTER)
        held = and_(RunRow.admitted_at.is_not(None), RunRow.status.not_in((*FINAL_RUN, "waiting")), is_alive)
        return (await self._db.scalars(select(RunRow).where(RunRow.group_key == key, held).order_by(RunRow.id))).all()

    async def _stop_oldest(self, group: Group, *, now: datetime) -> tuple[RunRow, ...]:
        """Ask as many runs to stop, the oldest first, as there are too many with the new one."""
        waiting = await self._db.scalars(
            select(RunRow).where(RunRow.group_key == group.key, _waits()).order_by(RunRow.id)
        )
        all_rows = [*await self._going_on(group.key, now=now), *waiting.all()]
        staying = [row for row in all_rows if not row.is_cancel_requested]
        victims = tuple(staying[: max(0, len(staying) - group.limit + 1)])
        if victims:
            ids = [row.id for row in victims]
            await self._db.execute(update(RunRow).where(RunRow.id.in_(ids)).values(is_cancel_requested=True))
        return victims

    async def _count(self, *conditions: ColumnElement[bool]) -> int:
        return await self._db.scalar(select(func.count()).select_from(RunRow).where(*conditions)) or 0


def _waits() -> ColumnElement[bool]:
    """Entered, not admitted, not taken by anybody."""
    return and_(
        RunRow.group_key.is_not(None),
        RunRow.admitted_at.is_(None),
        RunRow.status == "queued",
        RunRow.is_cancel_requested.is_(False),
    )
