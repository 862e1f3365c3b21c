"""The root secret, the keys derived from it, and sealing of small values under them."""

import os
import secrets
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from platform_api.settings import Settings, SettingsError

MIN_SECRET_BYTES = 32
_NONCE_BYTES = 12
_VERSION = b"\x01"


class SealError(ValueError):
    """What was sealed cannot be opened: another root secret, another place, or altered bytes."""


def root_secret(settings: Settings) -> bytes:
    """JWT_SECRET_KEY; on loopback one is made once into `$MODELBRIDGE_HOME/secret` (mode 0600) when absent.

    Raises:
        SettingsError: It is too short, or absent while the platform is reached from elsewhere.
    """
    if settings.jwt_secret_key is not None:
        return _checked(settings.jwt_secret_key.get_secret_value().encode(), "JWT_SECRET_KEY")
    path = settings.home / "secret"
    if path.is_file():
        return _checked(path.read_text(encoding="ascii").strip().encode(), str(path))
    if not settings.is_loopback:
        raise SettingsError(
            f"JWT_SECRET_KEY is not set and the host is {settings.host}: set it to {MIN_SECRET_BYTES} random bytes "
            "or more, for example from `openssl rand -hex 32`, the same for every process"
        )
    return _make_once(path)


def derive_key(root: bytes, purpose: str) -> bytes:
    """A 256-bit key for one purpose. The same root and purpose give the same key."""
    return HKDF(algorithm=SHA256(), length=32, salt=b"modelbridge", info=purpose.encode()).derive(root)


class Sealer:
    """AES-256-GCM under a derived key. `place` says where the sealed value stands; it opens nowhere else."""

    def __init__(self, root: bytes, purpose: str) -> None:
        self._cipher = AESGCM(derive_key(root, purpose))

    def seal(self, value: bytes, place: str) -> bytes:
        nonce = os.urandom(_NONCE_BYTES)
        return _VERSION + nonce + self._cipher.encrypt(nonce, value, place.encode())

    def open(self, sealed: bytes, place: str) -> bytes:
        """The value. Raises SealError."""
        if not sealed.startswith(_VERSION):
            raise SealError("sealed under a version this release does not know")
        if len(sealed) <= len(_VERSION) + _NONCE_BYTES:
            raise SealError("cut off")
        nonce, rest = sealed[1 : 1 + _NONCE_BYTES], sealed[1 + _NONCE_BYTES :]
        try:
            return self._cipher.decrypt(nonce, rest, place.encode())
        except InvalidTag as error:
            raise SealError("sealed under another root secret, for another place, or altered") from error


def _checked(secret: bytes, source: str) -> bytes:
    if len(secret) < MIN_SECRET_BYTES:
        raise SettingsError(f"{source} is {len(secret)} bytes long; it needs {MIN_SECRET_BYTES} or more")
    return secret


def _make_once(path: Path) -> bytes:
    """Write a new secret, or read the one another process wrote first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    secret = secrets.token_hex(MIN_SECRET_BYTES)
    draft = path.with_name(f".secret-{secrets.token_hex(4)}")
    draft.touch(mode=0o600, exist_ok=False)
    draft.write_text(secret, encoding="ascii")
    try:
        os.link(draft, path)
    except FileExistsError:
        secret = path.read_text(encoding="ascii").strip()
    finally:
        draft.unlink()
    return _checked(secret.encode(), str(path))
