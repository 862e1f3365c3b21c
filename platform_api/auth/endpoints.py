"""/api/auth: register, sign in, refresh, sign out, who am I; and the studio's sessions."""

from uuid import UUID

from fastapi import APIRouter, Request, Response

from platform_api.auth import refresh, sign_in, studio_sessions
from platform_api.auth.caller import PUBLIC, Person, Services, SignedIn, current_caller
from platform_api.auth.schemas import (
    CodeExchange,
    Login,
    LogoutRequest,
    Me,
    OrganizationView,
    RefreshRequest,
    Registration,
    SessionCode,
    StudioSession,
    Tokens,
)
from platform_api.errors import BadRequestError, NotFoundError, UnauthenticatedError

router = APIRouter(prefix="/api/auth", tags=["auth"])


@router.post("/register", status_code=201, dependencies=[PUBLIC], operation_id="auth_register")
async def register(body: Registration, identity: Services) -> Tokens:
    """Create an account and its organisation, signed in as the Owner."""
    return await sign_in.register(identity, body)


@router.post("/login", dependencies=[PUBLIC], operation_id="auth_login")
async def login(body: Login, request: Request, identity: Services) -> Tokens:
    """Sign in with e-mail and password."""
    member = await sign_in.check_password(identity, body, _address(request))
    return await sign_in.sign_in(identity, member)


@router.post("/refresh", dependencies=[PUBLIC], operation_id="auth_refresh")
async def refresh_tokens(body: RefreshRequest, identity: Services) -> Tokens:
    """Trade a refresh token for new tokens. Each works once; using one again ends the session."""
    return await sign_in.refreshed(identity, body.refresh_token)


@router.post("/logout", status_code=204, dependencies=[PUBLIC], operation_id="auth_logout")
async def logout(request: Request, identity: Services, body: LogoutRequest | None = None) -> Response:
    """End the session of the refresh token in the body, else the one the request is signed with."""
    if body is not None and body.refresh_token is not None:
        async with identity.database.system().read() as db:
            found = await refresh.family_of(db, body.refresh_token)
        if found is not None:
            await sign_in.sign_out(identity, *found)
        return Response(status_code=204)
    caller = await current_caller(request, identity)
    if caller.session_id is None or caller.user_id is None:
        raise BadRequestError("an API key has no session to end; revoke the key instead")
    if caller.via == "token":
        await sign_in.sign_out(identity, caller.org_id, caller.session_id)
    else:
        await _end_studio_session(identity, caller.org_id, caller.user_id, caller.session_id)
    return Response(status_code=204)


@router.get("/me", operation_id="auth_me")
async def me(caller: SignedIn, identity: Services) -> Me:
    """Who the caller is and what they may do."""
    async with identity.database.system().read() as db:
        member = None if caller.user_id is None else await sign_in.find_member(db, caller.org_id, caller.user_id)
    if member is None:
        raise UnauthenticatedError
    return Me(
        user=member.user,
        organization=OrganizationView.model_validate(member.organization, from_attributes=True),
        role=caller.role,
        permissions=sorted(caller.permissions),
        via=caller.via,
        key_id=caller.credential_id,
        session_id=caller.session_id,
    )


@router.post("/session-codes", status_code=201, dependencies=[PUBLIC], operation_id="auth_session_code")
async def make_session_code(body: Login, request: Request, identity: Services) -> SessionCode:
    """Sign in to the studio: a code that its own route exchanges for a session."""
    member = await sign_in.check_password(identity, body, _address(request))
    now = identity.clock.now()
    async with identity.database.system()() as db:
        code = await studio_sessions.make_code(db, member.organization.id, member.user.id, now=now)
    return SessionCode(code=code, expires_in=int(studio_sessions.CODE_LIFETIME.total_seconds()))


@router.post("/session-codes/exchange", status_code=201, dependencies=[PUBLIC], operation_id="auth_session_exchange")
async def exchange_session_code(body: CodeExchange, identity: Services) -> StudioSession:
    """Trade a code for a studio session, once and within 30 seconds."""
    now = identity.clock.now()
    async with identity.database.system()() as db:
        opened = await studio_sessions.exchange(db, body.code, now=now)
        member = await sign_in.find_member(db, opened.row.org_id, opened.row.user_id)
    if member is None:
        raise UnauthenticatedError("the account is not active")
    return StudioSession(
        session_id=opened.row.id,
        token=opened.token,
        expires_at=opened.row.expires_at,
        ends_at=opened.row.ends_at,
        user=member.user,
        organization=member.organization,
    )


@router.delete("/sessions/{session_id}", status_code=204, operation_id="auth_session_revoke")
async def revoke_session(session_id: UUID, caller: Person, identity: Services) -> Response:
    """End one of the caller's own studio sessions."""
    if caller.user_id is None:
        raise NotFoundError("session", session_id)
    await _end_studio_session(identity, caller.org_id, caller.user_id, session_id)
    return Response(status_code=204)


async def _end_studio_session(identity: Services, org_id: UUID, user_id: UUID, session_id: UUID) -> None:
    async with identity.database.for_org(org_id)() as db:
        row = await studio_sessions.revoke(db, org_id, user_id, session_id, now=identity.clock.now())
    identity.authenticator.forget(f"session:{row.token_hash}")


def _address(request: Request) -> str:
    """The peer's address. A forwarded one counts only when the server was told which proxies to believe."""
    return request.client.host if request.client else "unknown"
