"""What a status means, when to come back, and which headers a flow may not set."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Annotated

from pydantic import Field

from bridge.errors import ErrorClass
from nodes.errors import NodeError

StatusNumber = Annotated[int, Field(ge=100, le=599)]
StatusClass = Annotated[str, Field(pattern=r"^([1-5]xx|[1-5][0-9]{2})$")]
Expected = StatusNumber | StatusClass

_TOKEN = re.compile(r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")
_BAD_VALUE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_OURS = frozenset(
    {"accept-encoding", "connection", "content-length", "expect", "host", "keep-alive", "te", "trailer",
     "transfer-encoding", "upgrade"}
)  # fmt: skip
_SHOWN_CHARS = 200
_MAX_RETRY_AFTER_S = 86_400.0


def error_class(status: int) -> ErrorClass:
    """The class of an unexpected status (FLOWS, rule 12)."""
    by_status: Mapping[int, ErrorClass] = {401: "auth", 403: "auth", 408: "timeout", 429: "rate_limit"}
    return by_status.get(status, "unavailable" if status >= 500 else "invalid_request")


def status_error(status: int, where: str, text: str, retry_after: str | None) -> NodeError:
    """The failure that an unexpected status is, with the beginning of the answer."""
    shown = " ".join(text.split())[:_SHOWN_CHARS]
    return NodeError(
        f"http: {where} answered {status}{f': {shown}' if shown else ''}",
        error_class=error_class(status),
        retry_after_s=retry_after_s(retry_after, datetime.now(UTC)),
    )


def retry_after_s(value: str | None, now: datetime) -> float | None:
    """Seconds to wait from a Retry-After header: a number or a date. None when there is none that can be read."""
    if value is None:
        return None
    if value.strip().isdigit():
        return min(float(value.strip()[:9]), _MAX_RETRY_AFTER_S)
    try:
        at = parsedate_to_datetime(value)
    except ValueError:
        return None
    aware = at if at.tzinfo else at.replace(tzinfo=UTC)
    return min(max(0.0, (aware - now).total_seconds()), _MAX_RETRY_AFTER_S)


def is_expected(status: int, expected: Expected | list[Expected]) -> bool:
    """Is the status one of those, given as numbers or classes (`2xx`)?"""
    listed = expected if isinstance(expected, list) else [expected]
    return any(str(entry) in {str(status), f"{status // 100}xx"} for entry in listed)


def refused_headers(headers: Mapping[str, str]) -> str | None:
    """What is wrong with the headers, or None."""
    for name, value in headers.items():
        if not _TOKEN.match(name):
            return f"headers: {name!r} is no header name"
        if name.lower() in _OURS or name.lower().startswith("proxy-"):
            return f"headers: {name} is set by the http node itself"
        if _BAD_VALUE.search(value) or not value.isascii():
            return f"headers: the value of {name} has characters that no header may have"
    return None
