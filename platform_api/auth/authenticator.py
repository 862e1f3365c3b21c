"""From a credential to a caller, cached for seconds: the hot path asks no database while an entry is fresh."""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import update
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from bridge.clock import Clock
from platform_api.auth.principals import Caller, caller_of_family, caller_of_key, caller_of_session
from platform_api.database.session import Database
from platform_api.database.tables.identity import ApiKeyRow, SessionRow
from platform_api.errors import UnauthenticatedError
from platform_api.security.access_tokens import SigningKeys, TokenError
from platform_api.security.credentials import is_api_key, secret_hash

logger = logging.getLogger(__name__)

KNOWN_S = 30.0
UNKNOWN_S = 5.0
OUTAGE_S = 900.0
"""How long a known caller is served when the database cannot be asked. What needs the database fails by itself."""
UNREACHABLE = (OperationalError, InterfaceError, PoolTimeoutError, OSError)
ANSWER_LIMIT_S = 2.0
"""How long a known caller waits for a database that does not answer."""
SILENT_S = 10.0
"""How long it is not asked about known callers after that."""
MAX_ENTRIES = 20_000
EVERYTHING = "*"
"""In place of an entry's name: all of them."""
SESSION_SLIDES = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class _Entry:
    caller: Caller | None
    fresh_until: float


class Authenticator:
    """Looks credentials up. What this process changes it forgets at once; others follow as soon as they hear of it
    (`announcements`), and within 30 s at worst.
    """

    def __init__(
        self, database: Database, signing_keys: SigningKeys, clock: Clock, *, answer_limit_s: float = ANSWER_LIMIT_S
    ) -> None:
        self._sessions = database.system()
        self._signing_keys = signing_keys
        self._clock = clock
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self._answer_limit_s = answer_limit_s
        self._silent_until = float("-inf")
        self._generation = 0
        self._used_keys: dict[UUID, datetime] = {}
        self._used_sessions: dict[UUID, datetime] = {}
        self.on_forget: Callable[[str], None] = _nobody_listens
        """Told of every entry that was forgotten here, to tell other processes."""
        self.refused_by_checksum = 0
        """Credentials that looked like keys but carried a wrong checksum: no look-up was made for them."""

    async def authenticate(self, authorization: str | None, api_key: str | None) -> Caller:
        """The caller behind `Authorization: Bearer ...`, or behind `x-api-key` when there is no such header.

        Raises:
            UnauthenticatedError: No credential, or one that is not valid (any more).
        """
        secret = _bearer(authorization) if authorization else (api_key or "").strip()
        if not secret:
            raise UnauthenticatedError
        if secret.startswith(("mb_live_", "mb_test_")):
            caller = await self._by_key(secret)
        elif secret.startswith("mbs_"):
            caller = await self._by_session(secret)
        else:
            caller = await self._by_token(secret)
        if caller is None or (caller.expires_at is not None and caller.expires_at <= self._clock.now()):
            raise UnauthenticatedError("the credential is not valid, has expired or was revoked")
        return caller

    def forget(self, name: str) -> None:
        """Drop one entry here and in other processes: `key:<hash>`, `session:<hash>` or `family:<id>`."""
        self.drop(name)
        self.on_forget(name)

    def forget_all(self) -> None:
        """Drop everything: after a change of roles, members or organisations."""
        self.forget(EVERYTHING)

    def drop(self, name: str) -> None:
        """Drop one entry, or EVERYTHING, here alone. A look-up under way is not kept either."""
        self._generation += 1
        if name == EVERYTHING:
            self._entries.clear()
        else:
            self._entries.pop(name, None)

    async def write_uses(self) -> None:
        """Store when keys and sessions were last used; sessions slide with it. Called every half minute."""
        keys, self._used_keys = self._used_keys, {}
        sessions, self._used_sessions = self._used_sessions, {}
        if not keys and not sessions:
            return
        async with self._sessions() as db:
            for key_id, at in keys.items():
                await db.execute(update(ApiKeyRow).where(ApiKeyRow.id == key_id).values(last_used_at=at))
            for session_id, at in sessions.items():
                slid = {"last_seen_at": at, "expires_at": at + SESSION_SLIDES}
                await db.execute(update(SessionRow).where(SessionRow.id == session_id).values(**slid))

    async def _by_key(self, secret: str) -> Caller | None:
        key_hash = secret_hash(secret)
        if f"key:{key_hash}" not in self._entries and not is_api_key(secret):
            self.refused_by_checksum += 1
            return None

        async def look_up() -> Caller | None:
            async with self._sessions.read() as db:
                return await caller_of_key(db, key_hash, self._clock.now())

        caller = await self._cached(f"key:{key_hash}", look_up)
        if caller is not None and caller.credential_id is not None:
            self._used_keys[caller.credential_id] = self._clock.now()
        return caller

    async def _by_session(self, secret: str) -> Caller | None:
        token_hash = secret_hash(secret)

        async def look_up() -> Caller | None:
            async with self._sessions.read() as db:
                return await caller_of_session(db, token_hash, self._clock.now())

        caller = await self._cached(f"session:{token_hash}", look_up)
        if caller is not None and caller.session_id is not None:
            self._used_sessions[caller.session_id] = self._clock.now()
        return caller

    async def _by_token(self, secret: str) -> Caller | None:
        try:
            claims = await self._signing_keys.verify(secret)
        except TokenError as error:
            raise UnauthenticatedError(str(error)) from error

        async def look_up() -> Caller | None:
            async with self._sessions.read() as db:
                return await caller_of_family(db, claims.session_id, claims.org_id, claims.user_id)

        return await self._cached(f"family:{claims.session_id}", look_up)

    async def _cached(self, name: str, look_up: Callable[[], Awaitable[Caller | None]]) -> Caller | None:
        now = self._clock.monotonic()
        entry = self._entries.get(name)
        if entry is not None and entry.fresh_until > now:
            return entry.caller
        known = None if entry is None or now > entry.fresh_until + OUTAGE_S else entry.caller
        if known is not None and now < self._silent_until:
            return known
        generation = self._generation
        try:
            async with asyncio.timeout(None if known is None else self._answer_limit_s):
                caller = await look_up()
        except UNREACHABLE:
            if known is None:
                raise
            self._silent_until = self._clock.monotonic() + SILENT_S
            logger.warning("database_unreachable_serving_known_caller")
            return known
        self._silent_until = float("-inf")
        if generation == self._generation:
            lifetime_s = UNKNOWN_S if caller is None else KNOWN_S
            self._entries[name] = _Entry(caller, now + lifetime_s)
            self._entries.move_to_end(name)
            while len(self._entries) > MAX_ENTRIES:
                self._entries.popitem(last=False)
        return caller


def _nobody_listens(_name: str) -> None:
    pass


def _bearer(authorization: str) -> str:
    scheme, _, secret = authorization.partition(" ")
    if scheme.lower() != "bearer" or not secret.strip():
        raise UnauthenticatedError("the Authorization header must read: Bearer <token or API key>")
    return secret.strip()
