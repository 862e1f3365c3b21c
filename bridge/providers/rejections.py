"""An HTTP status and an error body as the error tree's word for it. One table for all vendors.

Credentials never get into an error's text: what a provider echoes is masked first.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import cast

import msgspec

from bridge.catalog.deployments import Deployment
from bridge.errors import (
    ContentFilterError,
    ContextLengthError,
    CredentialError,
    MalformedReplyError,
    NotServedError,
    ProviderError,
    RateLimitedError,
    RejectedError,
    UnavailableError,
    UnsupportedHereError,
)
from bridge.json_types import JsonObject

MAX_MESSAGE_CHARS = 600
MAX_RETRY_AFTER_S = 86_400.0
RATE_LIMITED = 429
EPOCH_MS = 1e11
"""An epoch above this is in milliseconds."""
_REQUEST_FAULTS = frozenset({400, 413, 422})
_REFUSALS = frozenset({400, 403, 422, 451})


@dataclass(frozen=True, slots=True)
class _Rule:
    """`kind` for a reply with one of `statuses` (None: any) whose code, type or message matches `words`."""

    kind: type[ProviderError]
    statuses: frozenset[int] | None
    words: re.Pattern[str]


def _words(*alternatives: str) -> re.Pattern[str]:
    return re.compile("|".join(alternatives), re.IGNORECASE)


_RULES: tuple[_Rule, ...] = (
    _Rule(
        ContentFilterError,
        _REFUSALS,
        _words(
            r"content_filter",
            r"content_policy",
            r"ResponsibleAIPolicy",
            r"content management policy",
            r"moderation and your input was flagged",
            r"safety system",
            r"flagged by",
            r"content filtering policy",
        ),
    ),
    _Rule(
        ContextLengthError,
        _REQUEST_FAULTS,
        _words(
            r"context_length_exceeded",
            r"exceed_context_size",
            r"too_many_prompt_tokens",
            r"maximum context length",
            r"context (length|window|size)[^.]{0,60}exceed",
            r"exceed\w*[^.]{0,60}context (length|window|size)",
            r"prompt (is )?too long",
            r"input (is )?too long",
            r"too many (input |prompt )?tokens",
            r"total length of all messages",
            r"request too large",
            r"token count[^.]{0,40}exceeds the maximum",
        ),
    ),
    _Rule(
        CredentialError,
        frozenset({400, 429}),
        _words(
            r"insufficient_quota",
            r"billing_hard_limit",
            r"exceeded your current quota",
            r"insufficient (balance|credits)",
            r"invalid_api_key",
            r"api key not valid",
            r"(invalid|incorrect) api key",
        ),
    ),
    _Rule(
        NotServedError,
        frozenset({400, 404, 410}),
        _words(
            r"model_not_found",
            r"invalid_model",
            r"model_not_active",
            r"model_decommissioned",
            r"DeploymentNotFound",
            r"model \S+ (does not exist|is not found|not found|is not a valid)",
            r"not a valid model",
        ),
    ),
    _Rule(UnsupportedHereError, _REQUEST_FAULTS, _words(r"unsupported_value", r"unsupported_parameter")),
    # The model wrote what its own server could not use: another try may well succeed.
    _Rule(MalformedReplyError, _REQUEST_FAULTS, _words(r"tool_use_failed", r"json_validate_failed")),
)

_BY_STATUS: dict[int, type[ProviderError]] = {
    401: CredentialError,
    402: CredentialError,
    403: CredentialError,
    404: NotServedError,
    405: NotServedError,
    408: UnavailableError,
    409: UnavailableError,
    410: NotServedError,
    413: ContextLengthError,
    425: UnavailableError,
    429: RateLimitedError,
    498: RateLimitedError,  # Groq: flex capacity exceeded
}


@dataclass(frozen=True, slots=True)
class _Complaint:
    """What an error body says, whatever its shape."""

    message: str = ""
    code: str | None = None
    kind: str | None = None
    status: int | None = None
    pause_s: float | None = None
    """What a `google.rpc.RetryInfo` among the details asks for."""

    @property
    def word(self) -> str | None:
        """The code; where a vendor only repeats the status there, the type."""
        is_word = self.code is not None and not self.code.isdigit()
        return self.code if is_word else self.kind

    @property
    def searched(self) -> str:
        return " ".join(part for part in (self.code, self.kind, self.message) if part)


def to_error(status: int, headers: Mapping[str, str], body: bytes, target: Deployment) -> ProviderError:
    """The error for a reply whose status is not 2xx. `headers` have lower-case names."""
    complaint = _complaint_of(_decoded(body))
    told = (retry_after_s(headers), complaint.pause_s, reset_after_s(headers) if status == RATE_LIMITED else None)
    return _error(status, complaint, next((pause_s for pause_s in told if pause_s is not None), None), target)


def decoded_reply(body: bytes, target: Deployment) -> JsonObject:
    """The JSON object in the body of a 2xx reply.

    Raises:
        MalformedReplyError: It is no JSON object.
    """
    try:
        payload = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedReplyError(f"{target.name}: the reply is no JSON", deployment=target.name) from error
    if not isinstance(payload, dict):
        raise MalformedReplyError(f"{target.name}: the reply is no JSON object", deployment=target.name)
    return cast("JsonObject", payload)


def in_band_error(payload: object, target: Deployment) -> ProviderError:
    """The error for an error object inside a reply that began with status 200."""
    complaint = _complaint_of(payload)
    return _error(complaint.status or 502, complaint, None, target)


def _error(status: int, complaint: _Complaint, pause_s: float | None, target: Deployment) -> ProviderError:
    kind = _kind_of(status, complaint, pause_s)
    said = masked(complaint.message, target.api_key) or "no reason given"
    return kind(
        f"{target.name} answered {status}: {said}",
        deployment=target.name,
        status=status,
        code=complaint.word,
        retry_after_s=pause_s,
    )


def _kind_of(status: int, complaint: _Complaint, pause_s: float | None) -> type[ProviderError]:
    if status == 429 and pause_s is not None:
        return RateLimitedError  # a quota that comes back by itself, whatever it is called
    for rule in _RULES:
        if (rule.statuses is None or status in rule.statuses) and rule.words.search(complaint.searched):
            return rule.kind
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    if status >= 500:
        return UnavailableError
    return RejectedError if status >= 400 else NotServedError


def _decoded(body: bytes) -> object:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        text = body[: 4 * MAX_MESSAGE_CHARS].decode("utf-8", "replace").strip()
        return "" if text.startswith("<") else text


def _complaint_of(payload: object) -> _Complaint:
    """Read `{"error": {...}}`, `{"error": "..."}`, `{"detail": ...}`, `{"message": ...}`, a list of one, or text."""
    if isinstance(payload, str):
        return _Complaint(message=payload)
    if isinstance(payload, list):
        items = cast("list[object]", payload)
        return _complaint_of(items[0]) if items else _Complaint()
    if not isinstance(payload, Mapping):
        return _Complaint()
    fields = cast("Mapping[str, object]", payload)
    for wrapper in ("error", "detail", "errors"):
        inner = fields.get(wrapper)
        if inner:
            return _complaint_of(inner)
    code = fields.get("code")
    return _Complaint(
        message=_message_of(fields),
        code=_text(code),
        kind=_text(fields.get("type")) or _text(fields.get("status")),
        pause_s=_retry_info_s(fields.get("details")),
        status=code if isinstance(code, int) and 400 <= code < 600 else None,
    )


def _retry_info_s(details: object) -> float | None:
    """Seconds of `retryDelay` ("34.4s") in an error's details. Source: google.rpc.RetryInfo."""
    for detail in cast("list[object]", details) if isinstance(details, list) else ():
        delay = cast("Mapping[str, object]", detail).get("retryDelay") if isinstance(detail, Mapping) else None
        if isinstance(delay, str) and delay.endswith("s"):
            try:
                return min(max(float(delay[:-1]), 0.0), MAX_RETRY_AFTER_S)
            except ValueError:
                continue
    return None


def _message_of(fields: Mapping[str, object]) -> str:
    """The message; a gateway's message is followed by what its upstream said."""
    message = _text(fields.get("message")) or _text(fields.get("msg")) or ""
    metadata = fields.get("metadata")
    if isinstance(metadata, Mapping):
        raw = _text(cast("Mapping[str, object]", metadata).get("raw"))
        if raw:
            return f"{message}: {raw}"
    return message


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


_SECRET = re.compile(
    r"\b(?:sk|pk|rk|gsk|hf|xai|pplx|sess|AIza|key)[-_][A-Za-z0-9_\-*.]{6,}|\bAIza[\w-]{10,}|(?i:bearer)\s+[\w.\-~+/=]{6,}"
)


def masked(text: str, api_key: str | None) -> str:
    """`text` without credentials and control characters, at most `MAX_MESSAGE_CHARS` long."""
    if api_key and len(api_key) >= 4:
        text = text.replace(api_key, "***")
    text = _SECRET.sub("***", text)
    text = "".join(c if c.isprintable() else " " for c in text)
    return text if len(text) <= MAX_MESSAGE_CHARS else text[: MAX_MESSAGE_CHARS - 3] + "..."


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """The pause a reply asks for, in seconds: `retry-after-ms`, else `Retry-After` as seconds or as a date.

    A date counts from the reply's own `Date`, so that no clock is needed.
    """
    for name, unit_s in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        value = headers.get(name, "").strip()
        if not value:
            continue
        try:
            return min(max(0.0, float(value) * unit_s), MAX_RETRY_AFTER_S)
        except ValueError:
            pause = _until(value, headers.get("date"))
            if pause is not None:
                return pause
    return None


_RESETS = ("requests", "tokens")
_DURATION = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+(?:\.\d+)?)s)?(?:(\d+(?:\.\d+)?)ms)?")
_UNITS_S = (86_400.0, 3600.0, 60.0, 1.0, 0.001)


def reset_after_s(headers: Mapping[str, str]) -> float | None:
    """The pause that the rate-limit headers of a refused request tell: the longest of the used-up limits.

    OpenAI and Groq write durations (`6m0s`, `2m59.56s`, `120ms`), others seconds, or the time as an epoch.
    Without a count of what remains, every limit counts. Sources: OpenAI "Rate limits", Groq "Rate Limits".
    """
    pauses = [
        pause
        for name in (*(f"-{kind}" for kind in _RESETS), "")
        if (pause := _reset_s(headers, name)) is not None and _is_used_up(headers, name)
    ]
    return min(max(pauses), MAX_RETRY_AFTER_S) if pauses else None


def _is_used_up(headers: Mapping[str, str], name: str) -> bool:
    try:
        return float(headers.get(f"x-ratelimit-remaining{name}", "0")) <= 0
    except ValueError:
        return True


def _reset_s(headers: Mapping[str, str], name: str) -> float | None:
    value = headers.get(f"x-ratelimit-reset{name}", "").strip()
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        found = _DURATION.fullmatch(value)
        parts = found.groups() if found is not None else ()
        return sum(float(part or 0) * unit_s for part, unit_s in zip(parts, _UNITS_S, strict=True)) if parts else None
    if seconds <= MAX_RETRY_AFTER_S:
        return max(seconds, 0.0)
    return _since_epoch(seconds, headers.get("date"))


def _since_epoch(then: float, sent: str | None) -> float | None:
    """Seconds from the reply's own `Date` to an epoch in seconds or milliseconds."""
    try:
        now = parsedate_to_datetime(sent or "").timestamp()
    except ValueError:
        return None
    return max((then / 1000 if then > EPOCH_MS else then) - now, 0.0)


def _until(date: str, sent: str | None) -> float | None:
    try:
        then, now = parsedate_to_datetime(date), parsedate_to_datetime(sent or "")
    except ValueError:
        return None
    return _clamped(then, now)


def _clamped(then: datetime, now: datetime) -> float | None:
    if (then.tzinfo is None) != (now.tzinfo is None):
        return None
    return min(max(0.0, (then - now).total_seconds()), MAX_RETRY_AFTER_S)
