"""Errors as application/problem+json: the handlers FastAPI is given, and the raw form for what runs before it."""

import logging
from typing import Any

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send

from platform_api.errors import KNOWN_ERRORS, FieldProblem, Problem, to_problem
from platform_api.structured_logging import request_id

logger = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
MAX_LISTED = 50
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
    if problem.status >= 500:
        logger.warning("request_refused", extra={"problem": problem.code, "detail": problem.detail})
    return ProblemResponse(problem)


async def _http(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    detail = error.detail if error.status_code != 404 else "there is nothing at this address"
    code = _CODES.get(error.status_code, "http_error")
    return ProblemResponse(Problem(error.status_code, code, str(detail), headers=dict(error.headers or {})))


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
