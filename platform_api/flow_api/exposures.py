"""Exposures of A/B tests over SQL: one row a test and unit, the first arm wins."""

from uuid import UUID

from sqlalchemy import Select, select

from bridge.identifiers import NewId
from flows.experiments import Exposure
from platform_api.database.session import Database
from platform_api.database.tables.flows import ExposureRow
from platform_api.database.upserts import insert_missing


class SqlExposures:
    """`flows.experiments.Exposures` in the platform's database."""

    def __init__(self, database: Database, new_id: NewId) -> None:
        self._database = database
        self._new_id = new_id

    async def expose(self, exposure: Exposure) -> str:
        """The unit's arm: that of its first exposure, else the one given, which is stored as the first."""
        org_id = UUID(exposure.org_id)
        sessions = self._database.for_org(org_id)
        async with sessions.read() as db:
            known = await db.scalar(_arm(org_id, exposure))
        if known is not None:
            return known
        async with sessions() as db:
            record = {
                "id": UUID(self._new_id()),
                "org_id": org_id,
                "test": exposure.test,
                "unit_hash": exposure.unit_hash,
                "arm": exposure.arm,
                "share": exposure.share,
                "flow": exposure.flow,
                "run_id": UUID(exposure.run_id),
                "step_path": exposure.step_path,
                "at": exposure.at,
            }
            if await insert_missing(db, ExposureRow, record):
                return exposure.arm
            first = await db.scalar(_arm(org_id, exposure))
        return first or exposure.arm


def _arm(org_id: UUID, exposure: Exposure) -> Select[str]:
    return select(ExposureRow.arm).where(
        ExposureRow.org_id == org_id,
        ExposureRow.test == exposure.test,
        ExposureRow.unit_hash == exposure.unit_hash,
    )
