"""The wheel's dependencies are the names in requirements/runtime.in: one list, read at build time."""

from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface


class CustomMetadataHook(MetadataHookInterface):
    """Fills `project.dependencies`."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Read requirements/runtime.in beside pyproject.toml, comments left out."""
        text = (Path(self.root) / "requirements" / "runtime.in").read_text(encoding="utf-8")
        metadata["dependencies"] = [line for line in text.splitlines() if line and not line.startswith("#")]
