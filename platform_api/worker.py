"""The process that walks runs of the durable lane: a warm Prefect worker over the platform's database."""

import asyncio
import logging
import os
import socket
from contextlib import AsyncExitStack
from pathlib import Path

import httpx

from platform_api.settings import Settings
from platform_api.structured_logging import configure_logging

log = logging.getLogger(__name__)

POLL_S = 0.25
WAIT_S = 60.0
"""How long a worker waits for a Prefect API that is still starting."""


def run_process(settings: Settings, *, pool: str, wait_s: float = WAIT_S, ready_file: Path | None = None) -> int:
    """Take runs from `pool` until SIGTERM or SIGINT. 0 when it ended in order.

    Raises:
        ConnectionError: Prefect's API does not answer within `wait_s`.
    """
    from flows.prefect_server import prepare_process

    configure_logging(settings.log_level)
    assert settings.prefect_api_url is not None
    prepare_process(settings.prefect_api_url, settings.home / "prefect-client")
    asyncio.run(_work(settings, settings.prefect_api_url, pool, wait_s, ready_file))
    return 0


async def _work(settings: Settings, api_url: str, pool: str, wait_s: float, ready_file: Path | None) -> None:
    from flows.prefect_deployments import PrefectDeployments
    from flows.warm_worker import run_worker
    from platform_api.database.session import Database
    from platform_api.flow_api.run_loader import SqlRunLoader
    from platform_api.migrations.runner import upgrade_database
    from platform_api.operations.metrics import Metrics
    from platform_api.operations.metrics_server import serving_metrics
    from platform_api.operations.telemetry import Telemetry
    from platform_api.wiring import open_runtime

    try:
        async with asyncio.timeout(wait_s):
            await _wait_for(api_url)
    except TimeoutError as error:
        raise ConnectionError(f"no Prefect API answers at {api_url}") from error
    async with PrefectDeployments(api_url, pool=pool) as deployments:
        await deployments.ensure_deployment()
    database = Database(settings.database_url)
    try:
        await upgrade_database(database)
        metrics, port = Metrics(), settings.worker_metrics_port
        telemetry = Telemetry.of(settings, metrics)
        async with AsyncExitStack() as stack:
            runtime = await stack.enter_async_context(
                open_runtime(settings, database, telemetry=telemetry, with_prefect=False)
            )
            if port is not None:
                await stack.enter_async_context(serving_metrics(metrics, settings.host, port))
            loader = SqlRunLoader(runtime.engine, runtime.flows.compiler, runtime.flows.slots)
            await run_worker(
                loader,
                pool=pool,
                name=f"{socket.gethostname()}-{os.getpid()}",
                max_runs=settings.sections.engine.max_parallel_runs,
                ready_file=ready_file,
            )
    finally:
        await database.aclose()


async def _wait_for(api_url: str) -> None:
    """Return when Prefect's API answers: a worker that starts before it drops events."""
    has_complained = False
    async with httpx.AsyncClient(timeout=5) as client:
        while True:
            try:
                if (await client.get(f"{api_url}/health")).is_success:
                    return
            except httpx.TransportError as error:
                if not has_complained:
                    log.warning("prefect_does_not_answer", extra={"address": api_url, "error": type(error).__name__})
                    has_complained = True
            await asyncio.sleep(POLL_S)
