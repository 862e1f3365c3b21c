"""The web application: routers, middleware, and what starts and ends with the process."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from importlib.metadata import version
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import JSONResponse
from sqlalchemy import delete
from sqlalchemy.exc import SQLAlchemyError
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Scope, Send

from bridge.clock import Clock, SystemClock
from bridge.identifiers import NewId, new_id
from platform_api import problem_responses
from platform_api.api_keys import endpoints as api_keys
from platform_api.auth import endpoints as auth
from platform_api.auth.caller import PUBLIC, declared_permissions, identity_of
from platform_api.auth.identity import Identity
from platform_api.body_limit import BodyLimit
from platform_api.database.session import Database
from platform_api.database.tables.operations import IdempotencyRow
from platform_api.idempotency import Idempotency
from platform_api.operations import endpoints as operations
from platform_api.operations.endpoints import Readiness
from platform_api.operations.metrics import Metrics
from platform_api.operations.telemetry import Telemetry
from platform_api.organizations import endpoints as organizations
from platform_api.request_context import RequestContext
from platform_api.security.root_secret import root_secret
from platform_api.settings import Settings

logger = logging.getLogger(__name__)

UPKEEP_S = 20.0
Description = Callable[[], tuple[dict[str, Any], dict[str, dict[str, Any]]]]
"""Gives the paths and components that are added to /openapi.json."""
Part = Callable[[FastAPI], AbstractAsyncContextManager[None]]
"""Something that starts before the first request and ends after the last one."""


class UndeclaredRouteError(RuntimeError):
    """A route says nothing about who may call it."""


class Application(FastAPI):
    """FastAPI behind the data plane, which answers its own paths without a layer of a framework."""

    data_plane: ASGIApp | None = None
    data_plane_prefix = "/v1/"
    data_plane_description: Description | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.data_plane is not None and scope["type"] == "http" and scope["path"].startswith(self.data_plane_prefix):
            await self.data_plane(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)

    def openapi(self) -> dict[str, Any]:
        """The description of the whole API, made once."""
        if self.openapi_schema is None:
            schema = super().openapi()
            describe = self.data_plane_description
            paths, components = describe() if describe is not None else ({}, {})
            schema["paths"].update(paths)
            known = schema.setdefault("components", {})
            for kind, named in (("schemas", {"Problem": problem_responses.SCHEMA}), *components.items()):
                known.setdefault(kind, {}).update(named)
        return super().openapi()


def create_app(
    settings: Settings,
    database: Database,
    *,
    clock: Clock | None = None,
    new_request_id: NewId = new_id,
    telemetry: Telemetry | None = None,
    routers: Sequence[APIRouter] = (),
    data_plane: ASGIApp | None = None,
    parts: Sequence[Part] = (),
) -> Application:
    """The application over an open, migrated database, which the caller closes.

    `routers` come beside identity's own; `data_plane` answers /v1 inside a request context only; `parts` start in order
    and end in reverse. `app.state` holds `identity`, `readiness`, `metrics`.

    Raises:
        SettingsError: There is no usable root secret.
        UndeclaredRouteError: A route does not declare its permission.
    """
    clock = clock or SystemClock()
    telemetry = telemetry or Telemetry()
    metrics, tracer = telemetry.metrics or Metrics(), telemetry.request_tracer()
    identity = Identity.build(settings, database, clock, root_secret(settings))
    app = Application(
        title="Model Bridge",
        version=version("modelbridge"),
        lifespan=_lifespan(parts),
        middleware=[
            Middleware(RequestContext, counter=metrics, new_id=new_request_id, tracer=tracer),
            Middleware(BodyLimit),
            Middleware(Idempotency, identity=lambda: identity),
        ],
        responses=dict(problem_responses.DECLARED),
    )
    if data_plane is not None:
        app.data_plane = RequestContext(data_plane, counter=metrics, new_id=new_request_id, tracer=tracer)
    app.state.identity = identity
    app.state.metrics = metrics
    needs_redis = settings.sections.limits.when_redis_is_down == "refuse"
    app.state.readiness = Readiness(database, settings.redis_url, needs_redis)
    problem_responses.answer_errors(app)
    app.add_api_route("/.well-known/jwks.json", _jwks, dependencies=[PUBLIC], operation_id="auth_jwks", tags=["auth"])
    for router in (auth.router, api_keys.router, organizations.router, operations.router, *routers):
        app.include_router(router)
    check_declared(app)
    return app


def check_declared(app: FastAPI) -> None:
    """Every route declares one permission, or that it is public. Raises UndeclaredRouteError."""
    silent = [f"{method} {path}" for (method, path), said in declared_permissions(app.routes).items() if said is None]
    if silent:
        raise UndeclaredRouteError(f"these routes do not say who may call them: {', '.join(silent)}")


async def _jwks(request: Request) -> JSONResponse:
    """The public keys that verify access tokens."""
    return JSONResponse(identity_of(request).signing_keys.jwks())


def _lifespan(parts: Sequence[Part]) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
        identity: Identity = app.state.identity
        await identity.signing_keys.load()
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(_upkeep(identity))
            for part in parts:
                await stack.enter_async_context(part(app))
            yield
            app.state.readiness.is_draining = True

    return lifespan


@asynccontextmanager
async def _upkeep(identity: Identity) -> AsyncGenerator[None]:
    """A task that stores uses of keys and drops old idempotency keys; the last uses are stored at the end."""
    task = asyncio.create_task(_keep_up(identity), name="identity upkeep")
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        with suppress(SQLAlchemyError):
            await identity.authenticator.write_uses()


async def _keep_up(identity: Identity) -> None:
    while True:
        await asyncio.sleep(UPKEEP_S)
        try:
            await identity.authenticator.write_uses()
            async with identity.database.system()() as db:
                await db.execute(delete(IdempotencyRow).where(IdempotencyRow.expires_at <= identity.clock.now()))
        except SQLAlchemyError as error:
            logger.warning("upkeep_failed", extra={"error": type(error).__name__})
