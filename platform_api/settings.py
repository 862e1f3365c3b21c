"""Everything the platform can be told: the environment and modelbridge.yaml, read once, frozen.

This is the only reader of the environment. The bridge's sections are kept raw, for `bridge.config.BridgeConfig.parse`;
`${env:NAME}` in them is replaced where NAME is set and left standing where it is not (the bridge then says which
variable is missing).
"""

import ipaddress
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, SecretStr, StringConstraints, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, StringMark, YAMLError

from bridge.catalog.known_providers import MOCK, default_providers
from bridge.config import BridgeConfig
from bridge.config_problems import nearest, problems_of
from platform_api.database.addresses import sqlite_url
from platform_api.outside_sections import ArtifactsSection, ChannelEntry, DatabaseEntry, EntryName, McpEntry
from platform_api.rates import LimitsSection

Registration = Literal["open", "invite", "closed"]
SECRET_NAME = r"[A-Z][A-Z0-9_]{0,62}"  # noqa: S105  # what names look like
SecretName = Annotated[str, StringConstraints(pattern=f"^{SECRET_NAME}$")]
_SECRET_PREFIX = "MODELBRIDGE_SECRET_"  # noqa: S105  # the beginning of a name
ENV_REFERENCE = re.compile(r"\$\{env:([A-Za-z_][A-Za-z0-9_]*)\}")


class SettingsError(ValueError):
    """The environment or the configuration file cannot be used; the text says what to change."""


class Section(BaseModel):
    """Base of configuration objects: immutable, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class HttpSection(Section):
    """What addresses entered through the API may reach beyond the public internet."""

    allow_hosts: tuple[str, ...] = Field(default=(), description="Names or addresses, optionally with `:port`.")


class BillingSection(Section):
    """Whether plans bind."""

    enabled: bool | None = Field(default=None, description="None: when STRIPE_SECRET_KEY is set.")


class StudioSection(Section):
    """Where the studio is reached."""

    port: int | None = Field(default=None, ge=1, le=65535)
    public_url: str | None = Field(default=None, pattern=r"^https?://[^\s]+$")


class EngineSection(Section):
    """How runs are executed."""

    durable: Literal["auto", "off"] = Field(default="auto", description="off: no Prefect; all runs stay in process.")
    max_parallel_runs: int = Field(default=20, ge=1, le=1000, description="Runs one process walks at a time.")
    database_url: str | None = Field(default=None, repr=False, description="Prefect's own database; never ours.")


class PythonSection(Section):
    """What the python node may run. By default nothing."""

    allow_source: bool = Field(default=False, description="Flows may bring code: only where all authors are trusted.")
    functions: tuple[str, ...] = Field(default=(), description="`module:function`, or `module` for all it has.")
    folders: tuple[str, ...] = Field(default=(), description="Where those modules lie, beside this file.")
    max_memory_mb: int = Field(default=1024, ge=64)
    max_timeout_s: float = Field(default=600.0, gt=0)


class TelemetrySection(Section):
    """Where spans are sent. Off without an endpoint, here or in the environment."""

    otlp_endpoint: str | None = Field(default=None, pattern=r"^https?://[^\s]+$", description="OTLP over HTTP.")
    headers: dict[str, SecretStr] = Field(default_factory=dict, description="Sent with every export: access tokens.")
    service_name: str = Field(default="modelbridge", min_length=1, max_length=100)
    sample_ratio: float = Field(default=1.0, ge=0, le=1, description="Share of new traces that are recorded.")


class JournalSection(Section):
    """How far a call's usage has come before the call goes on. A kill loses none of it in any mode."""

    fsync: Literal["always", "interval", "never"] = Field(
        default="interval",
        description="When it is on the disk itself: at once, within 200 ms, or when the system says.",
    )


class RecordingsSection(Section):
    """What is kept of runs so that they can be replayed."""

    enabled: bool = Field(default=True, description="off: runs can be replayed over their outcomes only.")
    keep_days: int = Field(default=30, ge=1, le=3650, description="After that, recordings are deleted; runs stay.")


class PlatformSections(Section):
    """The sections of modelbridge.yaml beside the bridge's."""

    registration: Registration | None = None
    http: HttpSection = Field(default_factory=HttpSection)
    billing: BillingSection = Field(default_factory=BillingSection)
    studio: StudioSection = Field(default_factory=StudioSection)
    engine: EngineSection = Field(default_factory=EngineSection)
    recordings: RecordingsSection = Field(default_factory=RecordingsSection)
    limits: LimitsSection = Field(default_factory=LimitsSection)
    journal: JournalSection = Field(default_factory=JournalSection)
    telemetry: TelemetrySection = Field(default_factory=TelemetrySection)
    python: PythonSection = Field(default_factory=PythonSection)
    secrets: dict[SecretName, SecretStr] = Field(default_factory=dict[str, SecretStr], repr=False)
    artifacts: ArtifactsSection = Field(default_factory=ArtifactsSection)
    databases: dict[EntryName, DatabaseEntry] = Field(default_factory=dict[str, DatabaseEntry])
    channels: dict[EntryName, ChannelEntry] = Field(default_factory=dict[str, ChannelEntry])
    mcp_servers: dict[EntryName, McpEntry] = Field(default_factory=dict[str, McpEntry])


class Settings(Section):
    """All settings. CLI flags go on top with `model_copy(update=...)`."""

    home: Path
    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)
    studio_port: int = Field(default=8501, ge=0, le=65535)
    public_url: str | None = None
    database_url: str = Field(repr=False)
    redis_url: str | None = Field(default=None, repr=False)
    prefect_api_url: str | None = None
    jwt_secret_key: SecretStr | None = None
    stripe_secret_key: SecretStr | None = None
    stripe_webhook_secret: SecretStr | None = None
    smtp_url: SecretStr | None = None
    secrets: dict[str, SecretStr] = Field(default_factory=dict[str, SecretStr], repr=False)
    """For flows that the command line runs: MODELBRIDGE_SECRET_NAME, else the section `secrets`."""
    gives_own_secrets: bool = Field(default=False, description="Set by the command line: its runs are the operator's.")
    api_url: str | None = Field(default=None, description="For the CLI: the platform to talk to.")
    api_key: SecretStr | None = Field(default=None, description="For the CLI.")
    worker_metrics_port: int | None = Field(default=None, ge=0, le=65535, description="None: a worker shows none.")
    otlp_endpoint: str | None = Field(default=None, pattern=r"^https?://[^\s]+$", repr=False)
    otlp_headers: SecretStr | None = Field(default=None, description="`name=value`, comma-separated, percent-encoded.")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    extra_allow_hosts: tuple[str, ...] = Field(default=(), description="Comma-separated, beside http.allow_hosts.")
    argon2_parallel: int = Field(default=2, ge=1, le=32, description="Password hashes computed at a time.")
    config_file: Path | None = None
    bridge: dict[str, object] = Field(repr=False)
    sections: PlatformSections = Field(default_factory=PlatformSections)

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None, *, folder: Path | None = None) -> "Settings":
        """The settings of this process; `folder` is where modelbridge.yaml is looked for (default: here).

        Raises:
            SettingsError: Every problem found, each with its name and what to change.
        """
        env = os.environ if environ is None else environ
        config_file = _config_file(env, folder or Path.cwd())
        raw = {} if config_file is None else _read_yaml(config_file)
        bridge, sections = _split(raw, env, config_file)
        values: dict[str, object] = {
            name: env[variable] for name, variable in _VARIABLES.items() if env.get(variable, "").strip()
        }
        home = Path(env.get("MODELBRIDGE_HOME", "").strip() or "~/.modelbridge").expanduser()
        values.setdefault("database_url", sqlite_url(home / "modelbridge.db"))
        values.setdefault("redis_url", _redis_url(env))
        values.setdefault("otlp_endpoint", _otlp_endpoint(env) or sections.telemetry.otlp_endpoint)
        values["secrets"] = {**sections.secrets, **_own_secrets(env)}
        if sections.studio.port is not None:
            values.setdefault("studio_port", sections.studio.port)
        values |= {"home": home, "config_file": config_file, "bridge": bridge, "sections": sections}
        if "extra_allow_hosts" in values:
            values["extra_allow_hosts"] = tuple(str(values["extra_allow_hosts"]).replace(",", " ").split())
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            problems = [f"{_VARIABLES.get(str(e['loc'][0]), e['loc'][0])}: {e['msg']}" for e in error.errors()]
            raise SettingsError("; ".join(problems)) from error

    @property
    def is_loopback(self) -> bool:
        """Is the platform reached from this machine only?"""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host.strip("[]")).is_loopback
        except ValueError:
            return False

    @property
    def registration(self) -> Registration:
        """Who may register: as configured, else open on loopback and by invitation elsewhere."""
        return self.sections.registration or ("open" if self.is_loopback else "invite")

    @property
    def is_billing_enabled(self) -> bool:
        """Do plan quotas bind?"""
        configured = self.sections.billing.enabled
        return self.stripe_secret_key is not None if configured is None else configured

    @property
    def http_allow_hosts(self) -> frozenset[str]:
        """Hosts the SSRF guard lets through."""
        return frozenset((*self.sections.http.allow_hosts, *self.extra_allow_hosts))


def inherited_environment() -> dict[str, str]:
    """The environment of this process, to hand on to a child process."""
    return dict(os.environ)


_VARIABLES = {
    "host": "MODELBRIDGE_HOST",
    "port": "MODELBRIDGE_PORT",
    "studio_port": "MODELBRIDGE_STUDIO_PORT",
    "public_url": "MODELBRIDGE_PUBLIC_URL",
    "database_url": "DATABASE_URL",
    "redis_url": "REDIS_URL",
    "prefect_api_url": "PREFECT_API_URL",
    "jwt_secret_key": "JWT_SECRET_KEY",
    "stripe_secret_key": "STRIPE_SECRET_KEY",
    "stripe_webhook_secret": "STRIPE_WEBHOOK_SECRET",
    "smtp_url": "MODELBRIDGE_SMTP_URL",
    "api_url": "MODELBRIDGE_API_URL",
    "api_key": "MODELBRIDGE_API_KEY",
    "worker_metrics_port": "MODELBRIDGE_WORKER_METRICS_PORT",
    "otlp_endpoint": "MODELBRIDGE_OTLP_ENDPOINT",
    "otlp_headers": "OTEL_EXPORTER_OTLP_HEADERS",
    "log_level": "MODELBRIDGE_LOG_LEVEL",
    "extra_allow_hosts": "MODELBRIDGE_HTTP_ALLOW_HOSTS",
    "argon2_parallel": "MODELBRIDGE_ARGON2_PARALLEL",
}


def _redis_url(env: Mapping[str, str]) -> str | None:
    host, port = env.get("REDIS_HOST", "").strip(), env.get("REDIS_PORT", "").strip()
    return f"redis://{host or '127.0.0.1'}:{port or '6379'}/0" if host or port else None


def _otlp_endpoint(env: Mapping[str, str]) -> str | None:
    """By the names that OpenTelemetry gives it; the one of traces is more exact."""
    exact, general = env.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", ""), env.get("OTEL_EXPORTER_OTLP_ENDPOINT", "")
    return exact.strip() or general.strip() or None


def _own_secrets(env: Mapping[str, str]) -> dict[str, str]:
    """What MODELBRIDGE_SECRET_NAME variables hold, by name."""
    return {
        name.removeprefix(_SECRET_PREFIX): value
        for name, value in env.items()
        if re.fullmatch(_SECRET_PREFIX + SECRET_NAME, name) and value
    }


def _config_file(env: Mapping[str, str], folder: Path) -> Path | None:
    named = env.get("MODELBRIDGE_CONFIG", "").strip()
    path = Path(named).expanduser() if named else folder / "modelbridge.yaml"
    if path.is_file():
        return path
    if named:
        raise SettingsError(f"MODELBRIDGE_CONFIG names {named}, which is no file")
    return None


def _read_yaml(path: Path) -> dict[str, object]:
    try:
        loaded: object = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except MarkedYAMLError as error:
        mark = cast("StringMark | None", error.problem_mark)
        place = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark else str(path)
        raise SettingsError(f"{place}: {error.problem or 'this is no YAML'}") from error
    except (YAMLError, UnicodeDecodeError, OSError) as error:
        raise SettingsError(f"{path}: cannot be read: {error}") from error
    if loaded is None:
        return {}
    if not isinstance(loaded, dict):
        raise SettingsError(f"{path}: the document must be a map of sections")
    return cast("dict[str, object]", loaded)


def _split(
    raw: dict[str, object], env: Mapping[str, str], path: Path | None
) -> tuple[dict[str, object], PlatformSections]:
    """The bridge's sections raw, the platform's parsed; a key of neither is refused with a suggestion."""
    bridge_keys, own_keys = BridgeConfig.sections(), frozenset(PlatformSections.model_fields)
    problems = [_unknown(key, bridge_keys | own_keys) for key in raw if key not in bridge_keys | own_keys]
    filled = cast("dict[str, object]", substituted(raw, env))
    sections = PlatformSections()
    try:
        own = {key: value for key, value in filled.items() if key in own_keys and value is not None}
        sections = PlatformSections.model_validate(own)
    except ValidationError as error:
        problems += problems_of(error, PlatformSections)
    if problems:
        raise SettingsError(f"{path}:\n" + "\n".join(f"  {problem}" for problem in problems))
    bridge = {key: value for key, value in filled.items() if key in bridge_keys and value is not None}
    bridge.setdefault("providers", substituted({**default_providers(), MOCK: {}}, env))
    return bridge, sections


def _unknown(key: str, known: frozenset[str]) -> str:
    meant = nearest(str(key), sorted(known))
    hint = f"did you mean {meant!r}?" if meant else f"known: {', '.join(sorted(known))}"
    return f"{key}: unknown key; {hint}"


def substituted(value: object, env: Mapping[str, str]) -> object:
    """The value with every `${env:NAME}` replaced whose NAME is set and not empty."""

    def replace(found: re.Match[str]) -> str:
        return env.get(found.group(1)) or found.group(0)

    if isinstance(value, str):
        return ENV_REFERENCE.sub(replace, value)
    if isinstance(value, dict):
        return {key: substituted(item, env) for key, item in cast("dict[str, object]", value).items()}
    if isinstance(value, list):
        return [substituted(item, env) for item in cast("list[object]", value)]
    return value


def mask(value: Any) -> str:  # whatever a person configured
    """How a secret is shown: its length and last two characters."""
    text = str(value)
    return f"***{text[-2:]} ({len(text)} characters)" if len(text) > 8 else "***"
