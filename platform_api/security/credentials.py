"""API keys, opaque tokens and passwords: how they are made, recognised and stored. None is stored in the clear."""

import asyncio
import base64
import hashlib
import hmac
import re
import secrets
import string
import unicodedata
import zlib
from dataclasses import dataclass
from typing import Literal

from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase
KEY_PATTERN = re.compile(r"mb_(?:live|test)_[0-9A-Za-z]{46}")
MIN_PASSWORD_CHARACTERS = 8
MAX_PASSWORD_CHARACTERS = 128
_RANDOM_CHARACTERS = 40
_CHECKSUM_CHARACTERS = 6
_WELL_KNOWN = frozenset(
    {"password", "password1", "12345678", "123456789", "1234567890", "qwertyuiop", "11111111", "iloveyou", "00000000"}
)

TokenKind = Literal["mbr", "mbs", "mbc"]
"""mbr_ refresh token, mbs_ studio session, mbc_ session code."""


@dataclass(frozen=True, slots=True)
class NewApiKey:
    """A key just made; `text` is shown once."""

    text: str
    key_hash: str
    prefix: str
    last_four: str


def make_api_key(kind: Literal["live", "test"] = "live") -> NewApiKey:
    """A new key: 238 random bits and a checksum, so that a typo or a scanner's guess never reaches the database."""
    body = "".join(secrets.choice(BASE62) for _ in range(_RANDOM_CHARACTERS))
    text = f"mb_{kind}_{body}{_checksum(f'mb_{kind}_{body}')}"
    return NewApiKey(text, secret_hash(text), text[:14], text[-4:])


def is_api_key(text: str) -> bool:
    """Has it the form of a key, and the right checksum? No look-up is made for anything else."""
    if KEY_PATTERN.fullmatch(text) is None:
        return False
    return hmac.compare_digest(text[-_CHECKSUM_CHARACTERS:], _checksum(text[:-_CHECKSUM_CHARACTERS]))


def make_token(kind: TokenKind) -> str:
    """An opaque token of 256 random bits."""
    return f"{kind}_{secrets.token_urlsafe(32)}"


def successor_token(parent: str, key: bytes) -> str:
    """The refresh token that follows `parent`. It can be made again from the parent, so that no store holds it."""
    digest = hmac.digest(key, parent.encode(), "sha256")
    return f"mbr_{base64.urlsafe_b64encode(digest).decode().rstrip('=')}"


def secret_hash(text: str) -> str:
    """What is stored of a key or token: SHA-256 in hex. Right for 112 random bits and more, never for passwords."""
    return hashlib.sha256(text.encode()).hexdigest()


def password_problem(password: str, *, email: str = "") -> str | None:
    """Why this password is not taken, or None. Asked before anything is hashed."""
    if len(password) > MAX_PASSWORD_CHARACTERS or len(normalized_password(password)) > MAX_PASSWORD_CHARACTERS:
        return f"at most {MAX_PASSWORD_CHARACTERS} characters"
    if "\x00" in password:
        return "must not contain NUL"
    if len(normalized_password(password)) < MIN_PASSWORD_CHARACTERS:
        return f"at least {MIN_PASSWORD_CHARACTERS} characters"
    if password.lower() in _WELL_KNOWN or (email and password.lower() == email.lower()):
        return "too easy to guess"
    return None


def normalized_password(password: str) -> str:
    """One form for what different keyboards send for the same characters (NFKC)."""
    return unicodedata.normalize("NFKC", password)


class Passwords:
    """Hashes and verifies with argon2id (t=1, m=46 MiB, p=1) off the event loop, a few at a time.

    Source: OWASP ASVS 5, appendix C.
    """

    def __init__(self, *, at_a_time: int = 2, memory_kib: int = 47_104) -> None:
        self._hasher = PasswordHash((Argon2Hasher(time_cost=1, memory_cost=memory_kib, parallelism=1),))
        self._slots = asyncio.Semaphore(at_a_time)
        self._dummy: str | None = None

    async def hash(self, password: str) -> str:
        """The hash to store."""
        async with self._slots:
            return await asyncio.to_thread(self._hasher.hash, normalized_password(password))

    async def verify(self, password: str, stored: str | None) -> tuple[bool, str | None]:
        """Is it the password? And a better hash to store, when parameters have risen.

        With `stored` None it takes as long and answers no: an unknown user cannot be told from a wrong password.
        """
        if self._dummy is None:
            self._dummy = await self.hash(secrets.token_urlsafe(16))
        async with self._slots:
            is_right, better = await asyncio.to_thread(
                self._hasher.verify_and_update, normalized_password(password), stored or self._dummy
            )
        return (is_right, better) if stored is not None else (False, None)


def _checksum(text: str) -> str:
    number = zlib.crc32(text.encode())
    digits = ""
    for _ in range(_CHECKSUM_CHARACTERS):
        number, digit = divmod(number, len(BASE62))
        digits = BASE62[digit] + digits
    return digits
