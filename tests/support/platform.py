"""The whole API over a real database with mock models, called through ASGI on the real clock."""

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
from tests.support.api import PASSWORD, SECRET, bearer

PRICED = {"input_usd_per_mtok": 1.0, "output_usd_per_mtok": 2.0, "max_output_tokens": 4096, "context_window": 32768}


@dataclass(slots=True)
class Platform:
    """A running platform and a client with an owner's key."""

    app: FastAPI
    client: httpx.AsyncClient
    database: Database
    key: str
    org_id: str

    async def publish(self, text: str) -> str:
        """Store and publish a flow; its name."""
        created = await self.client.post("/api/flows", json={"yaml": text})
        assert created.status_code == 201, created.text
        name = str(created.json()["name"])
        published = await self.client.post(f"/api/flows/{name}/publish", json={})
        assert published.status_code == 200, published.text
        return name

    async def run(self, flow: str, inputs: dict[str, Any], *, wait: float = 20, **more: Any) -> httpx.Response:
        """Trigger a flow and wait for its end."""
        headers = more.pop("headers", {})
        body = {"inputs": inputs, **more}
        return await self.client.post(f"/api/flows/{flow}/runs", params={"wait": wait}, json=body, headers=headers)


def platform_settings(
    url: str,
    home: Path,
    mock: dict[str, Any] | None = None,
    upstream: str = "http://127.0.0.1:9/v1",
    **environment: str,
) -> Settings:
    """Settings with the free mock, the model in the box, and `acme/paid`: it has a price and answers at `upstream`."""
    home.mkdir(parents=True, exist_ok=True)
    acme = {"dialect": "openai", "base_url": upstream, "api_key": "upstream-key-1"}
    config: dict[str, Any] = {
        "providers": {"mock": {"options": mock or {}}, "acme": acme, "local": {}},
        "models": {"acme/paid": PRICED},
        "aliases": {"cheap": {"policy": "priority", "candidates": ["mock/echo"]}},
    }
    with (home / "modelbridge.yaml").open("w") as file:
        YAML().dump(config, file)
    environ = {"MODELBRIDGE_HOME": str(home), "DATABASE_URL": url, "JWT_SECRET_KEY": SECRET, **environment}
    return Settings.from_environment(environ, folder=home)


@asynccontextmanager
async def running_platform(
    url: str,
    home: Path,
    mock: dict[str, Any] | None = None,
    *,
    pool_size: int = 10,
    only_local: bool = False,
    email: str = "ann@example.com",
    **settings: str,
) -> AsyncGenerator[Platform]:
    """The platform over the migrated database at `url`, with an organisation, its owner and a key."""
    database = Database(url, pool_size=pool_size)
    chosen = platform_settings(url, home, mock, **settings)
    if only_local:
        chosen = chosen.model_copy(update={"bridge": {"providers": {"local": {}}}})
    app = build_application(chosen, database, drain_grace_s=0.2)
    try:
        async with app.router.lifespan_context(app):
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url="http://api.test", timeout=60) as client:
                tokens, key = await new_owner(client, email, "Acme")
                client.headers.update(bearer(key))
                yield Platform(app, client, database, key, str(tokens["organization"]["id"]))
    finally:
        await database.aclose()


async def new_owner(client: httpx.AsyncClient, email: str, organization: str) -> tuple[dict[str, Any], str]:
    """An account that owns a new organisation: its tokens, and a key that may do everything a key can."""
    body = {"email": email, "password": PASSWORD, "name": "Ann", "organization": organization}
    registered = await client.post("/api/auth/register", json=body)
    assert registered.status_code == 201, registered.text
    tokens = dict(registered.json())
    made = await client.post("/api/auth/api-keys", json={"name": "k"}, headers=bearer(tokens))
    assert made.status_code == 201, made.text
    return tokens, str(made.json()["key"])
