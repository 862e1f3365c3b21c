"""The durable lane as an API process sees it: connected in the background, never waited for at start.

Prefect is imported only here, in a thread, and only where it is configured: the inline lane is ready long before.
"""

import asyncio
import importlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from platform_api.flow_api.schedules import ActiveSchedule

if TYPE_CHECKING:
    from flows.prefect_deployments import PrefectDeployments

log = logging.getLogger(__name__)

RETRY_S = 1.0
LaneState = Literal["starting", "ready", "off"]


class LaneNotReadyError(Exception):
    """Prefect does not answer yet."""


class PrefectLane:
    """Triggers runs and keeps schedules in one Prefect API."""

    def __init__(self, api_url: str, home: Path, *, tell: Callable[[LaneState], None]) -> None:
        """`tell` hears how the lane stands."""
        self._api_url = api_url
        self._home = home
        self._tell = tell
        self._deployments: PrefectDeployments | None = None

    @property
    def is_ready(self) -> bool:
        """Is Prefect connected?"""
        return self._deployments is not None

    async def connect(self, then: Callable[[], Awaitable[None]]) -> None:
        """Connect, however long it takes, make what must be there, and do `then`."""
        self._tell("starting")
        module = await asyncio.to_thread(_import_prefect, self._api_url, self._home)
        has_complained = False
        while self._deployments is None:
            deployments: PrefectDeployments = module.PrefectDeployments(self._api_url)
            try:
                await deployments.__aenter__()
                await deployments.ensure_deployment()
                await deployments.ensure_zombie_automation()
            except Exception as error:  # noqa: BLE001  # refused, starting, migrating: it is asked again
                await deployments.__aexit__(None, None, None)
                if not has_complained:
                    log.info("durable_lane_waits", extra={"error": type(error).__name__})
                    has_complained = True
                await asyncio.sleep(RETRY_S)
            else:
                self._deployments = deployments
        log.info("durable_lane_ready")
        self._tell("ready")
        await then()

    async def trigger(self, run_id: str, org_id: str, *, attempt_key: str) -> str:
        """Ask a worker to walk the run; the same `attempt_key` asks once."""
        return await self._connected().trigger(run_id, org_id, attempt_key=attempt_key)

    async def cancel(self, prefect_run_id: str) -> bool:
        """Ask Prefect to cancel its run."""
        return await self._connected().cancel(prefect_run_id)

    async def keep(self, schedules: Sequence[ActiveSchedule]) -> None:
        """Make Prefect fire exactly these."""
        from flows.prefect_deployments import FlowSchedule

        deployments = self._connected()
        await deployments.apply_schedules(
            [
                FlowSchedule(
                    id=schedule.id,
                    org_id=schedule.org_id,
                    flow=schedule.flow,
                    cron=schedule.cron,
                    timezone=schedule.timezone,
                    version=schedule.version,
                    is_paused=schedule.is_paused,
                )
                for schedule in schedules
            ]
        )

    async def aclose(self) -> None:
        """Close the connection."""
        if self._deployments is not None:
            deployments, self._deployments = self._deployments, None
            await deployments.__aexit__(None, None, None)
        self._tell("off")

    def _connected(self) -> "PrefectDeployments":
        if self._deployments is None:
            raise LaneNotReadyError("Prefect does not answer yet")
        return self._deployments


def _import_prefect(api_url: str, home: Path) -> Any:  # a module
    from flows.prefect_server import prepare_process

    prepare_process(api_url, home)
    return importlib.import_module("flows.prefect_deployments")
