"""What nodes may use beyond the engine, made from the settings."""

from pathlib import Path

from sqlalchemy.exc import ArgumentError

from nodes.context import HttpRules
from nodes.outside import Outside, PythonRules, Secrets
from platform_api.settings import Settings, SettingsError
from platform_api.sql.connections import NamedDatabase, SqlConnections, named_database


def outside_of(settings: Settings, secrets: Secrets) -> Outside:
    """The operator's sections as nodes take them. Relative paths are those beside the configuration file.

    Raises:
        SettingsError: An entry cannot be used.
    """
    base = settings.config_file.parent if settings.config_file is not None else Path.cwd()
    rules = HttpRules(allow_hosts=settings.http_allow_hosts)
    return Outside(
        python=_python(settings, base), secrets=secrets, databases=SqlConnections(_databases(settings, base), rules)
    )


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
