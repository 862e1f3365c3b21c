"""What stands between the load and the upstream: ours as `modelbridge serve` starts it, LiteLLM's proxy and Portkey.

Peers are installed beside the project, under `.make/peers`, when they are missing: LiteLLM from PyPI into an
environment of its own, Portkey from npm.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[1]
PEERS = ROOT / ".make" / "peers"
LITELLM = "litellm[proxy]==1.106.0"
PORTKEY = "@portkey-ai/gateway@1.15.2"
START_LIMIT_S = 60.0
PRICED = {"input_usd_per_mtok": 1.0, "output_usd_per_mtok": 2.0, "max_output_tokens": 4096, "context_window": 32768}


class PeerError(RuntimeError):
    """A peer cannot be installed or does not start."""


@dataclass(slots=True)
class Gateway:
    """One that runs, and how it is asked."""

    name: str
    port: int
    process: psutil.Process | None
    model: str
    headers: dict[str, str] = field(default_factory=dict[str, str])
    path: str = "/v1/chat/completions"
    start_s: float = 0.0

    def cpu_s(self) -> float:
        """CPU of its whole process tree so far."""
        return sum(sum(one.cpu_times()[:2]) for one in self._tree())

    def rss_mb(self) -> float:
        """Memory of its process tree."""
        return sum(one.memory_info().rss for one in self._tree()) / 1e6

    def _tree(self) -> list[psutil.Process]:
        return [] if self.process is None else [self.process, *self.process.children(recursive=True)]


@contextmanager
def running(command: list[str], port: int, log: Path, ready: str, **environment: str) -> Generator[psutil.Process]:
    """A process that answers at `ready`; ended with its children."""
    environ = {**os.environ, **environment}
    with log.open("ab") as out:
        started = subprocess.Popen(command, stdout=out, stderr=out, env=environ, cwd=ROOT)
    process = psutil.Process(started.pid)
    try:
        _wait_for(f"http://127.0.0.1:{port}{ready}", started, log)
        yield process
    finally:
        tree = [*process.children(recursive=True), process] if process.is_running() else []
        for one in tree:
            one.terminate()
        _, alive = psutil.wait_procs(tree, timeout=8)
        for one in alive:
            one.kill()
        started.wait()


def _wait_for(url: str, started: "subprocess.Popen[bytes]", log: Path) -> None:
    give_up_s = time.monotonic() + START_LIMIT_S
    while time.monotonic() < give_up_s:
        if started.poll() is not None:
            break
        try:
            httpx.get(url, timeout=2)
        except httpx.TransportError:
            time.sleep(0.02)
        else:
            return
    raise PeerError(f"{url} does not answer:\n{log.read_text(errors='replace')[-2000:]}")


@contextmanager
def ours(folder: Path, port: int, upstream: int, **environment: str) -> Generator[Gateway]:
    """`modelbridge serve` over SQLite, with an owner's key and a budget of the organisation."""
    home = folder / f"ours-{port}"
    home.mkdir()
    config = {
        "providers": {
            "fast": {"dialect": "openai", "base_url": f"http://127.0.0.1:{upstream}/v1", "api_key": "k"},
            "cross": {"dialect": "anthropic", "base_url": f"http://127.0.0.1:{upstream}", "api_key": "k"},
        },
        "models": {"fast/m": PRICED, "cross/m": PRICED},
        "aliases": {
            "measured": {"policy": "priority", "candidates": ["fast/m"], "cache": "exact", "cache_ttl_s": 0.001}
        },
    }
    with (home / "modelbridge.yaml").open("w") as file:
        YAML().dump(config, file)
    environ = {"MODELBRIDGE_HOME": str(home), "MODELBRIDGE_CONFIG": str(home / "modelbridge.yaml"), **environment}
    command = [sys.executable, "-m", "platform_api.cli.main", "serve", "--port", str(port)]
    began = time.monotonic()
    with running(command, port, home / "log", "/healthz", **environ) as process:
        start_s = time.monotonic() - began
        key = _owners_key(f"http://127.0.0.1:{port}")
        yield Gateway("ours", port, process, "measured", {"authorization": f"Bearer {key}"}, start_s=start_s)


def _owners_key(address: str) -> str:
    with httpx.Client(base_url=address, timeout=20) as client:
        person = {"email": "bench@example.com", "password": "correct horse battery", "name": "B", "organization": "B"}
        registered = client.post("/api/auth/register", json=person)
        registered.raise_for_status()
        client.headers["authorization"] = f"Bearer {registered.json()['access_token']}"
        budget = {"scope": "organization", "limit_usd": 10_000, "period": "total"}
        client.post("/api/budgets", json=budget).raise_for_status()
        made = client.post("/api/auth/api-keys", json={"name": "bench"})
        made.raise_for_status()
        return str(made.json()["key"])


@contextmanager
def litellm(folder: Path, port: int, upstream: int) -> Generator[Gateway]:
    """LiteLLM's proxy with a master key and no database, one worker."""
    python = PEERS / "litellm" / "bin" / "python"
    if not python.exists():
        uv = str(Path(sys.executable).with_name("uv"))
        _install([uv, "venv", "-q", "--python", sys.executable, str(PEERS / "litellm")])
        _install([uv, "pip", "install", "-q", "--python", str(python), LITELLM])
    base = f"http://127.0.0.1:{upstream}/v1"
    params = {"model": "openai/m", "api_base": base, "api_key": "k"}
    config: dict[str, Any] = {
        "model_list": [{"model_name": "measured", "litellm_params": params}],
        "general_settings": {"master_key": "sk-bench"},
        "litellm_settings": {"telemetry": False},
    }
    with (folder / "litellm.yaml").open("w") as file:
        YAML().dump(config, file)
    command = [str(python.with_name("litellm")), "--config", str(folder / "litellm.yaml"), "--port", str(port)]
    command += ["--host", "127.0.0.1", "--num_workers", "1"]
    began = time.monotonic()
    quiet = {"LITELLM_LOG": "ERROR", "LITELLM_MODE": "PRODUCTION", "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    with running(command, port, folder / "litellm.log", "/health/liveliness", **quiet) as process:
        start_s = time.monotonic() - began
        yield Gateway("LiteLLM", port, process, "measured", {"authorization": "Bearer sk-bench"}, start_s=start_s)


@contextmanager
def portkey(folder: Path, port: int, upstream: int) -> Generator[Gateway]:
    """Portkey's gateway: no keys, limits or usage of its own."""
    place = PEERS / "portkey"
    program = place / "node_modules" / "@portkey-ai" / "gateway" / "build" / "start-server.js"
    if not program.exists():
        place.mkdir(parents=True, exist_ok=True)
        _install(["npm", "install", "--prefix", str(place), "--no-audit", "--no-fund", PORTKEY])
    headers = {
        "authorization": "Bearer k",
        "x-portkey-provider": "openai",
        "x-portkey-custom-host": f"http://127.0.0.1:{upstream}/v1",
    }
    began = time.monotonic()
    command = ["node", str(program), f"--port={port}", "--headless"]
    trusted = {"TRUSTED_CUSTOM_HOSTS": "127.0.0.1"}
    with running(command, port, folder / "portkey.log", "/", **trusted) as process:
        yield Gateway("Portkey", port, process, "m", headers, start_s=time.monotonic() - began)


def _install(command: list[str]) -> None:
    print(f"installing: {' '.join(command[-2:])}", file=sys.stderr)
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise PeerError(f"{command[0]}: {error}") from error
    if done.returncode != 0:
        raise PeerError(f"{' '.join(command)}: {done.stderr[-1000:]}")


def loaded(gateway: Gateway, n: int, concurrency: int, body: dict[str, Any]) -> dict[str, Any]:
    """What a load generator of its own process saw, and the gateway's CPU of each request in microseconds."""
    task = {
        "port": gateway.port,
        "path": gateway.path,
        "headers": gateway.headers,
        "body": {"model": gateway.model, **body},
        "n": n,
        "concurrency": concurrency,
    }
    before_s = gateway.cpu_s()
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.gateway_load", json.dumps(task)],
        capture_output=True, text=True, check=True, timeout=120, cwd=ROOT,
    )  # fmt: skip
    seen: dict[str, Any] = json.loads(done.stdout)
    if seen["bad"]:
        raise PeerError(f"{gateway.name}: {seen['bad']} of {n} requests failed: {seen['first_bad']}")
    seen["cpu_us"] = (gateway.cpu_s() - before_s) / n * 1e6
    seen["rps"] = n / seen["wall_s"]
    return seen


@contextmanager
def upstream_at(port: int, n_events: int, folder: Path) -> Generator[None]:
    """The upstream in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.gateway_upstream", str(port), str(n_events)]
    with running(command, port, folder / "upstream.log", "/"):
        yield


@contextmanager
def all_of(folder: Path, upstream: int, ports: list[int], *, with_peers: bool) -> Generator[list[Gateway]]:
    """The upstream itself, ours, and the peers."""
    with ExitStack() as stack:
        found = [Gateway("direct", upstream, None, "m", {"authorization": "Bearer k"})]
        found.append(stack.enter_context(ours(folder, ports[0], upstream)))
        if with_peers:
            found.append(stack.enter_context(portkey(folder, ports[1], upstream)))
            found.append(stack.enter_context(litellm(folder, ports[2], upstream)))
        yield found
