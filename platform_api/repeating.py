"""Work that is done again and again beside the requests of a process."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

log = logging.getLogger(__name__)


@asynccontextmanager
async def repeating(work: Callable[[], Awaitable[object]], *, every_s: float, name: str) -> AsyncGenerator[None]:
    """Do `work` at once and `every_s` seconds after each end, until the block ends. A failure is logged as
    `NAME_failed`, and the next turn tries again: a database that is away must not end it.
    """

    async def for_ever() -> None:
        while True:
            try:
                await work()
            except Exception:
                log.warning("%s_failed", name, exc_info=True)
            await asyncio.sleep(every_s)

    task = asyncio.create_task(for_ever(), name=name)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
