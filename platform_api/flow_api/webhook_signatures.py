"""Signatures of webhooks, both ways: HMAC-SHA256 over id, time and body.

Source: Standard Webhooks specification 1.0.0 (symmetric signatures): secret `whsec_` + base64, headers `webhook-id`,
`webhook-timestamp` (seconds) and `webhook-signature` (`v1,` + base64, several separated by spaces).
"""

import hmac
import secrets
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from hashlib import sha256

PREFIX = "whsec_"
SECRET_BYTES = 32
TOLERANCE = timedelta(minutes=5)
"""How far the time of a delivery may lie in the past or in the future."""
MAX_ID_CHARS = 255
MAX_SIGNATURES = 10


def new_secret() -> str:
    """A secret as people are shown it."""
    return PREFIX + b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def sign(secret: str, *, message_id: str, at: datetime, body: bytes) -> str:
    """The value of `webhook-signature`. ValueError when the secret is none."""
    return "v1," + b64encode(_digest(secret, message_id, str(int(at.timestamp())), body)).decode()


def problem_of(
    valid: Iterable[str], *, message_id: str, timestamp: str, signature: str, body: bytes, now: datetime
) -> str | None:
    """What is wrong with a delivery, None when one of the `valid` secrets signed it within TOLERANCE of `now`."""
    if not message_id or len(message_id) > MAX_ID_CHARS or not timestamp or not signature:
        return "the headers webhook-id, webhook-timestamp and webhook-signature are needed"
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12):
        return "webhook-timestamp is no number of seconds"
    given = [part.partition(",")[2] for part in signature.split()[:MAX_SIGNATURES] if part.startswith("v1,")]
    expected = [b64encode(_digest(secret, message_id, timestamp, body)).decode() for secret in valid]
    matches = [hmac.compare_digest(one.encode(), other.encode()) for one in given for other in expected]
    if not any(matches):
        return "the signature does not fit the body, or is of another secret"
    if abs(now - datetime.fromtimestamp(int(timestamp), UTC)) > TOLERANCE:
        return f"webhook-timestamp is more than {TOLERANCE.seconds // 60} minutes away from now"
    return None


def _digest(secret: str, message_id: str, timestamp: str, body: bytes) -> bytes:
    try:
        key = b64decode(secret.removeprefix(PREFIX), validate=True)
    except Base64Error as error:
        raise ValueError(f"a webhook secret is {PREFIX} and base64") from error
    return hmac.new(key, b".".join((message_id.encode(), timestamp.encode(), body)), sha256).digest()
