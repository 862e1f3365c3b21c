"""Errors as application/problem+json: the handlers FastAPI is given, and the raw form for what runs before it."""

import logging
from collections.abc import Mapping
from typing import Any

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import iter_route_contexts
from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send

from platform_api.errors import KNOWN_ERRORS, FieldProblem, Problem, to_problem
from platform_api.structured_logging import request_id

logger = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
MAX_LISTED = 50
SCHEMA: Mapping[str, Any] = {
    "title": "Problem",
    "description": "An error (RFC 9457). `code` is stable; `errors` says which fields are wrong.",
    "type": "object",
    "required": ["type", "title", "status", "detail", "code", "request_id"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": {"type": "string"},
        "request_id": {"type": ["string", "null"]},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["pointer", "message"],
                "properties": {"pointer": {"type": "string"}, "message": {"type": "string"}},
            },
        },
    },
}
"""A problem in the words of /openapi.json, under the name `Problem`."""
STATUSES: Mapping[int, str] = {
    400: "The request cannot be read",
    401: "Nobody is signed in, or the credential is not valid",
    402: "A budget does not allow it",
    403: "The caller may not do this",
    404: "Not there, or another organisation's",
    405: "Another method",
    408: "The body did not come in time",
    409: "The state of things forbids it",
    413: "The body is too large",
    422: "Readable but wrong; `errors` says where",
    429: "Too many attempts; `retry-after` says when to come back",
    500: "Our fault; the log has the request id",
    502: "No provider gave a usable answer",
    503: "A part we need does not answer",
    504: "No answer within the deadline",
}
"""What each status means, for the description of the API."""
DECLARED: Mapping[int | str, dict[str, Any]] = {
    status: {"description": said, "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}}
    for status, said in STATUSES.items()
}
"""What any route may answer instead of its result, for its declaration."""
_CODES = {404: "not_found", 405: "method_not_allowed", 415: "unsupported_media_type", 400: "bad_request"}


class ProblemResponse(Response):
    """A problem as a reply."""

    media_type = MEDIA_TYPE

    def __init__(self, problem: Problem) -> None:
        body = orjson.dumps(problem.to_json(request_id()))
        super().__init__(body, status_code=problem.status, headers=dict(problem.headers))


async def send_problem(problem: Problem, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer from a middleware."""
    await ProblemResponse(problem)(scope, receive, send)


def answer_errors(app: FastAPI) -> None:
    """Install the handlers. What none of them knows goes on to the outermost middleware, which logs it."""
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    for kind in KNOWN_ERRORS:
        app.add_exception_handler(kind, _known)


def unexpected(error: Exception) -> Problem:
    """Log an error nobody expected, once, and say what to answer."""
    problem = to_problem(error)
    if problem.status >= 500 and problem.code == "internal":
        logger.exception("request_failed", exc_info=error)
    return problem


async def _known(_request: Request, error: Exception) -> Response:
    problem = to_problem(error)
    if problem.status >= 500:  # its text may quote a provider, who may quote the prompt: the caller reads it, no log
        call = getattr(error, "call", None)
        fields = {"problem": problem.code, "error": type(error).__name__, "call_id": getattr(call, "call_id", None)}
        logger.warning("request_refused", extra=fields)
    return ProblemResponse(problem)


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    detail = error.detail if error.status_code != 404 else "there is nothing at this address"
    code = _CODES.get(error.status_code, "http_error")
    headers = dict(error.headers or {})
    if error.status_code == 405:
        headers = {"allow": ", ".join(_methods_at(request))}
    return ProblemResponse(Problem(error.status_code, code, str(detail), headers=headers))


def _methods_at(request: Request) -> list[str]:
    """What may be sent to the address: of all its routes, where the framework names those of the first one only."""
    path = request.scope["path"]
    routes = [route for route in iter_route_contexts(request.app.routes) if hasattr(route, "path_regex")]
    return sorted({method for route in routes if route.path_regex.match(path) for method in route.methods or ()})


async def _invalid(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    listed = error.errors()
    if any(entry["type"] == "json_invalid" for entry in listed):
        return ProblemResponse(Problem(400, "malformed_json", "the body is no JSON", _problems(listed)))
    return ProblemResponse(Problem(422, "invalid", "the request is invalid; `errors` says where", _problems(listed)))


def _problems(listed: Any) -> tuple[FieldProblem, ...]:  # pydantic's error entries
    return tuple(FieldProblem(_pointer(entry["loc"]), _message(entry)) for entry in listed[:MAX_LISTED])


def _message(entry: Any) -> str:  # one of pydantic's error entries; its `input` may hold a secret and is left out
    text = str(entry["msg"]).removeprefix("Value error, ")
    return text[:1].lower() + text[1:]


def _pointer(location: tuple[int | str, ...]) -> str:
    """A JSON pointer into the body; for other places their name comes first (`/query/limit`)."""
    parts = location[1:] if location and location[0] == "body" else location
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)
