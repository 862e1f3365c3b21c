"""The metrics of a process that has no API, over HTTP of their own."""

import asyncio
import logging
import socket
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from platform_api.operations.metrics import Metrics

log = logging.getLogger(__name__)


class _Server(uvicorn.Server):
    """Leaves signals to the process: it is not what the process is for."""

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


@asynccontextmanager
async def serving_metrics(metrics: Metrics, host: str, port: int) -> AsyncGenerator[int | None]:
    """Show `metrics` at `host:port` until the block ends; port 0 takes a free one. Answers the port.

    A port that cannot be had is logged, answered with None, and no reason not to work.
    """

    async def show(_request: Request) -> Response:
        body, media_type = metrics.exposition()
        return Response(body, media_type=media_type)

    try:
        listener = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        log.warning("metrics_not_served", extra={"host": host, "port": port, "error": type(error).__name__})
        yield None
        return
    app = Starlette(routes=[Route("/metrics", show)])
    server = _Server(
        uvicorn.Config(app, lifespan="off", log_config=None, access_log=False, server_header=False, ws="none")
    )
    serving = asyncio.create_task(server.serve(sockets=[listener]), name="metrics server")
    try:
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        await serving
