"""Access tokens: short-lived JWTs signed with Ed25519 keys that live, encrypted, in the database."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from jwt.algorithms import OKPAlgorithm
from jwt.types import Options
from sqlalchemy import select

from platform_api.database.session import SessionSource
from platform_api.database.tables.identity import SigningKeyRow
from platform_api.security.root_secret import Sealer, SealError

ALGORITHM = "EdDSA"
ISSUER = "modelbridge"
AUDIENCE = "modelbridge-api"
HEADER_TYPE = "at+jwt"
LIFETIME = timedelta(minutes=10)
CLOCK_SKEW = timedelta(seconds=5)
_CLAIMS = ["iss", "aud", "sub", "org", "sid", "jti", "iat", "exp", "auth_time"]


class TokenError(ValueError):
    """The token is not one of ours, not an access token, or past its time."""


@dataclass(frozen=True, slots=True)
class AccessClaims:
    """Who the token was made for. The role is not in it: it is read, so that a change takes effect."""

    user_id: UUID
    org_id: UUID
    session_id: UUID
    """The family of refresh tokens it came from."""
    expires_at: datetime


class SigningKeys:
    """Signs with the newest key, verifies with every key not yet forgotten."""

    def __init__(self, sessions: SessionSource, sealer: Sealer, now: Callable[[], datetime]) -> None:
        self._sessions = sessions
        self._sealer = sealer
        self._now = now
        self._public: dict[str, Ed25519PublicKey] = {}
        self._signer: tuple[str, Ed25519PrivateKey] | None = None
        self._loaded_at: datetime | None = None

    async def load(self) -> None:
        """Read the keys; make the first one. A key sealed under another root secret still verifies, never signs."""
        async with self._sessions() as db:
            rows = list((await db.scalars(select(SigningKeyRow).order_by(SigningKeyRow.created_at))).all())
            usable = [(row.kid, key) for row in rows if row.retired_at is None and (key := self._opened(row))]
            if not usable:
                row, key = self._made()
                db.add(row)
                rows.append(row)
                usable.append((row.kid, key))
        self._public = {row.kid: Ed25519PublicKey.from_public_bytes(row.public_key) for row in rows}
        self._signer = usable[-1]
        self._loaded_at = self._now()

    def sign(self, *, user_id: UUID, org_id: UUID, session_id: UUID, signed_in_at: datetime) -> str:
        """A token for 10 minutes."""
        if self._signer is None:
            raise RuntimeError("signing keys are not loaded")
        kid, key = self._signer
        now = self._now()
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": str(user_id),
            "org": str(org_id),
            "sid": str(session_id),
            "jti": str(uuid4()),
            "iat": int(now.timestamp()),
            "exp": int((now + LIFETIME).timestamp()),
            "auth_time": int(signed_in_at.timestamp()),
        }
        return jwt.encode(claims, key, algorithm=ALGORITHM, headers={"kid": kid, "typ": HEADER_TYPE})

    async def verify(self, token: str) -> AccessClaims:
        """The claims of a valid token. Raises TokenError for anything else, whatever is wrong with it."""
        key = await self._key_of(token)
        options: Options = {"require": _CLAIMS, "verify_exp": False, "verify_nbf": False, "verify_iat": False}
        try:
            claims = jwt.decode(token, key, algorithms=[ALGORITHM], audience=AUDIENCE, issuer=ISSUER, options=options)
            found = AccessClaims(
                UUID(claims["sub"]),
                UUID(claims["org"]),
                UUID(claims["sid"]),
                datetime.fromtimestamp(claims["exp"], tz=self._now().tzinfo),
            )
            not_before = datetime.fromtimestamp(max(claims["iat"], claims.get("nbf", 0)), tz=self._now().tzinfo)
        except (jwt.PyJWTError, ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
            raise TokenError("the access token is not valid") from error
        if self._now() >= found.expires_at:
            raise TokenError("the access token has expired")
        if self._now() + CLOCK_SKEW < not_before:
            raise TokenError("the access token is not valid yet")
        return found

    def jwks(self) -> dict[str, object]:
        """The public keys, for others who verify."""
        return {
            "keys": [
                {**OKPAlgorithm.to_jwk(key, as_dict=True), "kid": kid, "use": "sig", "alg": ALGORITHM}
                for kid, key in self._public.items()
            ]
        }

    async def _key_of(self, token: str) -> Ed25519PublicKey:
        """The key its header names; one that another process may have made a moment ago is looked for once in 30 s."""
        try:
            header = jwt.get_unverified_header(token)
        except jwt.PyJWTError as error:
            raise TokenError("the access token cannot be read") from error
        kid: object = header.get("kid")
        if header.get("alg") != ALGORITHM or header.get("typ") != HEADER_TYPE or not isinstance(kid, str):
            raise TokenError("this is no access token")
        is_stale = self._loaded_at is None or self._now() - self._loaded_at > timedelta(seconds=30)
        if kid not in self._public and is_stale:
            await self.load()
        if kid not in self._public:
            raise TokenError("the access token was signed by nobody we know")
        return self._public[kid]

    def _opened(self, row: SigningKeyRow) -> Ed25519PrivateKey | None:
        try:
            return Ed25519PrivateKey.from_private_bytes(self._sealer.open(row.sealed_private_key, row.kid))
        except SealError:
            return None

    def _made(self) -> tuple[SigningKeyRow, Ed25519PrivateKey]:
        key, kid = Ed25519PrivateKey.generate(), secrets.token_hex(8)
        row = SigningKeyRow(
            kid=kid,
            public_key=key.public_key().public_bytes_raw(),
            sealed_private_key=self._sealer.seal(key.private_bytes_raw(), kid),
            created_at=self._now(),
        )
        return row, key
