"""`Idempotency-Key` on POSTs under /api: the same request twice has one effect and one answer, for 24 hours.

A key belongs to (organisation, route, key). The same caller with the same body gets the stored answer again; another
body is refused with 422; while the first is in flight, 409. Only successes are stored: what failed had no effect and
may be tried again. Replies are sealed, because a new API key may stand in one.
"""

import asyncio
import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import cast
from uuid import UUID

import orjson
from sqlalchemy import delete, select, update
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uuid_utils.compat import uuid7

from platform_api.auth.caller import CALLER_KEY
from platform_api.auth.identity import Identity
from platform_api.auth.principals import Caller
from platform_api.database.tables.operations import IdempotencyRow
from platform_api.database.upserts import insert_missing
from platform_api.errors import (
    ApiError,
    BadRequestError,
    ConflictError,
    InvalidError,
    UnauthenticatedError,
    to_problem,
)
from platform_api.problem_responses import send_problem

logger = logging.getLogger(__name__)

HEADER = "idempotency-key"
REPLAYED = b"idempotency-replayed"
KEPT = timedelta(hours=24)
IN_FLIGHT = timedelta(minutes=15)
MAX_KEY_CHARACTERS = 255
MAX_STORED_BYTES = 1024 * 1024
_KEPT_HEADERS = frozenset({b"content-type", b"location"})


@dataclass(frozen=True, slots=True)
class _Claim:
    """The right to execute a request, taken before it is."""

    id: UUID
    org_id: UUID
    place: str


@dataclass(frozen=True, slots=True)
class _Stored:
    """An answer given earlier."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


class Idempotency:
    """Pure ASGI, inside the request context and the body limit, in front of FastAPI."""

    def __init__(self, app: ASGIApp, *, identity: Callable[[], Identity]) -> None:
        self._app = app
        self._identity = identity

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope) if scope["type"] == "http" else None
        if headers is None or not _applies(scope, headers):
            await self._app(scope, receive, send)
            return
        try:
            caller = await self._caller(scope, headers)
            if caller is None:
                await self._app(scope, receive, send)
                return
            body = await _read(receive)
            outcome = await self._claim(caller, scope, headers, body)
        except ApiError as error:
            await send_problem(to_problem(error), scope, receive, send)
            return
        if isinstance(outcome, _Stored):
            await _replay(outcome, send)
            return
        await self._execute(outcome, scope, _Replayed(body, receive), send)

    async def _caller(self, scope: Scope, headers: Headers) -> Caller | None:
        """Whoever calls. None for nobody: the route says what that means."""
        try:
            found = await self._identity().authenticator.authenticate(
                headers.get("authorization"), headers.get("x-api-key")
            )
        except UnauthenticatedError:
            return None
        scope[CALLER_KEY] = found
        return found

    async def _claim(self, caller: Caller, scope: Scope, headers: Headers, body: bytes) -> _Claim | _Stored:
        """Take the key, or the answer stored under it.

        Raises:
            BadRequestError: The key is empty or too long.
            InvalidError: The key was used for something else.
            ConflictError: The first request is still in flight.
        """
        key, route = headers[HEADER], str(scope["path"])[:500]
        if not key or len(key) > MAX_KEY_CHARACTERS or not key.isprintable():
            raise BadRequestError(f"Idempotency-Key must be 1 to {MAX_KEY_CHARACTERS} printable characters")
        fingerprint = _fingerprint(caller, scope, body)
        identity = self._identity()
        now = identity.clock.now()
        claim = _Claim(uuid7(), caller.org_id, f"{route}#{key}")
        async with identity.database.for_org(caller.org_id)() as db:
            await db.execute(
                delete(IdempotencyRow).where(
                    IdempotencyRow.org_id == caller.org_id,
                    IdempotencyRow.route == route,
                    IdempotencyRow.key == key,
                    IdempotencyRow.expires_at <= now,
                )
            )
            record = {
                "id": claim.id, "org_id": caller.org_id, "route": route, "key": key, "fingerprint": fingerprint,
                "created_at": now, "expires_at": now + IN_FLIGHT,
            }  # fmt: skip
            if await insert_missing(db, IdempotencyRow, record):
                return claim
            row = await db.scalar(
                select(IdempotencyRow).where(
                    IdempotencyRow.org_id == caller.org_id, IdempotencyRow.route == route, IdempotencyRow.key == key
                )
            )
        if row is None:
            raise ConflictError("a request with this Idempotency-Key has just failed; try again", code="in_flight")
        if row.fingerprint != fingerprint:
            raise InvalidError("this Idempotency-Key was used for another request", code="idempotency_key_reused")
        if row.status is None or row.sealed_response is None:
            raise ConflictError("the first request with this Idempotency-Key is still in flight", code="in_flight")
        return self._opened(row)

    async def _execute(self, claim: _Claim, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the request; keep its answer, or give the key back. Its end is stored before the reply's last byte."""
        reply = _Reply()
        is_kept = False
        scope["modelbridge.idempotency_id"] = claim.id

        async def watched(message: Message) -> None:
            nonlocal is_kept
            reply.add(message)
            if reply.is_complete and not is_kept:
                is_kept = True
                await self._finish(claim, reply)
            await send(message)

        try:
            await self._app(scope, receive, watched)
        finally:
            if not is_kept:
                await asyncio.shield(self._give_back(claim))

    async def _finish(self, claim: _Claim, reply: "_Reply") -> None:
        if not reply.is_storable:
            await self._give_back(claim)
            return
        identity = self._identity()
        headers = [[name.decode("latin-1"), value.decode("latin-1")] for name, value in reply.headers]
        packed = orjson.dumps({"headers": headers, "body": bytes(reply.body).decode("latin-1")})
        values = {
            "status": reply.status,
            "sealed_response": identity.reply_sealer.seal(packed, str(claim.id)),
            "expires_at": identity.clock.now() + KEPT,
        }
        async with identity.database.for_org(claim.org_id)() as db:
            await db.execute(update(IdempotencyRow).where(IdempotencyRow.id == claim.id).values(**values))

    async def _give_back(self, claim: _Claim) -> None:
        async with self._identity().database.for_org(claim.org_id)() as db:
            await db.execute(delete(IdempotencyRow).where(IdempotencyRow.id == claim.id))

    def _opened(self, row: IdempotencyRow) -> _Stored:
        assert row.status is not None
        assert row.sealed_response is not None
        packed = orjson.loads(self._identity().reply_sealer.open(row.sealed_response, str(row.id)))
        headers = [(str(name).encode("latin-1"), str(value).encode("latin-1")) for name, value in packed["headers"]]
        return _Stored(row.status, headers, str(packed["body"]).encode("latin-1"))


class _Reply:
    """What was answered, as far as it is kept."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.body = bytearray()
        self.is_complete = False
        self._is_stream = False

    @property
    def is_storable(self) -> bool:
        """Was it a success, and small enough to keep?"""
        return 200 <= self.status < 400 and not self._is_stream and len(self.body) <= MAX_STORED_BYTES

    def add(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            given = cast("list[tuple[bytes, bytes]]", list(message.get("headers", [])))
            self.headers = [(name, value) for name, value in given if name.lower() in _KEPT_HEADERS]
            self._is_stream = any(value.startswith(b"text/event-stream") for _, value in self.headers)
        elif message["type"] == "http.response.body":
            if not self._is_stream and len(self.body) <= MAX_STORED_BYTES:
                self.body += message.get("body", b"")
            self.is_complete = not message.get("more_body", False)


class _Replayed:
    """Hands a body that was read already to the application, then whatever the server says."""

    def __init__(self, body: bytes, receive: Receive) -> None:
        self._body: bytes | None = body
        self._receive = receive

    async def __call__(self) -> Message:
        if self._body is None:
            return await self._receive()
        body, self._body = self._body, None
        return {"type": "http.request", "body": body, "more_body": False}


def _applies(scope: Scope, headers: Headers) -> bool:
    return scope["method"] == "POST" and str(scope["path"]).startswith("/api/") and HEADER in headers


def _fingerprint(caller: Caller, scope: Scope, body: bytes) -> str:
    who = f"{caller.user_id}|{caller.key_id}|".encode()
    query: bytes = scope.get("query_string", b"")
    return hashlib.sha256(who + query + b"|" + body).hexdigest()


async def _read(receive: Receive) -> bytes:
    chunks: list[bytes] = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise BadRequestError("the client went away")
        chunks.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(chunks)


async def _replay(stored: _Stored, send: Send) -> None:
    headers = [*stored.headers, (REPLAYED, b"true"), (b"content-length", str(len(stored.body)).encode())]
    await send({"type": "http.response.start", "status": stored.status, "headers": headers})
    await send({"type": "http.response.body", "body": stored.body})
