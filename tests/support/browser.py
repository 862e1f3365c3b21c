"""The studio as a child process, and a browser that notices everything that should not happen on its pages."""

import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, expect, sync_playwright

from tests.support.chromium import LAUNCH_ARGUMENTS, chromium_environment, chromium_executable
from tests.support.peers import CACHE

ROOT = Path(__file__).resolve().parents[2]
START_TIMEOUT_S = 60.0
SETTLED = "[data-testid=stApp][data-test-script-state=notRunning]"
EXPECTED_NOISE = ("/_stcore/health", "/_stcore/host-config")
"""Streamlit looks for itself below a deep link's path before it looks at the root; those two answer 404."""


@contextmanager
def running_studio(api_url: str) -> Generator[str]:
    """`python -m studio` in front of `api_url`, on a free port; its address. Ended by SIGTERM, which must be clean."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "studio", "--api-url", api_url, "--port", str(port)]
    child = subprocess.Popen(command, cwd=ROOT)
    url = f"http://127.0.0.1:{port}"
    try:
        _wait_until_up(f"{url}/healthz", child)
        yield url
    finally:
        child.terminate()
        child.wait(timeout=15)


@contextmanager
def running_browser() -> Generator[Browser]:
    """Chromium without a window."""
    executable = chromium_executable(CACHE)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=str(executable), args=list(LAUNCH_ARGUMENTS), env=dict(chromium_environment(executable))
        )
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Watch:
    """What went wrong on the pages of a context, and how much came over the socket."""

    host: str
    faults: list[str] = field(default_factory=list[str])
    frames: list[tuple[float, int]] = field(default_factory=list[tuple[float, int]])
    """Moment and size in bytes of every frame the studio sent."""

    def follow(self, page: Page) -> None:
        """Listen to `page`."""
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.faults.append(f"page error: {error}"))
        page.on("request", self._request)
        page.on("websocket", lambda socket: socket.on("framereceived", self._frame))

    def _console(self, message: ConsoleMessage) -> None:
        where = str(message.location.get("url", ""))
        if message.type == "error" and not where.endswith(EXPECTED_NOISE):
            self.faults.append(f"console: {message.text} ({where})")

    def _request(self, request: Request) -> None:
        if not request.url.startswith((self.host, "data:", "blob:")):
            self.faults.append(f"off-host request: {request.url}")

    def _frame(self, payload: bytes | str) -> None:
        self.frames.append((time.monotonic(), len(payload)))


def open_page(context: BrowserContext, watch: Watch) -> Page:
    """A new page that is watched."""
    page = context.new_page()
    page.set_default_timeout(20_000)
    watch.follow(page)
    return page


def settle(page: Page) -> None:
    """Wait until the script behind the page has ended."""
    page.wait_for_timeout(150)
    expect(page.locator(SETTLED)).to_be_visible(timeout=30_000)


def _wait_until_up(url: str, child: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        if child.poll() is not None:
            raise RuntimeError(f"the studio ended with code {child.returncode} before it answered")
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.1)
    raise TimeoutError(f"{url} did not answer within {START_TIMEOUT_S:.0f} s")
