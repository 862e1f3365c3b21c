"""Secrets sent through every surface come out in no log, span, metric, error or header. One look at all sinks."""

import io
import json
import logging
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from ruamel.yaml import YAML

from platform_api.database.session import Database
from platform_api.settings import Settings
from platform_api.structured_logging import close_access_log, configure_logging
from platform_api.wiring import Runtime, build_application
from tests.support.api import SECRET, bearer
from tests.support.collector import Collector, running_collector
from tests.support.http_server import Asked, Head, http_server
from tests.support.platform import PRICED

PASSWORD, EMAIL = "Canarypassword-4821-x", "canary.mail@example.com"
PROVIDER_KEY = "canaryproviderkey7731"
PROMPT, ANSWER = "canaryprompt zebra", "canaryanswer walrus"
TASK = "canarytask"
CALLERS_OWN = {("errors", "prompt"), ("errors", "answer")}
"""The error of a call goes to its caller alone, and may quote what a provider said of the caller's own words."""
MODELS = ("good", "unauthorized", "rejected", "broken", "nonsense", "cut")
FLOW = """
flow: canary
spec: 1
inputs:
  message: {type: string}
  model: {type: string, default: acme/good}
nodes:
  draft:
    type: llm
    with: {model: "${{ inputs.model }}", prompt: "{{ m }}", vars: {m: "${{ inputs.message }}"}, max_tokens: 50}
outputs:
  text: ${{ nodes.draft.output.text }}
"""


def upstream(asked: Asked) -> Head:
    """A provider that repeats the key and the prompt in its errors, as some do."""
    body = json.loads(asked.body)
    model, said = body["model"], f"{PROVIDER_KEY} may not ask {PROMPT}"
    if model in {"unauthorized", "rejected", "broken"}:
        status = {"unauthorized": 401, "rejected": 400, "broken": 500}[model]
        return status, {"content-type": "application/json"}, json.dumps({"error": {"message": said}}).encode()
    if model == "nonsense":
        return 200, {"content-type": "application/json"}, f"<html>{said} {ANSWER}".encode()
    usage = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}
    if asked.target.endswith("/embeddings"):
        vector = {"object": "embedding", "index": 0, "embedding": [0.5, 0.5]}
        return 200, {}, json.dumps({"object": "list", "model": model, "data": [vector], "usage": usage}).encode()
    if body.get("stream"):
        return 200, {"content-type": "text/event-stream"}, _events(whole=model != "cut")
    choice = {"index": 0, "message": {"role": "assistant", "content": ANSWER}, "finish_reason": "stop"}
    answer = {"id": "1", "object": "chat.completion", "model": model, "choices": [choice], "usage": usage}
    return 200, {"content-type": "application/json"}, json.dumps(answer).encode()


def _events(*, whole: bool) -> bytes:
    def event(choice: dict[str, Any]) -> bytes:
        return b"data: " + json.dumps({"id": "1", "choices": [{"index": 0, **choice}]}).encode() + b"\n\n"

    start = event({"delta": {"content": ANSWER}})
    return start + event({"delta": {}, "finish_reason": "stop"}) + b"data: [DONE]\n\n" if whole else start


@dataclass
class Watched:
    """A platform, and everything it says to anybody."""

    client: httpx.AsyncClient
    runtime: Runtime
    metrics: Any
    collector: Collector
    log: io.StringIO
    key: str = ""
    answers: list[httpx.Response] = field(default_factory=list[httpx.Response])

    async def ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        """A request whose answer is looked at later."""
        answer = await self.client.request(method, path, **more)
        self.answers.append(answer)
        return answer

    async def sinks(self) -> dict[str, str]:
        """All that was said, by where."""
        assert self.runtime.telemetry.tracing is not None
        await self.runtime.telemetry.tracing.flush()
        close_access_log()
        errors = [answer for answer in self.answers if answer.status_code >= 400]
        return {
            "log": self.log.getvalue(),
            "spans": b"".join(asked.body for asked in self.collector.server.asked).decode("utf-8", "replace"),
            "metrics": self.metrics.exposition()[0].decode(),
            "errors": "\n".join(answer.text for answer in errors),
            "headers": "\n".join(f"{name}: {value}" for one in self.answers for name, value in one.headers.items()),
        }


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """Everything that is logged, from DEBUG on."""
    root = logging.getLogger()
    handlers, level, stream = list(root.handlers), root.level, io.StringIO()
    configure_logging("DEBUG", stream)
    yield stream
    close_access_log()
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
async def watched(sqlite_url: str, tmp_path: Path, log: io.StringIO) -> AsyncIterator[Watched]:
    async with running_collector() as collector, http_server(upstream) as server:
        settings = _settings(sqlite_url, tmp_path / "home", server.url("/v1"), collector.endpoint)
        database = Database(sqlite_url)
        app = build_application(settings, database, drain_grace_s=0.2)
        try:
            async with (
                app.router.lifespan_context(app),
                httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://api.test", timeout=60) as client,
            ):
                yield Watched(client, app.state.runtime, app.state.metrics, collector, log)
        finally:
            await database.aclose()


def _settings(url: str, home: Path, upstream_url: str, collector: str) -> Settings:
    home.mkdir()
    acme = {"dialect": "openai", "base_url": upstream_url, "api_key": PROVIDER_KEY}
    capable = {**PRICED, "capabilities": ["chat", "stream", "json_schema", "json_object"]}
    config: dict[str, Any] = {
        "providers": {"acme": acme, "local": {}},
        "models": {
            **{f"acme/{name}": capable for name in MODELS},
            "acme/vectors": {**PRICED, "capabilities": ["embeddings"]},
        },
        "retry": {"max_per_target": 1},
    }
    with (home / "modelbridge.yaml").open("w") as file:
        YAML().dump(config, file)
    environ = {"MODELBRIDGE_HOME": str(home), "DATABASE_URL": url, "JWT_SECRET_KEY": SECRET}
    return Settings.from_environment({**environ, "MODELBRIDGE_OTLP_ENDPOINT": collector}, folder=home)


async def _accounts(watched: Watched) -> None:
    """Register, sign in rightly and wrongly, and make a key."""
    account = {"email": EMAIL, "password": PASSWORD, "name": "Ann", "organization": "Acme"}
    tokens = (await watched.ask("POST", "/api/auth/register", json=account)).json()
    await watched.ask("POST", "/api/auth/register", json=account)
    for password in (PASSWORD, PASSWORD + "wrong"):
        await watched.ask("POST", "/api/auth/login", json={"email": EMAIL, "password": password})
    await watched.ask("POST", "/api/auth/login", json={"email": EMAIL, "password": [PASSWORD]})
    made = await watched.ask("POST", "/api/auth/api-keys", json={"name": "k"}, headers=bearer(tokens))
    watched.key = str(made.json()["key"])
    watched.client.headers.update(bearer(watched.key))


async def _calls(watched: Watched) -> None:
    """Every surface with every model, whole and streamed."""
    for name in MODELS:
        model, turns = f"acme/{name}", [{"role": "user", "content": PROMPT}]
        for is_stream in (False, True):
            chat = {"model": model, "messages": turns, "stream": is_stream}
            await watched.ask("POST", "/v1/chat/completions", json=chat, headers={"x-modelbridge-task": TASK})
            await watched.ask("POST", "/v1/messages", json={**chat, "max_tokens": 50})
            await watched.ask("POST", "/v1/responses", json={"model": model, "input": PROMPT, "stream": is_stream})
        await watched.ask("POST", "/api/v1/generate", json={"model": model, "prompt": PROMPT})
        schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
        structured = {"model": model, "prompt": PROMPT, "schema": schema}
        await watched.ask("POST", "/api/v1/generate-structured", json=structured)
    await watched.ask("POST", "/v1/embeddings", json={"model": "acme/vectors", "input": PROMPT})


async def _runs(watched: Watched) -> None:
    """A flow as a run and as a model, where it succeeds and where it fails."""
    await watched.ask("POST", "/api/flows", json={"yaml": FLOW})
    await watched.ask("POST", "/api/flows/canary/publish", json={})
    for model in ("acme/good", "acme/rejected", "acme/nonsense"):
        inputs = {"message": PROMPT, "model": model}
        await watched.ask("POST", "/api/flows/canary/runs", params={"wait": 20}, json={"inputs": inputs})
    chat = {"model": "flow/canary", "messages": [{"role": "user", "content": PROMPT}]}
    await watched.ask("POST", "/v1/chat/completions", json=chat)


async def _mistakes(watched: Watched) -> None:
    """Secrets where they do not belong."""
    chat = {"model": "acme/good", "messages": [{"role": "user", "content": PROMPT}]}
    await watched.ask("POST", "/v1/chat/completions", content=f'{{"model": "acme/good", "messages": "{PROMPT}')
    await watched.ask("POST", "/v1/chat/completions", json={**chat, "messages": PROMPT})
    await watched.ask("POST", "/v1/chat/completions", json=chat, headers={"x-request-id": watched.key})
    await watched.ask("POST", "/v1/chat/completions", json=chat, headers=bearer(watched.key[:-1] + "x"))
    await watched.ask("POST", "/v1/chat/completions", json=chat, params={"api_key": watched.key})
    await watched.ask("GET", f"/api/nothing/{watched.key}")
    await watched.ask("GET", "/api/runs", params={"cursor": watched.key})


async def test_no_secret_comes_out_anywhere(watched: Watched) -> None:
    await _accounts(watched)
    await _calls(watched)
    await _runs(watched)
    await _mistakes(watched)

    sinks = await watched.sinks()

    secrets = {
        "our key": watched.key[8:-1],
        "provider's key": PROVIDER_KEY,
        "password": PASSWORD,
        "e-mail": EMAIL,
        "prompt": PROMPT,
        "answer": ANSWER,
    }
    found = {(sink, name) for sink, text in sinks.items() for name, secret in secrets.items() if secret in text}
    assert found - CALLERS_OWN == set()
    assert TASK not in sinks["log"] + sinks["spans"] + sinks["metrics"]


async def test_the_sinks_that_are_searched_do_hold_what_was_done(watched: Watched) -> None:
    await _accounts(watched)
    chat = {"model": "acme/rejected", "messages": [{"role": "user", "content": PROMPT}]}
    await watched.ask("POST", "/v1/chat/completions", json=chat)

    sinks = await watched.sinks()

    assert '"route":"/v1/chat/completions"' in sinks["log"]
    assert '"trace_id":"' in sinks["log"]
    assert "chat acme/rejected" in sinks["spans"]
    assert 'modelbridge_attempts_total{model="acme/rejected"' in sinks["metrics"]
    assert "error" in sinks["errors"]
    assert "x-modelbridge-trace-id" in sinks["headers"]
