"""Deletes recordings of runs when they are old enough. The runs and the outcomes of their steps stay."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta

from sqlalchemy import delete, select

from bridge.clock import Clock
from platform_api.database.session import Database
from platform_api.database.tables.flows import RecordingRow

log = logging.getLogger(__name__)

EVERY_S = 3600.0
BATCH = 500


def purging(database: Database, clock: Clock, keep_days: int) -> AbstractAsyncContextManager[None]:
    """Deletes recordings older than `keep_days`, now and every hour, until the end of the block."""
    return RecordingRetention(database, clock, keep_days).purging()


class RecordingRetention:
    """Keeps recordings for `keep_days`."""

    def __init__(self, database: Database, clock: Clock, keep_days: int) -> None:
        self._sessions = database.system()
        self._clock = clock
        self._kept = timedelta(days=keep_days)

    async def purge(self) -> int:
        """Delete what is older; how many there were. In batches: nobody waits long for the table."""
        before = self._clock.now() - self._kept
        deleted = 0
        while True:
            async with self._sessions() as db:
                old = (
                    select(RecordingRow.run_id, RecordingRow.path)
                    .where(RecordingRow.recorded_at < before)
                    .order_by(RecordingRow.recorded_at)
                    .limit(BATCH)
                )
                found = (await db.execute(old)).all()
                for run_id, path in found:
                    await db.execute(
                        delete(RecordingRow).where(RecordingRow.run_id == run_id, RecordingRow.path == path)
                    )
            deleted += len(found)
            if len(found) < BATCH:
                return deleted

    @asynccontextmanager
    async def purging(self) -> AsyncGenerator[None]:
        """Purge now and every hour, until the end of the block."""
        task = asyncio.create_task(self._purge_for_ever(), name="purge recordings")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _purge_for_ever(self) -> None:
        while True:
            try:
                if (deleted := await self.purge()) > 0:
                    log.info("recordings_deleted", extra={"n_deleted": deleted})
            except Exception:  # a database that is away must not end the purging
                log.warning("recordings_not_purged", exc_info=True)
            await asyncio.sleep(EVERY_S)
