"""Errors as the OpenAI SDKs read them. Source: OpenAI API reference, "Error codes"."""

from collections.abc import Sequence

import msgspec

from platform_api.errors import Problem
from platform_api.limits.headers import openai_headers
from platform_api.limits.windows import Room

_CODES = {
    "unauthenticated": "invalid_api_key",
    "unknown_model": "model_not_found",
    "context_length": "context_length_exceeded",
    "provider_rate_limit": "rate_limit_exceeded",
}
_KINDS = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "insufficient_quota",
    403: "permission_error",
    404: "invalid_request_error",
    405: "invalid_request_error",
    413: "invalid_request_error",
    429: "rate_limit_error",
}


class OpenAIErrors:
    """An ErrorDialect: the `error` object of chat completions, responses, embeddings and models."""

    def error(self, problem: Problem, param: str | None) -> tuple[int, bytes]:
        status = status_of(problem)
        if problem.code == "unknown_model":
            param = "model"
        return status, _body(problem, param)

    def headers(self) -> list[tuple[bytes, bytes]]:
        return []

    def limit_headers(self, rooms: Sequence[Room]) -> list[tuple[bytes, bytes]]:
        return openai_headers(rooms)

    def error_event(self, problem: Problem) -> bytes:
        return b"data: " + _body(problem, None) + b"\n\n"


def status_of(problem: Problem) -> int:
    """The dialect knows no 422: what cannot be served is a bad request."""
    return 400 if problem.status == 422 else problem.status


def kind_of(problem: Problem) -> str:
    """The error's `type`."""
    return _KINDS.get(status_of(problem), "server_error")


def code_of(problem: Problem) -> str:
    """The error's `code`."""
    return _CODES.get(problem.code, problem.code)


def error_object(problem: Problem, param: str | None) -> dict[str, str | None]:
    """The `error` of a body or an event."""
    return {"message": problem.detail, "type": kind_of(problem), "param": param, "code": code_of(problem)}


def _body(problem: Problem, param: str | None) -> bytes:
    return msgspec.json.encode({"error": error_object(problem, param)})
