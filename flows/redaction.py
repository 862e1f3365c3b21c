"""What recordings must not show: credentials, told by the name a value stands under and by what they look like."""

import re
from collections.abc import Mapping, Sequence

from bridge.json_types import JsonValue

HIDDEN = "[redacted]"
_NAMED = re.compile(
    r"(?:^|[-_.])(?:password|passwd|secret|authorization|cookie|credentials?|token|api[-_]?key|apikey)$", re.IGNORECASE
)
_LOOKS_SECRET = re.compile(
    r"\b(?:sk|pk|rk|whsec)[-_][0-9A-Za-z_\-]{12,}"  # vendors' keys
    r"|\bmb[rsc]?_(?:live_|test_)?[0-9A-Za-z_\-]{20,}"  # our own
    r"|\beyJ[0-9A-Za-z_\-]{8,}\.[0-9A-Za-z_\-]+\.[0-9A-Za-z_\-]*"  # JSON Web Tokens
    r"|(?<=://)[^/\s:@]+:[^/\s@]+(?=@)"  # user:password in a URL
    r"|(?i:\bbearer)\s+[^\s\"']{8,}"
)


def without_secrets(value: JsonValue, name: str = "") -> JsonValue:
    """The value with every credential in it hidden."""
    if name and isinstance(value, str) and _NAMED.search(name):
        return HIDDEN
    if isinstance(value, str):
        return _LOOKS_SECRET.sub(HIDDEN, value)
    if isinstance(value, Mapping):
        return {key: without_secrets(inner, key) for key, inner in value.items()}
    if isinstance(value, Sequence):
        return [without_secrets(inner) for inner in value]
    return value
