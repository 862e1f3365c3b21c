"""The project's own files, as the architecture tests see them."""

import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("bridge", "evaluators", "nodes", "flows", "platform_api", "studio")


def tracked(*suffixes: str) -> list[Path]:
    """Files in the repository, and new ones not ignored, that end in one of `suffixes`."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    paths = [ROOT / line for line in listed.stdout.splitlines()]
    return [path for path in paths if path.suffix in suffixes and path.exists()]


def lines_of(path: Path) -> int:
    """How many lines the file has."""
    return len(path.read_text(encoding="utf-8").splitlines())
