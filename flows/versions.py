"""Flow versions: what makes two documents equal, and how one is named."""

import hashlib
import json
import re

from bridge.json_types import JsonValue

_REFERENCE = re.compile(r"([a-z][a-z0-9_-]{0,62})(?:@([1-9][0-9]*))?")


def content_hash(text: str) -> str:
    """SHA-256 of a document, line endings and white space at line ends aside: equal content is the same version."""
    lines = [line.rstrip() for line in text.removeprefix("\ufeff").replace("\r\n", "\n").split("\n")]
    return hashlib.sha256("\n".join(lines).strip("\n").encode("utf-8", "surrogatepass")).hexdigest()


def fingerprint(*parts: JsonValue) -> str:
    """A short hash of JSON values, the same in every process."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def parse_reference(reference: str) -> tuple[str, int | None]:
    """`name@3` as name and version; the version is None when left out. ValueError when it is neither."""
    match = _REFERENCE.fullmatch(reference)
    if match is None:
        raise ValueError(f"{reference!r} is no flow reference; write name or name@version")
    return match[1], int(match[2]) if match[2] else None
