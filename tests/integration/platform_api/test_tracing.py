"""Spans of requests, calls, runs and steps as a real collector gets them."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from platform_api.wiring import Runtime
from tests.support.collector import Collector, SeenSpan, running_collector
from tests.support.platform import Platform, running_platform
from tests.support.upstream import running_upstream

TRACE, CALLER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
TRACED = {"traceparent": f"00-{TRACE}-{CALLER}-01", "x-request-id": "req-1"}
CHAT: dict[str, Any] = {"model": "cheap", "messages": [{"role": "user", "content": "hi"}]}
MOCK: dict[str, Any] = {
    "faults": [{"kind": "status", "status": 500, "match": {"model": "broken"}, "times": None}],
}
NESTED = """
flow: nested
spec: 1
inputs:
  words: {type: array, items: {type: string}}
nodes:
  each:
    type: foreach
    with:
      items: ${{ inputs.words }}
      do:
        answer: {type: llm, with: {model: cheap, prompt: "{{ word }}", vars: {word: "${{ item }}"}}}
outputs:
  all: ${{ nodes.each.output.results.map(r, r.text) }}
"""


@dataclass(frozen=True, slots=True)
class Traced:
    """A platform and where its spans go."""

    platform: Platform
    collector: Collector

    async def sent(self) -> Collector:
        """The collector, once it has everything."""
        runtime: Runtime = self.platform.app.state.runtime
        assert runtime.telemetry.tracing is not None
        await runtime.telemetry.tracing.flush()
        return self.collector

    async def chat(self, **changed: Any) -> Any:
        return await self.platform.client.post("/v1/chat/completions", json={**CHAT, **changed}, headers=TRACED)


@pytest.fixture
async def traced(sqlite_url: str, tmp_path: Path) -> AsyncIterator[Traced]:
    async with (
        running_collector() as collector,
        running_platform(sqlite_url, tmp_path / "home", MOCK, MODELBRIDGE_OTLP_ENDPOINT=collector.endpoint) as platform,
    ):
        yield Traced(platform, collector)


def below(parent: SeenSpan, spans: list[SeenSpan]) -> list[SeenSpan]:
    return [span for span in spans if span.parent_id == parent.span_id]


async def test_a_request_goes_on_with_its_callers_trace_down_to_the_attempt(traced: Traced) -> None:
    answer = await traced.chat()

    collector = await traced.sent()
    request, call, attempt = collector.only("POST /v1/chat"), collector.only("chat "), collector.only("attempt ")
    assert answer.headers["x-modelbridge-trace-id"] == TRACE
    assert {span.trace_id for span in (request, call, attempt)} == {TRACE}
    assert [request.parent_id, call.parent_id, attempt.parent_id] == [CALLER, request.span_id, call.span_id]
    assert (request.kind, call.kind) == (Span.SPAN_KIND_SERVER, Span.SPAN_KIND_CLIENT)
    assert request.name == "POST /v1/chat/completions"
    assert (request.attributes["http.route"], request.attributes["http.response.status_code"]) == (
        "/v1/chat/completions",
        200,
    )
    assert request.service == "modelbridge"


async def test_a_call_is_found_by_what_the_answers_headers_say(traced: Traced) -> None:
    answer = await traced.chat()

    call = (await traced.sent()).only("chat cheap")
    assert call.attributes["modelbridge.call.id"] == answer.headers["x-modelbridge-call-id"]
    assert call.attributes["modelbridge.request.id"] == answer.headers["x-request-id"] == "req-1"
    assert call.attributes["gen_ai.request.model"] == "cheap"
    assert call.attributes["gen_ai.response.model"] == answer.headers["x-modelbridge-model"]
    assert call.attributes["gen_ai.usage.output_tokens"] == answer.json()["usage"]["completion_tokens"]
    assert call.attributes["modelbridge.decision.id"]


async def test_a_stream_is_one_call_that_ends_before_its_request(traced: Traced) -> None:
    await traced.chat(stream=True)

    collector = await traced.sent()
    call, request = collector.only("chat cheap"), collector.only("POST /v1/chat")
    assert call.attributes["gen_ai.request.stream"] is True
    assert call.attributes["gen_ai.response.time_to_first_chunk"] >= 0
    assert call.parent_id == request.span_id
    assert request.started_ns <= call.started_ns <= call.ended_ns <= request.ended_ns


async def test_failures_are_marked_with_their_class_at_every_level(traced: Traced) -> None:
    answer = await traced.chat(model="mock/broken")

    collector = await traced.sent()
    assert answer.status_code >= 500
    for span in (collector.only("POST /v1/chat"), collector.only("chat "), collector.named("attempt ")[0]):
        assert span.has_failed
        assert span.attributes["error.type"]


async def test_a_caller_that_does_not_record_is_not_recorded(traced: Traced) -> None:
    headers = {"traceparent": f"00-{TRACE}-{CALLER}-00"}
    answer = await traced.platform.client.post("/v1/chat/completions", json=CHAT, headers=headers)

    collector = await traced.sent()
    assert answer.headers["x-modelbridge-trace-id"] == TRACE
    assert [span for span in collector.spans if span.trace_id == TRACE] == []


async def test_a_run_its_steps_and_their_calls_hang_below_the_request(traced: Traced) -> None:
    await traced.platform.publish(NESTED)
    ended = await traced.platform.run("nested", {"words": ["a", "b"]}, headers=TRACED)

    collector = await traced.sent()
    assert ended.json()["status"] == "succeeded"
    request = next(span for span in collector.named("POST /api/flows/{flow}/runs"))
    run = collector.only("invoke_workflow nested")
    (each,) = below(run, collector.spans)
    answers = below(each, collector.spans)
    calls = [call for answer in answers for call in below(answer, collector.spans)]
    assert run.parent_id == request.span_id
    assert (each.name, [one.name for one in answers], [one.name for one in calls]) == (
        "step each",
        ["step answer"] * 2,
        ["chat cheap"] * 2,
    )
    assert {one.attributes["modelbridge.request.id"] for one in calls} == {"req-1"}
    assert {one.attributes["modelbridge.run.id"] for one in (run, each, *answers, *calls)} == {ended.json()["run_id"]}
    assert {one.trace_id for one in (request, run, each, *answers, *calls)} == {TRACE}


async def test_what_prometheus_and_probes_ask_for_leaves_no_span(traced: Traced) -> None:
    for path in ("/healthz", "/readyz", "/metrics"):
        await traced.platform.client.get(path, headers=TRACED)

    assert [span for span in (await traced.sent()).spans if span.trace_id == TRACE] == []


async def test_sent_spans_are_counted(traced: Traced) -> None:
    await traced.chat()
    n_sent = len((await traced.sent()).spans)

    shown = (await traced.platform.client.get("/metrics")).text
    assert f'modelbridge_spans_total{{outcome="sent"}} {float(n_sent)}' in shown


async def test_without_an_endpoint_there_is_no_trace_and_no_header(sqlite_url: str, tmp_path: Path) -> None:
    async with running_platform(sqlite_url, tmp_path / "home") as platform:
        answer = await platform.client.post("/v1/chat/completions", json=CHAT, headers=TRACED)
        runtime: Runtime = platform.app.state.runtime

    assert answer.status_code == 200
    assert "x-modelbridge-trace-id" not in answer.headers
    assert runtime.telemetry.tracing is None


async def test_a_collector_that_refuses_is_felt_by_nobody_and_the_end_does_not_wait_for_it(
    sqlite_url: str, tmp_path: Path
) -> None:
    async with (
        running_upstream() as upstream,
        running_platform(
            sqlite_url, tmp_path / "home", upstream=upstream.url, MODELBRIDGE_OTLP_ENDPOINT="http://127.0.0.1:9"
        ) as platform,
    ):
        answers = await asyncio.gather(*(_paid(platform) for _ in range(20)))
        assert {answer.status_code for answer in answers} == {200}
        began = time.monotonic()
    assert time.monotonic() - began < 15
    assert 'outcome="sent"' not in (platform.app.state.metrics.exposition()[0]).decode()


async def _paid(platform: Platform) -> Any:
    return await platform.client.post("/v1/chat/completions", json={**CHAT, "model": "acme/paid"})
