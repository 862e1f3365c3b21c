"""The studio's only way to the platform: typed calls over one HTTP client, and errors as messages for people."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import quote

import httpx
from pydantic import BaseModel, JsonValue, TypeAdapter, ValidationError

from studio.api_shapes import (
    CallView,
    FlowDetail,
    FlowSummary,
    Page,
    RunDetail,
    RunSummary,
    SessionCode,
    StartedRun,
)

Answer = TypeVar("Answer", bound=BaseModel)
QueryValue = str | int | None

PAGE_SIZE = 100
"""What the platform serves at most."""
TIMEOUT = httpx.Timeout(15.0, connect=3.0)


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """What is wrong with one input. `pointer` is a JSON pointer into the body or the inputs."""

    pointer: str
    message: str


class ApiError(Exception):
    """The platform refused or could not be reached. The text is a sentence for the person at the screen."""

    def __init__(self, message: str, *, status: int | None = None, problems: tuple[FieldProblem, ...] = ()) -> None:
        super().__init__(message)
        self.status = status
        self.problems = problems


class SignedOutError(ApiError):
    """The session is over, or never was."""


class StudioApi:
    """Calls on behalf of one signed-in person. Cheap to make; the HTTP client is shared and holds no credentials."""

    def __init__(self, http: httpx.Client, token: str | None) -> None:
        self._http = http
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    def session_code(self, email: str, password: str) -> str:
        """A one-time code for the browser to exchange. Raises ApiError with status 401 on wrong credentials."""
        body: dict[str, JsonValue] = {"email": email, "password": password}
        return self._send(SessionCode, "POST", "/api/auth/session-codes", json=body).code

    def me(self) -> dict[str, JsonValue]:
        """Who is signed in, as the platform tells it."""
        reply = self._request("GET", "/api/auth/me")
        return TypeAdapter(dict[str, JsonValue]).validate_json(reply.content)

    def flows(self, cursor: str | None = None) -> Page[FlowSummary]:
        """One page of flows with their recent health."""
        return self._send(Page[FlowSummary], "GET", "/api/flows", params={"cursor": cursor, "limit": PAGE_SIZE})

    def flow(self, name: str, version: int | None = None) -> FlowDetail:
        """A flow at `version`, else at its latest."""
        return self._send(FlowDetail, "GET", f"/api/flows/{_segment(name)}", params={"version": version})

    def publish(self, name: str, version: int) -> None:
        """Make `version` the one that runs without a version use."""
        self._request("POST", f"/api/flows/{_segment(name)}/publish", json={"version": version})

    def start_run(
        self, flow: str, inputs: Mapping[str, JsonValue], *, version: int | None, idempotency_key: str
    ) -> StartedRun:
        """Trigger a run and return at once. The same key never starts a second one."""
        body: dict[str, JsonValue] = {"inputs": dict(inputs)}
        if version is not None:
            body["version"] = version
        headers = {"Idempotency-Key": idempotency_key}
        return self._send(StartedRun, "POST", f"/api/flows/{_segment(flow)}/runs", json=body, headers=headers)

    def runs(
        self,
        *,
        flow: str | None = None,
        status: str | None = None,
        since: str | None = None,
        cursor: str | None = None,
        limit: int = PAGE_SIZE,
    ) -> Page[RunSummary]:
        """One page of runs, newest first. `since` is an ISO instant."""
        params: dict[str, QueryValue] = {
            "flow": flow,
            "status": status,
            "since": since,
            "cursor": cursor,
            "limit": limit,
        }
        return self._send(Page[RunSummary], "GET", "/api/runs", params=params)

    def run(self, run_id: str) -> RunDetail:
        """One run with its steps."""
        return self._send(RunDetail, "GET", f"/api/runs/{_segment(run_id)}")

    def cancel_run(self, run_id: str) -> None:
        """Ask for the run to stop; it may take a moment."""
        self._request("POST", f"/api/runs/{_segment(run_id)}/cancel")

    def call(self, call_id: str) -> CallView:
        """One call through the bridge with its decision."""
        return self._send(CallView, "GET", f"/api/calls/{_segment(call_id)}")

    def _send(
        self,
        shape: type[Answer],
        method: str,
        path: str,
        *,
        params: Mapping[str, QueryValue] | None = None,
        json: JsonValue = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        reply = self._request(method, path, params=params, json=json, headers=headers)
        try:
            return shape.model_validate_json(reply.content)
        except ValidationError as error:
            where = "/".join(str(part) for part in error.errors()[0]["loc"])
            raise ApiError(
                f"The platform answered {method} {path} in a shape this studio does not know (at {where})."
            ) from error

    def _request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, QueryValue] | None = None,
        json: JsonValue = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        known = {key: value for key, value in (params or {}).items() if value is not None}
        try:
            reply = self._http.request(
                method, path, params=known, json=json, headers={**self._headers, **(headers or {})}
            )
        except httpx.TimeoutException as error:
            raise ApiError("The platform did not answer in time. Try again in a moment.") from error
        except httpx.HTTPError as error:
            raise ApiError("The platform cannot be reached. Check that the API is running, then try again.") from error
        if reply.is_error:
            raise _refusal(reply)
        return reply


def open_http(api_url: str, transport: httpx.BaseTransport | None = None) -> httpx.Client:
    """The one HTTP client of this process."""
    return httpx.Client(base_url=api_url, timeout=TIMEOUT, transport=transport, headers={"Accept": "application/json"})


class _Problem(BaseModel):
    """The parts of application/problem+json that people can use."""

    title: str | None = None
    detail: str | None = None
    errors: list[FieldProblem] = []


def _refusal(reply: httpx.Response) -> ApiError:
    try:
        problem = _Problem.model_validate_json(reply.content)
    except ValidationError:
        problem = _Problem()
    message = problem.detail or problem.title or f"The platform answered with status {reply.status_code}."
    kind = SignedOutError if reply.status_code == 401 else ApiError
    return kind(message, status=reply.status_code, problems=tuple(problem.errors))


def _segment(text: str) -> str:
    """`text` as one path segment: nothing in it can leave the path."""
    return quote(text, safe="").replace(".", "%2E") if text in {".", ".."} else quote(text, safe="")
