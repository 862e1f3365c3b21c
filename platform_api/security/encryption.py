"""Envelope encryption of values that tenants hand us: a data key for each value, wrapped by one key of ours.

Sealed bytes: version (1), id of the wrapping key (4), nonce and wrapped data key (12 + 48), nonce (12), ciphertext with
tag. Both layers are AES-256-GCM and bound to the place where the value stands, so that a row copied to another
organisation, row or field does not open.

Source: NIST SP 800-38D (GCM); key wrapping under a key-encryption key as in NIST SP 800-57 part 1, 5.3.
"""

import os
from dataclasses import dataclass
from hashlib import sha256

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from platform_api.security.root_secret import SealError, derive_key

_VERSION = b"\x01"
_KEY_ID_BYTES, _NONCE_BYTES, _WRAPPED_BYTES = 4, 12, 48
_HEAD_BYTES = 1 + _KEY_ID_BYTES + _NONCE_BYTES + _WRAPPED_BYTES + _NONCE_BYTES


@dataclass(frozen=True, slots=True)
class Place:
    """Where a sealed value stands."""

    org_id: str
    table: str
    row_id: str
    field: str

    def bound(self) -> bytes:
        """What both layers are bound to."""
        return "\x1f".join((self.org_id, self.table, self.row_id, self.field)).encode()


class Envelope:
    """Seals and opens values under the root secret."""

    def __init__(self, root: bytes) -> None:
        key = derive_key(root, "tenant-values")
        self._wrapping = AESGCM(key)
        self._key_id = sha256(b"id:" + key).digest()[:_KEY_ID_BYTES]

    def seal(self, value: bytes, place: Place) -> bytes:
        """The value under a new data key; sealing twice gives different bytes."""
        bound, data_key = place.bound(), AESGCM.generate_key(256)
        wrap_nonce, nonce = os.urandom(_NONCE_BYTES), os.urandom(_NONCE_BYTES)
        wrapped = self._wrapping.encrypt(wrap_nonce, data_key, bound)
        return _VERSION + self._key_id + wrap_nonce + wrapped + nonce + AESGCM(data_key).encrypt(nonce, value, bound)

    def open(self, sealed: bytes, place: Place) -> bytes:
        """The value. Raises SealError: another root secret, another place, or altered bytes."""
        if len(sealed) <= _HEAD_BYTES or not sealed.startswith(_VERSION):
            raise SealError("cut off, or sealed under a version this release does not know")
        key_id, rest = sealed[1 : 1 + _KEY_ID_BYTES], sealed[1 + _KEY_ID_BYTES :]
        if key_id != self._key_id:
            raise SealError("sealed under another root secret; start with the JWT_SECRET_KEY it was sealed under")
        bound = place.bound()
        wrap_nonce, rest = rest[:_NONCE_BYTES], rest[_NONCE_BYTES:]
        wrapped, rest = rest[:_WRAPPED_BYTES], rest[_WRAPPED_BYTES:]
        try:
            data_key = self._wrapping.decrypt(wrap_nonce, wrapped, bound)
            return AESGCM(data_key).decrypt(rest[:_NONCE_BYTES], rest[_NONCE_BYTES:], bound)
        except InvalidTag as error:
            raise SealError("sealed for another place, or altered") from error
