"""What the platform raises, and the one place that decides which status an error is answered with.

ApiError
├── BadRequestError        400  the request cannot be read
├── UnauthenticatedError   401  nobody is signed in, or the credential is not valid
├── ForbiddenError         403  signed in, but not allowed
├── NotFoundError          404  not there, or another organisation's
├── ConflictError          409  the state of things forbids it
├── TooLargeError          413  the body is over the limit
├── InvalidError           422  readable but wrong; carries `problems`
├── ThrottledError         429  too many attempts; carries `retry_after_s`
└── UnavailableError       503  a part we need does not answer
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import ClassVar

from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from bridge import errors as bridge_errors


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """One thing wrong with the input: a JSON pointer to it, and what is wrong."""

    pointer: str
    message: str


class ApiError(Exception):
    """Base of errors that are answered as they are."""

    status: ClassVar[int] = 500
    default_code: ClassVar[str] = "internal"
    kind: str | None = None
    """The problem's `type`, where a standard has one."""
    members: Mapping[str, object] = {}
    """Of the problem, beside those that every problem has."""

    def __init__(self, detail: str, *, code: str | None = None, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.code = code or self.default_code
        self.headers = dict(headers or {})
        self.problems: tuple[FieldProblem, ...] = ()


class BadRequestError(ApiError):
    """The request cannot be read."""

    status = 400
    default_code = "bad_request"


class UnauthenticatedError(ApiError):
    """Nobody is signed in, or the credential is not valid (any more)."""

    status = 401
    default_code = "unauthenticated"

    def __init__(self, detail: str = "sign in, or send an API key", *, code: str | None = None) -> None:
        super().__init__(detail, code=code, headers={"www-authenticate": "Bearer"})


class ForbiddenError(ApiError):
    """The caller may not do this."""

    status = 403
    default_code = "forbidden"


class NotFoundError(ApiError):
    """There is no such thing in the caller's organisation."""

    status = 404
    default_code = "not_found"

    def __init__(self, kind: str, name: object, *, code: str | None = None) -> None:
        super().__init__(f"there is no {kind} {str(name)!r}", code=code)


class ConflictError(ApiError):
    """The state of things forbids it; `code` says which rule."""

    status = 409
    default_code = "conflict"


class TooLargeError(ApiError):
    """The body is over the limit."""

    status = 413
    default_code = "too_large"


class InvalidError(ApiError):
    """Readable but wrong."""

    status = 422
    default_code = "invalid"

    def __init__(self, detail: str, problems: Sequence[FieldProblem] = (), *, code: str | None = None) -> None:
        super().__init__(detail, code=code)
        self.problems = tuple(problems)


class ThrottledError(ApiError):
    """Too many attempts."""

    status = 429
    default_code = "throttled"

    def __init__(self, detail: str, *, retry_after_s: float) -> None:
        super().__init__(detail, headers={"retry-after": str(max(1, round(retry_after_s)))})


class UnavailableError(ApiError):
    """A part we need does not answer."""

    status = 503
    default_code = "unavailable"


@dataclass(frozen=True, slots=True)
class Problem:
    """An error as it goes over the wire (RFC 9457), before a dialect shapes it."""

    status: int
    code: str
    detail: str
    errors: tuple[FieldProblem, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    kind: str | None = None
    members: Mapping[str, object] = field(default_factory=dict[str, object])

    def to_json(self, request_id: str | None) -> dict[str, object]:
        """The members of application/problem+json."""
        body: dict[str, object] = {
            "type": self.kind or f"urn:modelbridge:problem:{self.code}",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
            "request_id": request_id,
        }
        if self.errors:
            body["errors"] = [{"pointer": error.pointer, "message": error.message} for error in self.errors]
        return {**body, **self.members}


_LOWER: Mapping[type[Exception], tuple[int, str]] = {
    bridge_errors.ConfigurationError: (500, "configuration"),
    bridge_errors.NoRouteError: (503, "no_route"),
    bridge_errors.UnknownModelError: (404, "unknown_model"),
    bridge_errors.UnsupportedFeatureError: (422, "unsupported_feature"),
    bridge_errors.BudgetExceededError: (402, "budget_exceeded"),
    bridge_errors.BudgetUnavailableError: (503, "budget_unavailable"),
    bridge_errors.JournalUnavailableError: (503, "journal_unavailable"),
    bridge_errors.SchemaViolationError: (502, "schema_violation"),
    bridge_errors.DeadlineExceededError: (504, "deadline_exceeded"),
    bridge_errors.StreamInterruptedError: (502, "stream_interrupted"),
    bridge_errors.RateLimitedError: (429, "provider_rate_limit"),
    bridge_errors.AttemptTimeoutError: (504, "provider_timeout"),
    bridge_errors.UnavailableError: (502, "provider_unavailable"),
    bridge_errors.CredentialError: (502, "provider_credential"),
    bridge_errors.ContextLengthError: (422, "context_length"),
    bridge_errors.ContentFilterError: (422, "content_filter"),
    bridge_errors.MalformedReplyError: (502, "provider_reply"),
    bridge_errors.UnsupportedHereError: (422, "unsupported_feature"),
    bridge_errors.RejectedError: (422, "rejected_by_provider"),
    bridge_errors.ProviderError: (502, "provider_error"),
    OperationalError: (503, "database_unavailable"),
    InterfaceError: (503, "database_unavailable"),
    PoolTimeoutError: (503, "database_busy"),
    ConnectionError: (503, "service_unreachable"),
}
KNOWN_ERRORS: tuple[type[Exception], ...] = (ApiError, *_LOWER)
"""Errors that are part of normal operation: answered, not logged with a traceback."""
_HIDDEN = {
    "database_unavailable": "the database does not answer",
    "database_busy": "the database is busy",
    "service_unreachable": "a service we need does not answer",
}


def to_problem(error: Exception) -> Problem:
    """What to answer for `error`. An unknown one becomes 500 without its text."""
    if isinstance(error, ApiError):
        return Problem(error.status, error.code, error.detail, error.problems, error.headers, error.kind, error.members)
    for kind in type(error).__mro__:
        if kind in _LOWER:
            status, code = _LOWER[kind]
            return Problem(status, code, _HIDDEN.get(code, str(error)), headers=_retry_header(error))
    return Problem(500, "internal", "something broke on our side; the request id leads to its log entry")


def _retry_header(error: Exception) -> dict[str, str]:
    if isinstance(error, bridge_errors.ProviderError) and error.retry_after_s is not None:
        return {"retry-after": str(max(1, round(error.retry_after_s)))}
    return {}
