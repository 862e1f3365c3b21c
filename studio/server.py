"""The studio as an ASGI app and as a command: `python -m studio --api-url URL --host H --port P`."""

import argparse
import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import streamlit as st
import uvicorn
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware

from studio.component_assets import asset_routes
from studio.security_headers import SecurityHeaders
from studio.session_routes import SessionRoutes

ENTRY = Path(__file__).with_name("app.py")
GRACE_S = 3


def create_app(api_url: str, *, secure_cookies: bool = False) -> st.App:
    """The studio speaking to the platform at `api_url`. One a process: Streamlit keeps global state."""
    return st.App(
        ENTRY,
        secrets={"api_url": api_url, "secure_cookies": secure_cookies},
        routes=[*SessionRoutes(api_url, secure=secure_cookies).routes(), *asset_routes()],
        middleware=[Middleware(SecurityHeaders), Middleware(GZipMiddleware, minimum_size=1024, compresslevel=6)],
        lifespan=_warmed,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until told to stop. SIGTERM and Ctrl-C end it cleanly."""
    parser = argparse.ArgumentParser(prog="studio", description="The studio of a Model Bridge platform.")
    parser.add_argument("--api-url", default="http://127.0.0.1:8000", help="where the platform's API answers")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8501)
    parser.add_argument("--secure-cookies", action="store_true", help="the studio is reached over https")
    options = parser.parse_args(arguments)
    app = create_app(options.api_url.rstrip("/"), secure_cookies=options.secure_cookies)
    uvicorn.run(
        app,
        host=options.host,
        port=options.port,
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=GRACE_S,
    )
    return 0


@asynccontextmanager
async def _warmed(_: st.App) -> AsyncGenerator[None]:
    """Load what the first page would otherwise wait seconds for, beside the start."""
    task = asyncio.create_task(asyncio.to_thread(_load_slow_libraries))
    yield
    await task


def _load_slow_libraries() -> None:
    import plotly.graph_objects as go

    go.Figure(go.Bar(x=[1], y=[1]))
