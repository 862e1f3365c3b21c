"""`modelbridge up`: API, studio, private Prefect API and warm worker on one machine, in that order of readiness."""

import asyncio
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from bridge.clock import SystemClock
from flows.prefect_server import PrefectServer, PrefectServerError
from platform_api.database.session import Database
from platform_api.local_owner import LocalOwner, local_owner
from platform_api.migrations.runner import upgrade_database
from platform_api.security.credentials import Passwords
from platform_api.settings import Settings
from platform_api.supervisor import ChildSpec, Supervisor, is_port_free

API_READY_LIMIT_S = 60.0
POLL_S = 0.05


class StartError(Exception):
    """The platform cannot start; the text says why and what to change. `is_unreachable`: a service is down."""

    def __init__(self, message: str, *, is_unreachable: bool = False) -> None:
        super().__init__(message)
        self.is_unreachable = is_unreachable


@dataclass(slots=True)
class LocalPlatform:
    """All processes of one machine. `tell` is called with one line about each thing that became ready."""

    settings: Settings
    environment: Mapping[str, str]
    with_studio: bool = True
    tell: Callable[[str], None] = lambda _line: None
    _supervisor: Supervisor = field(default_factory=Supervisor)
    _prefect: PrefectServer | None = None
    _durable: asyncio.Task[None] | None = None

    @property
    def api_url(self) -> str:
        """Where the API answers."""
        return f"http://{_reachable(self.settings.host)}:{self.settings.port}"

    @property
    def studio_url(self) -> str:
        """Where the studio answers."""
        return f"http://{_reachable(self.settings.host)}:{self.settings.studio_port}"

    @property
    def logs(self) -> Path:
        """The folder with one log a process."""
        return self.settings.home / "logs"

    async def start(self) -> LocalOwner:
        """Start everything; returns when the API answers. The durable lane follows in the background.

        Raises:
            StartError: A port is taken, the database cannot be used, or the API does not come up.
        """
        self._check_ports()
        owner = await self._prepare()
        await self._start_api()
        if self.with_studio:
            await self._start_studio()
        if self._prefect is not None:
            await self._prefect.start()
            self._durable = asyncio.create_task(self._start_worker(self._prefect), name="durable lane")
        await self._wait_for_api()
        return owner

    async def durable_lane(self) -> str | None:
        """Wait until the durable lane is ready; None when it is, else why not."""
        if self._durable is None:
            return "this platform uses the Prefect of PREFECT_API_URL; its worker runs elsewhere"
        try:
            await self._durable
        except PrefectServerError as error:
            return str(error)
        return None

    async def fallen(self) -> str:
        """Wait until a part of the platform cannot be kept up; tells which."""
        await self._supervisor.fallen.wait()
        return self._supervisor.why

    async def stop(self) -> None:
        """End everything in order: worker, studio, API, Prefect, its database."""
        if self._durable is not None:
            self._durable.cancel()
            await asyncio.gather(self._durable, return_exceptions=True)
        await self._supervisor.stop()
        if self._prefect is not None:
            await self._prefect.stop()

    def _check_ports(self) -> None:
        wanted = {"--port": self.settings.port}
        if self.with_studio:
            wanted["--studio-port"] = self.settings.studio_port
        for option, port in wanted.items():
            if not is_port_free(self.settings.host, port):
                raise StartError(f"port {port} on {self.settings.host} is taken; choose another with {option}")

    async def _prepare(self) -> LocalOwner:
        """Migrations and the local owner, before any process opens the database."""
        database = Database(self.settings.database_url)
        try:
            await upgrade_database(database)
            return await local_owner(self.settings.home, database, Passwords(), now=SystemClock().now())
        except OSError as error:
            raise StartError(f"the database cannot be reached: {error}", is_unreachable=True) from error
        finally:
            await database.aclose()

    async def _start_api(self) -> None:
        is_durable = self.settings.sections.engine.durable != "off"
        if self.settings.prefect_api_url is None and is_durable:
            self._prefect = PrefectServer(
                self.settings.home / "prefect", database_url=self.settings.sections.engine.database_url
            )
        host, port = self.settings.host, str(self.settings.port)
        await self._supervisor.start(self._child("api", "serve", "--host", host, "--port", port))

    async def _start_studio(self) -> None:
        host, port = self.settings.host, str(self.settings.studio_port)
        command = ("studio", "--host", host, "--port", port, "--api", self.api_url)
        await self._supervisor.start(self._child("studio", *command))

    async def _start_worker(self, prefect: PrefectServer) -> None:
        await prefect.wait_until_ready()
        await self._supervisor.start(self._child("worker", "worker"))

    async def _wait_for_api(self) -> None:
        async with httpx.AsyncClient(base_url=self.api_url, timeout=5) as client:
            try:
                async with asyncio.timeout(API_READY_LIMIT_S):
                    while not await _answers(client, "/readyz"):
                        if self._supervisor.fallen.is_set():
                            raise StartError(self._supervisor.why)
                        await asyncio.sleep(POLL_S)
            except TimeoutError as error:
                raise StartError(f"the API did not come up; its log is {self.logs / 'api.log'}") from error

    def _child(self, name: str, *command: str) -> ChildSpec:
        environment = {**self.environment, "MODELBRIDGE_HOME": str(self.settings.home)}
        if self._prefect is not None:
            environment["PREFECT_API_URL"] = self._prefect.api_url
        program = (sys.executable, "-m", "platform_api.cli.main", *command)
        return ChildSpec(name, program, environment, self.logs / f"{name}.log")


async def _answers(client: httpx.AsyncClient, path: str) -> bool:
    try:
        return (await client.get(path)).is_success
    except httpx.TransportError:
        return False


def _reachable(host: str) -> str:
    """An address to call when listening on `host`."""
    return "127.0.0.1" if host in ("0.0.0.0", "::", "localhost") else host  # noqa: S104  # compared, not bound
