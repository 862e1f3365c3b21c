"""Recorded answers of real providers over HTTP: the model that is asked names the record."""

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from aiohttp import web

from bridge.providers.rejections import to_error
from tests.support.platform import PRICED
from tests.support.recorded_traffic import ChatRecording, Outcome, Recording, recorded_deployment

TRAFFIC = {
    dialect: ChatRecording(dialect, Recording(folder))
    for dialect, folder in {
        "openai": "openai_chat",
        "anthropic": "anthropic_messages",
        "gemini": "gemini_generate",
        "cohere": "cohere_v2_chat",
        "ollama": "ollama_chat",
    }.items()
}
CAPABILITIES = ["chat", "stream", "tools", "json_schema", "vision", "documents", "reasoning"]
N_TURNS = 3
PER_FEATURE = 2
"""Records of each feature, dialect and way to answer."""
FEATURES = (
    "text", "unicode", "tool_calls", "parallel_tools", "tool_result", "json_schema", "json_mode", "vision", "document",
    "reasoning", "length",
)  # fmt: skip


@dataclass(slots=True)
class ReplayedProvider:
    """Where it listens, and what it was asked last."""

    url: str = ""
    bodies: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    """The last request to each record, by its id."""

    async def answer(self, request: web.Request) -> web.Response:
        """The recorded answer, byte for byte."""
        body = json.loads(await request.read())
        record_id = body.get("model") or request.path.rpartition("/")[2].partition(":")[0]
        self.bodies[record_id] = body
        response = TRAFFIC[request.match_info["dialect"]].recording.records[record_id]["response"]
        kept = ("content-type", "retry-after")
        headers = {name: value for name, value in response["headers"].items() if name.lower() in kept}
        return web.Response(body=response["body"].encode(), status=response["status"], headers=headers)

    def config(self) -> dict[str, dict[str, Any]]:
        """Sections of a configuration: `r_<dialect>/<record>`; every refusal is a provider of its own, `refusing()`.

        A refusal may ask for a pause: nobody else shall have to wait for its end.
        """
        providers: dict[str, Any] = {}
        models: dict[str, Any] = {}
        for dialect in TRAFFIC:
            base_url = f"{self.url}/{dialect}" + ("/v1" if dialect == "openai" else "")
            given = {"dialect": dialect, "base_url": base_url, "api_key": "recorded-key-1"}
            providers[f"r_{dialect}"] = given
            names = [f"r_{dialect}/{record_id}" for record_id in all_examples(dialect)]
            for record_id in refusals(dialect):
                for turn in range(N_TURNS):
                    providers[refusing(record_id, turn)] = given
                    names.append(f"{refusing(record_id, turn)}/{record_id}")
            models |= {name: {**PRICED, "capabilities": CAPABILITIES} for name in names}
        return {"providers": providers, "models": models}


def refusing(record_id: str, turn: int) -> str:
    """The provider of a recorded refusal, for one of the `N_TURNS` that ask for it."""
    return f"e{turn}_" + record_id.replace(".", "_")


def refusals(dialect: str) -> list[str]:
    """A record of each status that a request was refused with."""
    records = TRAFFIC[dialect].recording.records
    refused = {record["response"]["status"]: one for one, record in sorted(records.items())}
    return [one for status, one in sorted(refused.items()) if status >= 400]


def all_examples(dialect: str) -> set[str]:
    """The records that show anything."""
    return {one for each in FEATURES for way in (False, True) for one in examples(dialect, each, stream=way)}


@cache
def examples(dialect: str, feature: str, *, stream: bool) -> list[str]:
    """Some records that show a feature, short ones, the same at every run."""
    fitting = (
        record_id
        for record_id, record in _by_length(dialect)
        if record["stream"] == stream and _shows(record, feature) and _is_whole(dialect, record_id, feature)
    )
    return [record_id for record_id, _ in zip(fitting, range(PER_FEATURE), strict=False)]


@cache
def _by_length(dialect: str) -> list[tuple[str, dict[str, Any]]]:
    records = TRAFFIC[dialect].recording.records.items()
    return sorted(records, key=lambda item: (len(item[1]["response"]["body"]), item[0]))


def _shows(record: dict[str, Any], feature: str) -> bool:
    """`text` is an answer with nothing special about it."""
    if record["response"]["status"] >= 400 or "server_tools" in record["features"]:
        return False
    special = {"tools", "json_schema", "json_mode", "vision", "document", "audio", "video", "content_filter", "length"}
    return not special.intersection(record["features"]) if feature == "text" else feature in record["features"]


def _is_whole(dialect: str, record_id: str, feature: str) -> bool:
    outcome = outcome_of(dialect, record_id)
    answer = outcome.answer
    if outcome.error is not None or answer.finish_reason is None:
        return False
    if feature in ("json_schema", "json_mode"):
        return is_object(answer.text) and not answer.tool_calls
    return bool(answer.text or answer.tool_calls or answer.refusal)


def is_object(text: str) -> bool:
    """Is it a JSON object?"""
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False


@cache
def outcome_of(dialect: str, record_id: str) -> Outcome:
    """The record as our code reads it, which tests/contract compares with what others made of it."""
    return TRAFFIC[dialect].outcome_of(record_id)


def error_of(dialect: str, record_id: str) -> Exception:
    """The refusal as our code reads it."""
    response = TRAFFIC[dialect].recording.records[record_id]["response"]
    target = recorded_deployment(refusing(record_id, 0), dialect)
    return to_error(response["status"], response["headers"], response["body"].encode(), target)


@asynccontextmanager
async def replayed_provider() -> AsyncGenerator[ReplayedProvider]:
    """A provider of every dialect that listens until the block ends."""
    provider = ReplayedProvider()
    app = web.Application(client_max_size=2**24)
    app.router.add_post("/{dialect}/{rest:.+}", provider.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    provider.url = f"http://{host}:{port}"
    try:
        yield provider
    finally:
        await runner.cleanup()
