"""What nodes may use beyond the engine, made from the settings."""

from pathlib import Path
from typing import cast, get_args
from urllib.parse import parse_qs, unquote, urlsplit

from sqlalchemy.exc import ArgumentError

from nodes.artifacts import ArtifactStore, NoArtifactStore
from nodes.channels import Channel, EmailChannel, MailSecurity, MailServer, WebChannel
from nodes.context import HttpRules
from nodes.mcp_servers import McpServer
from nodes.outside import Outside, PythonRules, Secrets
from nodes.vector_index import NoVectorIndex, VectorIndex
from platform_api.outside_sections import EmailEntry, McpEntry, WebEntry
from platform_api.settings import Settings, SettingsError
from platform_api.sql.connections import NamedDatabase, SqlConnections, named_database


def outside_of(
    settings: Settings, secrets: Secrets, vectors: VectorIndex | None = None, artifacts: ArtifactStore | None = None
) -> Outside:
    """The operator's sections as nodes take them. Relative paths are those beside the configuration file.

    Raises:
        SettingsError: An entry cannot be used.
    """
    base = settings.config_file.parent if settings.config_file is not None else Path.cwd()
    rules = HttpRules(allow_hosts=settings.http_allow_hosts)
    return Outside(
        python=_python(settings, base),
        secrets=secrets,
        databases=SqlConnections(_databases(settings, base), rules),
        channels={name: _channel(entry) for name, entry in settings.sections.channels.items()},
        mcp_servers={name: _mcp_server(entry) for name, entry in settings.sections.mcp_servers.items()},
        mail=None if settings.smtp_url is None else mail_server(settings.smtp_url.get_secret_value()),
        vectors=vectors or NoVectorIndex(),
        artifacts=artifacts or NoArtifactStore(),
    )


def mail_server(url: str) -> MailServer:
    """`smtp://user:password@host:587?from=flows@example.com&security=starttls`, or `smtps://` for TLS from the start.

    Raises:
        SettingsError: It cannot be read; the text does not show it.
    """
    try:
        parts = urlsplit(url)
        port = parts.port or {"smtp": 587, "smtps": 465}[parts.scheme]
    except (ValueError, KeyError):
        raise SettingsError("MODELBRIDGE_SMTP_URL: take smtp://user:password@host:587 or smtps://…") from None
    query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    security = "tls" if parts.scheme == "smtps" else query.get("security", "auto")
    host = parts.hostname
    if not host or security not in get_args(MailSecurity) or query.keys() - {"from", "security"}:
        raise SettingsError("MODELBRIDGE_SMTP_URL: it names a host, and may say from= and security=starttls|auto|none")
    return MailServer(
        host=host,
        port=port,
        username=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password) if parts.password else None,
        security=cast("MailSecurity", security),
        sender=query.get("from", f"modelbridge@{host}"),
    )


def _channel(entry: EmailEntry | WebEntry) -> Channel:
    if isinstance(entry, EmailEntry):
        return EmailChannel(entry.to, entry.subject)
    headers = {name: value.get_secret_value() for name, value in entry.headers.items()}
    return WebChannel(entry.type, entry.url.get_secret_value(), headers)


def _python(settings: Settings, base: Path) -> PythonRules:
    section = settings.sections.python
    return PythonRules(
        allow_source=section.allow_source,
        functions=frozenset(section.functions),
        folders=tuple(str((base / folder).resolve()) for folder in section.folders),
        max_memory_mb=section.max_memory_mb,
        max_timeout_s=section.max_timeout_s,
    )


def _databases(settings: Settings, base: Path) -> dict[str, NamedDatabase]:
    found: dict[str, NamedDatabase] = {}
    for name, entry in settings.sections.databases.items():
        try:
            found[name] = named_database(entry.url.get_secret_value(), may_write=entry.write, base=base)
        except (ValueError, ArgumentError):
            message = f"databases.{name}.url: take postgresql://user@host/name or sqlite:///file.db"
            raise SettingsError(message) from None
    return found


def _mcp_server(entry: McpEntry) -> McpServer:
    return McpServer(
        command=entry.command,
        env={name: value.get_secret_value() for name, value in entry.env.items()},
        folder=entry.folder,
        url=entry.url,
        headers={name: value.get_secret_value() for name, value in entry.headers.items()},
    )
