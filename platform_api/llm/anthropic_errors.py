"""Errors as the Anthropic SDKs read them. Source: Anthropic API reference, "Errors"."""

from collections.abc import Sequence

import msgspec

from platform_api.errors import Problem
from platform_api.limits.headers import anthropic_headers
from platform_api.limits.windows import Room
from platform_api.structured_logging import request_id

OVERLOADED = 529
_KINDS = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    OVERLOADED: "overloaded_error",
}


class AnthropicErrors:
    """An ErrorDialect: the `error` object of messages, count_tokens and models."""

    def error(self, problem: Problem, param: str | None) -> tuple[int, bytes]:
        return status_of(problem), _body(problem, param)

    def error_event(self, problem: Problem) -> bytes:
        return b"event: error\ndata: " + _body(problem, None) + b"\n\n"

    def headers(self) -> list[tuple[bytes, bytes]]:
        known = request_id()
        return [] if known is None else [(b"request-id", known.encode())]

    def limit_headers(self, rooms: Sequence[Room]) -> list[tuple[bytes, bytes]]:
        return anthropic_headers(rooms)


def status_of(problem: Problem) -> int:
    """The dialect knows no 422, and says 529 where nobody can answer now."""
    if problem.status == 422:
        return 400
    return OVERLOADED if problem.status == 503 else problem.status


def _body(problem: Problem, param: str | None) -> bytes:
    message = problem.detail if param is None or param in problem.detail else f"{param}: {problem.detail}"
    said = {"type": _KINDS.get(status_of(problem), "api_error"), "message": message}
    return msgspec.json.encode({"type": "error", "error": said, "request_id": request_id()})
