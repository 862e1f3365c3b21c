"""A small real HTTP server that answers like the platform's API, for the studio's tests.

It keeps flows, runs, calls and sessions in memory; a triggered run grows in real time, so pages can be watched live.
"""

import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.support.studio_rows import (
    CALLS,
    FAILS,
    FLOW_FACTS,
    FLOW_YAML,
    GRAPH,
    INPUTS_SCHEMA,
    SUCCEEDS,
    FakeRun,
    Json,
    history,
)

EMAIL = "ada@example.com"
PASSWORD = "correct horse battery"
TOKEN = "session-token-for-tests"
LIVE_RUN = "0195b000-0000-7000-8000-00000000aaaa"
DONE_RUN = "0195b000-0000-7000-8000-00000000bbbb"
FAILED_RUN = "0195b000-0000-7000-8000-00000000cccc"


@dataclass
class FakePlatform:
    """The state behind the routes. `broken` maps a path prefix to the status it answers with."""

    url: str = ""
    speed: float = 1.0
    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    runs: dict[str, FakeRun] = field(default_factory=dict[str, FakeRun])
    calls: dict[str, Json] = field(default_factory=lambda: dict(CALLS))
    codes: set[str] = field(default_factory=set[str])
    tokens: set[str] = field(default_factory=lambda: {TOKEN})
    keys: dict[str, str] = field(default_factory=dict[str, str])
    broken: dict[str, int] = field(default_factory=dict[str, int])
    requests: list[str] = field(default_factory=list[str])
    is_empty: bool = False

    def __post_init__(self) -> None:
        ticket = {"ticket": "My invoice shows the wrong VAT rate.", "tier": "pro"}
        for run_id, script, minutes in ((DONE_RUN, SUCCEEDS, 9), (FAILED_RUN, FAILS, 27)):
            self.runs[run_id] = FakeRun(run_id, script, self.now - timedelta(minutes=minutes), ticket)

    def start_live(self, *, at_s: float = 0.0, speed: float | None = None) -> FakeRun:
        """A run that is `at_s` seconds of its script old now."""
        pace = self.speed if speed is None else speed
        began = datetime.now(UTC) - timedelta(seconds=at_s / pace)
        run = FakeRun(LIVE_RUN, SUCCEEDS, began, {"ticket": "Site is down"}, pace)
        self.runs[run.run_id] = run
        return run

    def app(self) -> Starlette:
        """The routes of the seams that the studio reads."""
        return Starlette(
            routes=[
                Route("/api/auth/session-codes", self.session_code, methods=["POST"]),
                Route("/api/auth/session-codes/exchange", self.exchange, methods=["POST"]),
                Route("/api/auth/sessions/{session_id}", self.end_session, methods=["DELETE"]),
                Route("/api/auth/me", self.guarded(self.me)),
                Route("/api/flows", self.guarded(self.list_flows)),
                Route("/api/flows/{flow}", self.guarded(self.get_flow)),
                Route("/api/flows/{flow}/publish", self.guarded(self.publish), methods=["POST"]),
                Route("/api/flows/{flow}/runs", self.guarded(self.start_run), methods=["POST"]),
                Route("/api/runs", self.guarded(self.list_runs)),
                Route("/api/runs/{run_id}", self.guarded(self.get_run)),
                Route("/api/runs/{run_id}/cancel", self.guarded(self.cancel), methods=["POST"]),
                Route("/api/calls/{call_id}", self.guarded(self.get_call)),
            ]
        )

    def guarded(self, answer: Any) -> Any:
        """Only with a live token; a broken path answers with its status."""

        async def handle(request: Request) -> Response:
            self.requests.append(f"{request.method} {request.url.path}?{request.url.query}")
            for prefix, status in self.broken.items():
                if request.url.path.startswith(prefix):
                    return problem(status, "The database is being moved. Try again in a minute.")
            token = request.headers.get("authorization", "").removeprefix("Bearer ")
            if token not in self.tokens:
                return problem(401, "Sign in first.")
            return await answer(request)

        return handle

    async def session_code(self, request: Request) -> Response:
        body = await request.json()
        if (body["email"], body["password"]) != (EMAIL, PASSWORD):
            return problem(401, "E-mail or password is wrong.")
        code = uuid4().hex
        self.codes.add(code)
        return JSONResponse({"code": code, "expires_in_s": 30}, status_code=201)

    async def exchange(self, request: Request) -> Response:
        code = (await request.json())["code"]
        if code not in self.codes:
            return problem(401, "This code was used or is too old.")
        self.codes.discard(code)
        token = uuid4().hex
        self.tokens.add(token)
        return JSONResponse({"session_id": str(uuid4()), "token": token}, status_code=201)

    async def end_session(self, request: Request) -> Response:
        self.tokens.discard(request.headers.get("authorization", "").removeprefix("Bearer "))
        return Response(status_code=204)

    async def me(self, _: Request) -> Response:
        return JSONResponse(
            {"user": {"email": EMAIL, "name": "Ada Lovelace"}, "organization": {"name": "Acme", "slug": "acme"}}
        )

    async def list_flows(self, _: Request) -> Response:
        if self.is_empty:
            return JSONResponse({"items": [], "next_cursor": None})
        rows = history(self.now)
        items = [self.flow_row(name, text, version, rows) for name, text, version, _, _ in FLOW_FACTS]
        items.append(
            {
                "name": "draft-only", "description": None, "latest_version": 1, "published_version": None,
                "updated_at": self.now.isoformat(), "last_runs": [], "runs_24h": 0, "success_share": None,
                "p50_duration_ms": None, "cost_per_run_usd": None, "next_run_at": None,
            }
        )  # fmt: skip
        return JSONResponse({"items": items, "next_cursor": None})

    def flow_row(self, name: str, text: str, version: int, rows: list[Json]) -> Json:
        last = [row for row in rows if row["flow"] == name][:20]
        good = sum(1 for row in last if row["status"] == "succeeded")
        durations = sorted(row["duration_ms"] for row in last)
        costs = [row["cost_usd"] for row in last if row["cost_usd"] is not None]
        return {
            "name": name,
            "description": text,
            "latest_version": version,
            "published_version": version if name != "model-comparison" else version - 1,
            "updated_at": (self.now - timedelta(hours=3)).isoformat(),
            "last_runs": [{key: row[key] for key in ("run_id", "status", "duration_ms", "created_at")} for row in last],
            "runs_24h": len(last) // 2,
            "success_share": good / len(last),
            "p50_duration_ms": durations[len(durations) // 2],
            "cost_per_run_usd": sum(costs) / len(costs),
            "next_run_at": (self.now + timedelta(hours=7)).isoformat() if name == "nightly-check" else None,
        }

    async def get_flow(self, request: Request) -> Response:
        name = request.path_params["flow"]
        facts = {fact[0]: fact for fact in FLOW_FACTS}
        if name not in facts and name != "draft-only":
            return problem(404, f"There is no flow {name!r}.")
        latest = facts[name][2] if name in facts else 1
        version = int(request.query_params.get("version", latest))
        return JSONResponse(
            {
                "name": name,
                "description": facts[name][1] if name in facts else "",
                "version": version,
                "status": "published" if name in facts else "draft",
                "yaml": FLOW_YAML,
                "content_hash": "9f2c" * 16,
                "diagnostics": [],
                "inputs_schema": INPUTS_SCHEMA,
                "graph": GRAPH,
                "versions": [
                    {
                        "version": number,
                        "status": "published" if name in facts else "draft",
                        "created_at": (self.now - timedelta(days=latest - number)).isoformat(),
                    }
                    for number in range(latest, 0, -1)
                ],
            }
        )

    async def publish(self, _: Request) -> Response:
        return JSONResponse({"status": "published"})

    async def start_run(self, request: Request) -> Response:
        body = await request.json()
        ticket = body["inputs"].get("ticket", "")
        if not ticket:
            return problem(422, "The inputs are not valid.", [{"pointer": "/ticket", "message": "must not be empty"}])
        key = request.headers["idempotency-key"]
        if key not in self.keys:
            run_id = self.keys[key] = f"0195c000-0000-7000-8000-{len(self.keys):012x}"
            script = FAILS if "fail" in ticket else SUCCEEDS
            self.runs[run_id] = FakeRun(run_id, script, datetime.now(UTC), body["inputs"], self.speed)
        return JSONResponse({"run_id": self.keys[key], "status": "queued", "outputs": None}, status_code=202)

    async def list_runs(self, request: Request) -> Response:
        query = request.query_params
        own = [run.summary(datetime.now(UTC)) for run in self.runs.values()]
        rows = [] if self.is_empty else sorted([*own, *history(self.now)], key=lambda row: row["created_at"])[::-1]
        if query.get("flow"):
            rows = [row for row in rows if row["flow"] == query["flow"]]
        if query.get("status"):
            rows = [row for row in rows if row["status"] == query["status"]]
        if query.get("since"):
            since = datetime.fromisoformat(query["since"])
            rows = [row for row in rows if datetime.fromisoformat(row["created_at"]) >= since]
        begin = int(query.get("cursor") or 0)
        return JSONResponse(
            {"items": rows[begin : begin + 50], "next_cursor": str(begin + 50) if len(rows) > begin + 50 else None}
        )

    async def get_run(self, request: Request) -> Response:
        run = self.runs.get(request.path_params["run_id"])
        return JSONResponse(run.detail(datetime.now(UTC))) if run else problem(404, "There is no such run.")

    async def cancel(self, request: Request) -> Response:
        run = self.runs[request.path_params["run_id"]]
        run.cancelled_at = run.elapsed(datetime.now(UTC))
        return Response(status_code=202)

    async def get_call(self, request: Request) -> Response:
        found = self.calls.get(request.path_params["call_id"])
        return JSONResponse(found) if found else problem(404, "There is no such call.")


def problem(status: int, detail: str, errors: list[Json] | None = None) -> Response:
    """application/problem+json."""
    body = {"type": "about:blank", "title": "Refused", "status": status, "detail": detail, "request_id": "r-1"}
    return JSONResponse(
        {**body, **({"errors": errors} if errors else {})},
        status_code=status,
        media_type="application/problem+json",
    )


@contextmanager
def fake_platform(speed: float = 1.0) -> Generator[FakePlatform]:
    """The fake, served on a free loopback port until the block ends."""
    platform = FakePlatform(speed=speed)
    server = uvicorn.Server(
        uvicorn.Config(platform.app(), host="127.0.0.1", port=0, log_level="warning", lifespan="off", ws="none")
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 10
    while not server.started:
        if time.monotonic() > deadline:
            raise TimeoutError("the fake platform did not start")
        time.sleep(0.01)
    platform.url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    try:
        yield platform
    finally:
        server.should_exit = True
        thread.join(timeout=10)
