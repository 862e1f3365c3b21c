"""What nodes may use beyond the engine, made from the settings."""

from pathlib import Path

from nodes.outside import Outside, PythonRules, Secrets
from platform_api.settings import Settings


def outside_of(settings: Settings, secrets: Secrets) -> Outside:
    """The operator's sections as nodes take them. Relative folders are those beside the configuration file."""
    return Outside(python=_python(settings), secrets=secrets)


def _python(settings: Settings) -> PythonRules:
    section = settings.sections.python
    base = settings.config_file.parent if settings.config_file is not None else Path.cwd()
    return PythonRules(
        allow_source=section.allow_source,
        functions=frozenset(section.functions),
        folders=tuple(str((base / folder).resolve()) for folder in section.folders),
        max_memory_mb=section.max_memory_mb,
        max_timeout_s=section.max_timeout_s,
    )
