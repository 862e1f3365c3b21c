"""Dependencies of endpoints: who is calling, may they, and a database session in their name.

Every route declares exactly one of: `require("resource:verb")`, `SignedIn` (any caller, about themselves) or `PUBLIC`.
`create_app` refuses to start when one does not.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from datetime import datetime
from typing import Annotated, Any, cast

from fastapi import Depends, Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, APIWebSocketRoute, iter_route_contexts
from fastapi.security import HTTPBearer
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.routing import BaseRoute

from platform_api.auth.identity import Identity
from platform_api.auth.permissions import PERMISSIONS
from platform_api.auth.principals import Caller
from platform_api.database.session import SessionSource
from platform_api.errors import ForbiddenError, UnauthenticatedError
from platform_api.structured_logging import bind

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
CALLER_KEY = "modelbridge.caller"
_DECLARED = "__declared_permission__"
_bearer_docs = HTTPBearer(auto_error=False, description="An access token, an API key or a studio session.")


def identity_of(request: Request) -> Identity:
    """The application's identity services."""
    return cast("Identity", request.app.state.identity)


Services = Annotated[Identity, Depends(identity_of)]


async def current_caller(
    request: Request, identity: Services, _shown: Annotated[Any, Depends(_bearer_docs)] = None
) -> Caller:
    """Whoever stands behind the request's credential. Raises UnauthenticatedError."""
    known: Caller | None = request.scope.get(CALLER_KEY)
    if known is None:
        headers = request.headers
        known = await identity.authenticator.authenticate(headers.get("authorization"), headers.get("x-api-key"))
        request.scope[CALLER_KEY] = known
    bind(org_id=str(known.org_id), user_id=_text(known.user_id), key_id=_text(known.key_id))
    return known


CurrentCaller = Annotated[Caller, Depends(current_caller)]


def require(permission: str) -> Callable[[Caller], Awaitable[Caller]]:
    """A dependency that lets only callers with `permission` through. An unknown permission fails at import."""
    if permission not in PERMISSIONS:
        raise ValueError(f"{permission!r} is no permission; auth/permissions.py lists them")

    async def checked(caller: CurrentCaller) -> Caller:
        if not caller.may(permission):
            raise ForbiddenError(f"this needs the permission {permission}; your role is {caller.role}")
        return caller

    setattr(checked, _DECLARED, permission)
    return checked


async def _signed_in(caller: CurrentCaller) -> Caller:
    return caller


async def _person(caller: CurrentCaller) -> Caller:
    if caller.via == "key":
        raise ForbiddenError("an API key cannot do this; sign in")
    return caller


async def _public() -> None:
    """Anybody may call."""


setattr(_signed_in, _DECLARED, "signed-in")
setattr(_person, _DECLARED, "person")
setattr(_public, _DECLARED, "public")

SignedIn = Annotated[Caller, Depends(_signed_in)]
"""Any caller, about themselves."""
Person = Annotated[Caller, Depends(_person)]
"""Somebody signed in, not a key."""
PUBLIC = Depends(_public)
"""For `dependencies=[PUBLIC]` of a route that anybody may call."""


async def _tenant_session(request: Request, identity: Services, caller: CurrentCaller) -> AsyncGenerator[AsyncSession]:
    source = identity.database.for_org(caller.org_id)
    async with source.read() if request.method in SAFE_METHODS else source() as db:
        yield db


Db = Annotated[AsyncSession, Depends(_tenant_session, scope="function")]
"""One transaction of the caller's organisation: commits before the reply leaves; reads only on GET."""


def _tenant_sessions(identity: Services, caller: CurrentCaller) -> SessionSource:
    return identity.database.for_org(caller.org_id)


Sessions = Annotated[SessionSource, Depends(_tenant_sessions)]
"""For handlers that wait: `async with sessions() as db` (or `sessions.read()`), short, around no await but queries."""


def _now(identity: Services) -> datetime:
    return identity.clock.now()


Now = Annotated[datetime, Depends(_now)]


async def optional_caller(request: Request, identity: Services) -> Caller | None:
    """The caller, or None when the request carries no valid credential."""
    try:
        return await current_caller(request, identity)
    except UnauthenticatedError:
        return None


def declared_permissions(routes: Sequence[BaseRoute]) -> dict[tuple[str, str], str | None]:
    """By method and path: a permission, `signed-in`, `person` or `public`; None where a route declares nothing.

    Routes of included routers stand in a tree of their own: only FastAPI's iterator sees them.
    """
    declared: dict[tuple[str, str], str | None] = {}
    for route in iter_route_contexts(routes):
        if isinstance(route.original_route, APIRoute | APIWebSocketRoute):
            dependant = cast("Dependant", route.dependant)
            found = {getattr(call, _DECLARED) for call in _calls(dependant) if hasattr(call, _DECLARED)}
            for method in route.methods or {"WEBSOCKET"}:
                declared[method, str(route.path)] = ", ".join(sorted(found)) or None
    return declared


def _calls(dependant: Dependant) -> list[Callable[..., Any]]:
    own = [] if dependant.call is None else [dependant.call]
    return own + [call for inner in dependant.dependencies for call in _calls(inner)]


def _text(value: object) -> str | None:
    return None if value is None else str(value)
