"""A package of npm without an installation: fetched, checked and unpacked. Only for packages without dependencies."""

import hashlib
import shutil
import subprocess
import tarfile
from pathlib import Path


class NpmPackageError(RuntimeError):
    """The package cannot be had."""


def unpacked(package: str, sha256: str, folder: Path) -> Path:
    """The files of `name@version` under `folder`. Runs none of its scripts.

    Raises:
        NpmPackageError: There is no npm, it cannot fetch the package, or the package is not the one expected.
    """
    npm = shutil.which("npm")
    if npm is None:
        raise NpmPackageError("npm is not on PATH: install Node.js 20 or newer")
    command = [npm, "pack", "--silent", "--ignore-scripts", "--pack-destination", str(folder), package]
    fetched = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    archives = sorted(folder.glob("*.tgz"))
    if fetched.returncode != 0 or not archives:
        raise NpmPackageError(f"npm pack {package} failed: {fetched.stderr.strip() or fetched.returncode}")
    digest = hashlib.sha256(archives[0].read_bytes()).hexdigest()
    if digest != sha256:
        raise NpmPackageError(f"{package} has digest {digest}, expected {sha256}")
    with tarfile.open(archives[0]) as archive:
        archive.extractall(folder, filter="data")
    return folder / "package"
