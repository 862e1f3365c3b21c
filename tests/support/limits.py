"""A gateway whose tenants have limits, over any database and with or without Redis."""

from collections.abc import AsyncGenerator
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
from tests.support.platform import PRICED

FAULTS = {"faults": [{"kind": "status", "status": 500, "match": {"model": "broken"}, "times": None}]}


@dataclass(frozen=True, slots=True)
class Process:
    """One process of the API, called through ASGI."""

    app: FastAPI
    client: httpx.AsyncClient

    async def chat(self, key: str, text: str = "hi", **more: Any) -> httpx.Response:
        """One chat completion."""
        body = {"model": "mock/echo", "messages": [{"role": "user", "content": text}], **more}
        return await self.client.post("/v1/chat/completions", json=body, headers={"authorization": f"Bearer {key}"})


@asynccontextmanager
async def api_process(
    url: str, home: Path, limits: dict[str, Any] | None = None, *, redis_url: str | None = None, **sections: Any
) -> AsyncGenerator[Process]:
    """A process over the migrated database at `url`, with the section `limits` and others."""
    home.mkdir(parents=True, exist_ok=True)
    config: dict[str, Any] = {
        "providers": {"mock": {"options": FAULTS}},
        "models": {"mock/echo": PRICED, "mock/broken": PRICED},
        "retry": {"max_per_target": 1},
        "limits": limits or {},
        **sections,
    }
    with (home / "modelbridge.yaml").open("w") as file:
        YAML().dump(config, file)
    environ = {"MODELBRIDGE_HOME": str(home), "DATABASE_URL": url, "JWT_SECRET_KEY": SECRET}
    if redis_url is not None:
        environ["REDIS_URL"] = redis_url
    database = Database(url, pool_size=5)
    app = build_application(Settings.from_environment(environ, folder=home), database, drain_grace_s=0.2)
    try:
        async with app.router.lifespan_context(app):
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url="http://api.test", timeout=60) as client:
                yield Process(app, client)
    finally:
        await database.aclose()
