"""An application behind a real uvicorn on a loopback port, in this process."""

import asyncio
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager

import uvicorn
from fastapi import FastAPI


class _Quiet(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


@asynccontextmanager
async def served(app: FastAPI) -> AsyncGenerator[str]:
    """The address of `app`, whose lifespan runs already."""
    server = _Quiet(
        uvicorn.Config(
            app, host="127.0.0.1", port=0, lifespan="off", log_config=None, timeout_graceful_shutdown=1, ws="none"
        )
    )
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    host, port = server.servers[0].sockets[0].getsockname()[:2]
    try:
        yield f"http://{host}:{port}"
    finally:
        server.should_exit = True
        await serving
