"""Routes of the studio's own server: turn a one-time code into the session cookie, and end the session.

The token lives in an HttpOnly cookie: no script on the page can read it. Both routes take same-origin POSTs only, so
no other site can sign somebody in or out.
"""

from urllib.parse import urlsplit

import httpx
from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

COOKIE_MAX_AGE_S = 30 * 24 * 3600
"""The platform ends a session after at most 30 days; it may do so earlier."""


class StartRequest(BaseModel):
    """What the sign-in form sends after the platform answered with a code."""

    model_config = ConfigDict(extra="forbid")

    code: str


class ExchangedSession(BaseModel):
    """The platform's answer to a code."""

    model_config = ConfigDict(extra="ignore")

    session_id: str
    token: str


def cookie_name(*, secure: bool) -> str:
    """`__Host-` binds the cookie to this host and https; browsers refuse that prefix over plain http."""
    return "__Host-mb_session" if secure else "mb_session"


def split_cookie(value: str) -> tuple[str | None, str]:
    """Session id and token. The id names the session when it is ended; a bare value is a token alone."""
    session_id, separator, token = value.partition(":")
    return (session_id, token) if separator else (None, value)


class SessionRoutes:
    """The two routes over one platform API."""

    def __init__(self, api_url: str, *, secure: bool) -> None:
        self._api_url = api_url
        self._secure = secure

    def routes(self) -> list[Route]:
        """Everything this server answers besides Streamlit's own paths."""
        return [
            Route("/session/start", self.start, methods=["POST"]),
            Route("/session/end", self.end, methods=["POST"]),
            Route("/healthz", self.healthz, methods=["GET"]),
        ]

    async def start(self, request: Request) -> Response:
        """Exchange a code and set the cookie: 204, else why not."""
        if not _is_same_origin(request):
            return _refuse(403, "Sign-in must come from the studio itself.")
        try:
            code = StartRequest.model_validate_json(await request.body()).code
        except ValidationError:
            return _refuse(400, "A code is needed.")
        try:
            async with self._api() as api:
                reply = await api.post("/api/auth/session-codes/exchange", json={"code": code})
            session = ExchangedSession.model_validate_json(reply.content) if reply.is_success else None
        except (httpx.HTTPError, ValidationError):
            return _refuse(502, "The platform could not be asked. Try again in a moment.")
        if session is None:
            return _refuse(401, "The sign-in took too long. Enter your password again.")
        answer = Response(status_code=204, headers={"Cache-Control": "no-store"})
        answer.set_cookie(
            cookie_name(secure=self._secure),
            f"{session.session_id}:{session.token}",
            max_age=COOKIE_MAX_AGE_S,
            path="/",
            secure=self._secure,
            httponly=True,
            samesite="lax",
        )
        return answer

    async def end(self, request: Request) -> Response:
        """Forget the cookie and end the session on the platform, if that can be reached. Always 204."""
        if not _is_same_origin(request):
            return _refuse(403, "Sign-out must come from the studio itself.")
        name = cookie_name(secure=self._secure)
        session_id, token = split_cookie(request.cookies.get(name, ""))
        if session_id and token:
            try:
                async with self._api() as api:
                    await api.delete(f"/api/auth/sessions/{session_id}", headers={"Authorization": f"Bearer {token}"})
            except httpx.HTTPError:
                pass  # the session then ends by its own age; the browser forgets it now
        answer = Response(status_code=204, headers={"Cache-Control": "no-store"})
        answer.delete_cookie(name, path="/", secure=self._secure, httponly=True, samesite="lax")
        return answer

    async def healthz(self, _: Request) -> Response:
        """This process answers."""
        return JSONResponse({"status": "ok"})

    def _api(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=self._api_url, timeout=httpx.Timeout(10.0, connect=3.0))


def _is_same_origin(request: Request) -> bool:
    """Whether a page of this host sent the request. Browsers name the origin of every POST."""
    origin = request.headers.get("origin")
    if origin is None:
        return False
    site = request.headers.get("sec-fetch-site", "same-origin")
    return site == "same-origin" and urlsplit(origin).netloc == request.headers.get("host")


def _refuse(status: int, detail: str) -> Response:
    return JSONResponse({"detail": detail}, status_code=status, headers={"Cache-Control": "no-store"})
