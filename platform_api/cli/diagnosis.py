"""What `modelbridge doctor` looks at: the effective configuration, and whether each service answers."""

import asyncio
import importlib.util
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from rich.markup import escape
from rich.table import Table

from bridge.config import BridgeConfig
from platform_api.cli.outcome import out
from platform_api.settings import Settings, mask

if TYPE_CHECKING:
    from platform_api.database.session import Database

State = Literal["ok", "off", "warning", "unreachable"]
COLOURS: dict[State, str] = {"ok": "green", "off": "dim", "warning": "yellow", "unreachable": "red"}
PROBE_LIMIT_S = 5.0
LOCAL_HOSTS = {"", "localhost", "127.0.0.1", "::1"}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at."""

    what: str
    state: State
    detail: str


@dataclass(slots=True)
class Report:
    """Everything found."""

    findings: list[Finding] = field(default_factory=list[Finding])

    @property
    def has_unreachable(self) -> bool:
        """Does a configured service not answer?"""
        return any(finding.state == "unreachable" for finding in self.findings)

    def add(self, what: str, state: State, detail: str) -> None:
        """Note one more thing."""
        self.findings.append(Finding(what, state, detail))

    def to_json(self) -> dict[str, object]:
        """The report for programs."""
        return {"findings": [asdict(finding) for finding in self.findings]}


async def diagnose(settings: Settings) -> Report:
    """Look at everything once; nothing is changed, nothing waits longer than 5 s."""
    report = Report()
    file = settings.config_file
    report.add("configuration", "ok", str(file) if file else "no modelbridge.yaml here: built-in defaults")
    report.add("home", "ok", str(settings.home))
    _look_at_secrets(settings, report)
    await _look_at_database(settings, report)
    await _look_at_redis(settings, report)
    await _look_at_prefect(settings, report)
    _look_at_providers(settings, report)
    return report


def show(report: Report) -> None:
    """The report for people."""
    table = Table(box=None, pad_edge=False, show_header=False)
    for finding in report.findings:
        colour = COLOURS[finding.state]
        table.add_row(f"[{colour}]{finding.state}[/]", escape(finding.what), escape(finding.detail))
    out.print(table)


def _look_at_secrets(settings: Settings, report: Report) -> None:
    if settings.jwt_secret_key is not None:
        report.add("JWT_SECRET_KEY", "ok", mask(settings.jwt_secret_key.get_secret_value()))
    elif settings.is_loopback:
        report.add("JWT_SECRET_KEY", "ok", f"not set: made once into {settings.home / 'secret'}")
    else:
        report.add("JWT_SECRET_KEY", "warning", f"not set, and {settings.host} is not loopback: start will be refused")
    billing = "on" if settings.is_billing_enabled else "off: organisations are on plan self-hosted, metered, unlimited"
    report.add("billing", "ok" if settings.is_billing_enabled else "off", billing)
    report.add("registration", "ok", settings.registration)


async def _look_at_database(settings: Settings, report: Report) -> None:
    from platform_api.database.session import Database
    from platform_api.migrations import runner

    address = _masked(settings.database_url)
    database = Database(settings.database_url)
    if _is_still_to_be_made(database):
        report.add("database", "ok", f"{address}: made by the first command that needs it")
        return
    try:
        async with asyncio.timeout(PROBE_LIMIT_S):
            await database.ping()
            is_current = await runner.is_at_head(database)
    except Exception as error:  # noqa: BLE001  # whatever keeps it from answering is the finding
        report.add("database", "unreachable", f"{address}: {_first_line(error)}")
        return
    finally:
        await database.aclose()
    state: State = "ok" if is_current else "warning"
    report.add("database", state, address if is_current else f"{address}: run `modelbridge db upgrade`")
    _warn_about_plain_transport(report, "database", settings.database_url, "sslmode")


def _is_still_to_be_made(database: "Database") -> bool:
    return database.is_sqlite and not Path(database.url.database or "").exists()


async def _look_at_redis(settings: Settings, report: Report) -> None:
    if settings.redis_url is None:
        said = "rate limits are exact for each process alone; cache and circuits stay in it"
        report.add("redis", "off", f"REDIS_URL is not set: {said}")
        return
    from redis.asyncio import Redis

    client = Redis.from_url(settings.redis_url, socket_connect_timeout=PROBE_LIMIT_S)
    try:
        async with asyncio.timeout(PROBE_LIMIT_S):
            await client.ping()
        report.add("redis", "ok", f"{_masked(settings.redis_url)}: processes share rate limits, cache and circuits")
    except Exception as error:  # noqa: BLE001  # whatever keeps it from answering is the finding
        report.add("redis", "unreachable", f"{_masked(settings.redis_url)}: {_first_line(error)}")
    finally:
        await client.aclose()
    _warn_about_plain_transport(report, "redis", settings.redis_url, "rediss")


async def _look_at_prefect(settings: Settings, report: Report) -> None:
    from flows.prefect_server import is_healthy
    from flows.private_postgres import is_installed

    if settings.prefect_api_url is None:
        store = "PostgreSQL" if is_installed() else "SQLite"
        report.add("prefect", "off", f"PREFECT_API_URL is not set: `up` starts a private one on {store}")
    elif await is_healthy(settings.prefect_api_url):
        report.add("prefect", "ok", _masked(settings.prefect_api_url))
    else:
        report.add("prefect", "unreachable", _masked(settings.prefect_api_url))


def _look_at_providers(settings: Settings, report: Report) -> None:
    from bridge.gateway import Bridge

    bridge = Bridge(BridgeConfig.parse(settings.bridge))
    off = bridge.unavailable()
    for name in sorted(bridge.config.providers):
        report.add(f"provider {name}", "off" if name in off else "ok", off.get(name, "configured"))
    has_model = importlib.util.find_spec("xllamacpp") is not None
    report.add("local model", "ok" if has_model else "warning", "in the box" if has_model else "run `make setup`")
    for alias in bridge.aliases():
        names = ", ".join(alias.candidates[:6]) + (" ..." if len(alias.candidates) > 6 else "")
        report.add(f"alias {alias.name}", "ok" if alias.candidates else "warning", names or "no candidate is available")


def _warn_about_plain_transport(report: Report, what: str, address: str, wanted: str) -> None:
    host = urlsplit(address).hostname or ""
    if host not in LOCAL_HOSTS and wanted not in address:
        report.add(what, "warning", f"{host} is reached without TLS; add {wanted} to its address")


def _masked(address: str) -> str:
    """The address without its password."""
    parts = urlsplit(address)
    if not parts.password:
        return address
    return address.replace(f":{parts.password}@", ":***@")


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
