"""The API as a process: migrations, then uvicorn until SIGTERM or SIGINT, then an orderly end."""

import asyncio
import ctypes
import gc
import logging
import signal
from collections.abc import Generator
from contextlib import contextmanager, suppress

import uvicorn
import uvloop

from platform_api.database.session import Database
from platform_api.migrations.runner import upgrade_database
from platform_api.settings import Settings
from platform_api.structured_logging import close_access_log, configure_logging
from platform_api.wiring import build_application

log = logging.getLogger(__name__)

GRACE_S = 5
"""How long open requests and streams may go on after a signal; runs get their own grace after that."""


GC_THRESHOLDS = (10_000, 20, 50)
"""Objects made before a collection of the young, and collections before one of the older generations."""


class SignalledServer(uvicorn.Server):
    """A server whose signals are handled by whoever runs it: the stock one raises them again after a clean end."""

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        """Leave the handlers alone."""
        yield


def serve_api(settings: Settings) -> int:
    """Serve until a signal comes. 0 when it ended in order, 1 when it could not listen."""
    configure_logging(settings.log_level)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_serve(settings))


async def _serve(settings: Settings) -> int:
    database = Database(settings.database_url)
    try:
        await upgrade_database(database)
        config = uvicorn.Config(
            build_application(settings, database),
            host=settings.host,
            port=settings.port,
            access_log=False,
            log_config=None,
            server_header=False,
            proxy_headers=False,  # whoever connects is the client: a forged X-Forwarded-For must not dodge throttles
            timeout_graceful_shutdown=GRACE_S,
            lifespan="on",
        )
        server = SignalledServer(config)
        _settle_memory()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, _stop, server)
        await server.serve()
    finally:
        await database.aclose()
        close_access_log()
    return 0 if server.started else 1


def _settle_memory() -> None:
    """What was loaded at start stays: the collector need not walk it again and again under load."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    with suppress(OSError, AttributeError):  # another C library than glibc
        ctypes.CDLL(None).malloc_trim(0)


def _stop(server: uvicorn.Server) -> None:
    """The first signal ends in order, a second one at once."""
    if server.should_exit:
        server.force_exit = True
    server.should_exit = True
