"""The whole API behind a real server, with a mock provider in every dialect."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI
from ruamel.yaml import YAML

from platform_api.database.session import Database
from platform_api.settings import Settings
from platform_api.wiring import build_application
from tests.support.api import SECRET
from tests.support.platform import PRICED, new_owner
from tests.support.served import served

DIALECTS = ("openai", "anthropic", "gemini", "cohere", "ollama")
"""`p_<dialect>/echo` answers; `/cut` breaks off, `/broken` says 500, `/long` finds the context too long."""
CAPABILITIES = ["chat", "stream", "tools", "json_schema", "vision", "documents", "reasoning"]
OPTIONS: dict[str, Any] = {
    "faults": [
        {"kind": "cut", "after_chunks": 2, "match": {"model": "cut"}, "times": None},
        {"kind": "status", "status": 500, "match": {"model": "broken"}, "times": None},
        {"kind": "context_length", "match": {"model": "long"}, "times": None},
    ]
}


@dataclass(frozen=True, slots=True)
class Gateway:
    """A running gateway and an owner's key."""

    app: FastAPI
    address: str
    key: str


@asynccontextmanager
async def running_gateway(
    url: str, home: Path, *, has_local_model: bool = True, more: Mapping[str, Mapping[str, Any]] | None = None
) -> AsyncGenerator[Gateway]:
    """Over the migrated database at `url`. `more`: sections of the configuration to add to."""
    home.mkdir(parents=True, exist_ok=True)
    with (home / "modelbridge.yaml").open("w") as file:
        config = _config(has_local_model=has_local_model)
        YAML().dump(config | {name: config[name] | dict(section) for name, section in (more or {}).items()}, file)
    environ = {"MODELBRIDGE_HOME": str(home), "DATABASE_URL": url, "JWT_SECRET_KEY": SECRET}
    database = Database(url, pool_size=5)
    app = build_application(Settings.from_environment(environ, folder=home), database, drain_grace_s=0.2)
    try:
        async with app.router.lifespan_context(app):
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url="http://api.test") as client:
                _, key = await new_owner(client, "ann@example.com", "Acme")
            async with served(app) as address:
                yield Gateway(app, address, key)
    finally:
        await database.aclose()


def _config(*, has_local_model: bool) -> dict[str, Any]:
    names = [f"p_{dialect}/{name}" for dialect in DIALECTS for name in ("echo", "cut", "broken", "long")]
    return {
        "providers": {
            **{f"p_{one}": {"base_url": f"mock://{one}", "dialect": one, "options": OPTIONS} for one in DIALECTS},
            **({"local": {}} if has_local_model else {}),
        },
        "aliases": {} if has_local_model else {"balanced": {"policy": "priority", "candidates": ["p_openai/echo"]}},
        "models": {name: {**PRICED, "capabilities": CAPABILITIES} for name in names},
        "retry": {"max_per_target": 1},
    }
