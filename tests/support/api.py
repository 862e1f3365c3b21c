"""The application over a real database, called through ASGI, with a clock that tests move."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
from fastapi import APIRouter, FastAPI

from bridge.clock import FrozenClock
from platform_api.app import create_app
from platform_api.auth.identity import Identity
from platform_api.database.session import Database
from platform_api.settings import Settings

START = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
SECRET = "a-root-secret-for-tests-of-40-characters"
PASSWORD = "correct horse battery"


@dataclass(slots=True)
class Api:
    """A running application and its client."""

    app: FastAPI
    client: httpx.AsyncClient
    clock: FrozenClock
    database: Database

    @property
    def identity(self) -> Identity:
        """Its identity services."""
        identity: Identity = self.app.state.identity
        return identity

    async def register(self, email: str = "ann@example.com", organization: str = "Acme") -> dict[str, Any]:
        """The tokens of a new account, whose user owns a new organisation."""
        body = {"email": email, "password": PASSWORD, "name": "Ann", "organization": organization}
        answer = await self.client.post("/api/auth/register", json=body)
        assert answer.status_code == 201, answer.text
        return dict(answer.json())

    async def make_key(self, tokens: dict[str, Any], **wanted: Any) -> dict[str, Any]:
        """A new API key of that account."""
        answer = await self.client.post("/api/auth/api-keys", json={"name": "k", **wanted}, headers=bearer(tokens))
        assert answer.status_code == 201, answer.text
        return dict(answer.json())


def bearer(tokens: dict[str, Any] | str) -> dict[str, str]:
    """The header that signs a request."""
    secret = tokens if isinstance(tokens, str) else str(tokens["access_token"])
    return {"authorization": f"Bearer {secret}"}


def settings_for(url: str, home: Path, **environment: str) -> Settings:
    """Settings that read nothing of this machine."""
    environ = {"MODELBRIDGE_HOME": str(home), "DATABASE_URL": url, "JWT_SECRET_KEY": SECRET, **environment}
    return Settings.from_environment(environ, folder=home)


@asynccontextmanager
async def running_api(url: str, home: Path, *routers: APIRouter, **environment: str) -> AsyncGenerator[Api]:
    """The application over the migrated database at `url`."""
    database, clock = Database(url, pool_size=5), FrozenClock(START)
    app = create_app(settings_for(url, home, **environment), database, clock=clock, routers=routers)
    try:
        async with app.router.lifespan_context(app):
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url="http://api.test") as client:
                yield Api(app, client, clock, database)
    finally:
        await database.aclose()
        await asyncio.sleep(0)
