import base64
import json
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jwt.algorithms import OKPAlgorithm

from platform_api.security.root_secret import Sealer
from tests.support.api import SECRET, Api, bearer


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """One database is enough: what is refused here is refused before any query."""
    return sqlite_url


def claims_of(token: str) -> dict[str, Any]:
    return dict(jwt.decode(token, options={"verify_signature": False}))


def unsigned(header: dict[str, Any], claims: dict[str, Any]) -> str:
    def part(value: dict[str, Any]) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    return f"{part(header)}.{part(claims)}."


async def own_key(api: Api) -> tuple[str, Ed25519PrivateKey]:
    """The key the server signs with, as somebody with the root secret would read it."""
    from sqlalchemy import select

    from platform_api.database.tables.identity import SigningKeyRow

    async with api.database.system().read() as db:
        row = (await db.scalars(select(SigningKeyRow))).one()
    opened = Sealer(SECRET.encode(), "signing-keys").open(row.sealed_private_key, row.kid)
    return row.kid, Ed25519PrivateKey.from_private_bytes(opened)


async def status(api: Api, token: str) -> int:
    return (await api.client.get("/api/auth/me", headers=bearer(token))).status_code


async def test_a_token_without_signature_is_refused(api: Api) -> None:
    token = (await api.register())["access_token"]
    kid = jwt.get_unverified_header(token)["kid"]

    for algorithm in ("none", "None", "NONE", "EdDSA"):
        header = {"alg": algorithm, "typ": "at+jwt", "kid": kid}
        assert await status(api, unsigned(header, claims_of(token))) == 401


async def test_a_token_signed_with_the_public_key_as_a_shared_secret_is_refused(api: Api) -> None:
    token = (await api.register())["access_token"]
    kid, key = await own_key(api)
    public = key.public_key().public_bytes_raw()

    forged = jwt.encode(claims_of(token), public, algorithm="HS256", headers={"kid": kid, "typ": "at+jwt"})

    assert await status(api, forged) == 401


@pytest.mark.parametrize("kid", ["unknown", "../../etc/passwd", "' or 1=1 --", "", None, 7])
async def test_a_token_naming_another_key_is_refused(api: Api, kid: object) -> None:
    token = (await api.register())["access_token"]
    header = {"alg": "EdDSA", "typ": "at+jwt", "kid": kid}

    assert await status(api, unsigned(header, claims_of(token)) + "c2lnbmF0dXJl") == 401


async def test_a_key_that_the_token_brings_along_is_not_used(api: Api) -> None:
    token = (await api.register())["access_token"]
    kid, _ = await own_key(api)
    other = Ed25519PrivateKey.generate()
    jwk: dict[str, Any] = OKPAlgorithm.to_jwk(other.public_key(), as_dict=True)
    brought: tuple[dict[str, Any], ...] = (
        {"jwk": jwk},
        {"jku": "https://evil.example/jwks"},
        {"x5u": "https://evil.example/x5u"},
    )
    for extra in brought:
        headers = {"kid": kid, "typ": "at+jwt", **extra}
        forged = jwt.encode(claims_of(token), other, algorithm="EdDSA", headers=headers)
        assert await status(api, forged) == 401


@pytest.mark.parametrize(
    "change",
    [
        {"aud": "other-api"},
        {"aud": ["other-api"]},
        {"iss": "somebody"},
        {"exp": 1},
        {"nbf": 4_000_000_000},
        {"iat": 4_000_000_000},
        {"exp": "never"},
        {"exp": 1e300},
        {"sub": "not-an-id"},
        {"sub": None},
        {"org": "00000000-0000-7000-8000-000000000000", "sid": "00000000-0000-7000-8000-000000000001"},
    ],
)
async def test_our_own_signature_does_not_save_wrong_claims(api: Api, change: dict[str, object]) -> None:
    token = (await api.register())["access_token"]
    kid, key = await own_key(api)

    def signed(claims: dict[str, object]) -> str:
        return jwt.encode(claims, key, algorithm="EdDSA", headers={"kid": kid, "typ": "at+jwt"})

    assert await status(api, signed(claims_of(token))) == 200
    assert await status(api, signed({**claims_of(token), **change})) == 401


@pytest.mark.parametrize("claim", ["iss", "aud", "sub", "org", "sid", "jti", "iat", "exp", "auth_time"])
async def test_a_token_without_a_claim_is_refused(api: Api, claim: str) -> None:
    token = (await api.register())["access_token"]
    kid, key = await own_key(api)
    claims = {name: value for name, value in claims_of(token).items() if name != claim}

    assert await status(api, jwt.encode(claims, key, algorithm="EdDSA", headers={"kid": kid, "typ": "at+jwt"})) == 401


@pytest.mark.parametrize("typ", ["JWT", "id+jwt", "verify+jwt", None])
async def test_a_token_of_another_kind_is_no_access_token(api: Api, typ: str | None) -> None:
    token = (await api.register())["access_token"]
    kid, key = await own_key(api)

    other = jwt.encode(claims_of(token), key, algorithm="EdDSA", headers={"kid": kid, "typ": typ})

    assert await status(api, other) == 401


async def test_a_refresh_token_is_no_access_token(api: Api) -> None:
    tokens = await api.register()

    assert await status(api, tokens["refresh_token"]) == 401


async def test_an_access_token_works_for_ten_minutes(api: Api) -> None:
    token = (await api.register())["access_token"]
    api.clock.advance(599)
    assert await status(api, token) == 200
    api.clock.advance(2)
    assert await status(api, token) == 401


async def test_the_published_keys_verify_a_token_and_hold_no_private_part(api: Api) -> None:
    token = (await api.register())["access_token"]

    keys = (await api.client.get("/.well-known/jwks.json")).json()["keys"]

    assert "d" not in keys[0]
    public = jwt.PyJWK(keys[0]).key
    options: Any = {"verify_exp": False, "verify_iat": False}
    assert jwt.decode(token, public, algorithms=["EdDSA"], audience="modelbridge-api", options=options)["sub"]


@pytest.mark.parametrize("header", ["Bearer", "Bearer ", "Basic YTpi", "bearer a.b.c", "Token x", "Bearer a b"])
async def test_what_is_no_credential_answers_401_with_a_problem(api: Api, header: str) -> None:
    answer = await api.client.get("/api/auth/me", headers={"authorization": header})

    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["www-authenticate"] == "Bearer"
