"""An upstream for failover scenarios: a primary and a fallback on one loopback server, in any dialect, failing as told.

Answers are rendered as the mock renders them; delays, silence, cut and reset connections are real.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import cast

from aiohttp import web

from bridge.providers.mock_answer import Answer, asked_of
from bridge.providers.mock_dialects import MOCK_DIALECTS, MockDialect
from bridge.providers.mock_script import MockFault, MockUsage
from bridge.transport import WireRequest

TOKENS = 60
WORDS = tuple(f"t{n:02d} " for n in range(TOKENS))
KNOWN_ANSWER = "".join(WORDS)
SILENCE_S = 120.0
BETWEEN_EVENTS_S = 0.004
"""Tokens come one by one, so that what happens to the fortieth happens after the first was relayed."""


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What one attempt meets. The default is the whole known answer at once."""

    status: int = 200
    kind: str = "status"
    """Kind of a refusal: `status`, `rate_limit`, `context_length` or `content_filter`."""
    retry_after_s: float | None = None
    resets_first: bool = False
    silent: bool = False
    """The request is taken, and nothing comes."""
    first_delay_s: float = 0.0
    """After the head, before the first token."""
    cut_after: int | None = None
    """Tokens; then the stream dies."""
    ends_cleanly: bool = False
    """The cut stream ends as if it were whole, as far as HTTP goes."""
    stall_after: int | None = None
    stall_s: float = 0.0
    broken_event: int | None = None
    """Number of the event that cannot be read; its word is lost."""
    noise_before: int | None = None
    """Number of the event before which one comes that is no JSON at all; nothing is lost."""
    no_end_mark: bool = False


NOISE = b"data: <!-- keep-alive -->\n\n"
HEALTHY = Behaviour()
Plan = Callable[[int, float], Behaviour]
"""Number of the attempt (from 1) and seconds since the scenario began -> behaviour."""


@dataclass(slots=True)
class Seen:
    """An attempt that arrived."""

    at_s: float
    is_prefill: bool


@dataclass(slots=True)
class Route:
    """One model: its plan, and what arrived."""

    plan: Plan
    rejects_prefill: bool = False
    seen: list[Seen] = field(default_factory=list[Seen])


class Upstream:
    """Serves the models of one scenario."""

    def __init__(self, dialect: str, routes: dict[str, Route]) -> None:
        self._wire: MockDialect = MOCK_DIALECTS[dialect]
        self._routes = routes
        self._began_s = 0.0
        self.url = ""

    @asynccontextmanager
    async def running(self) -> AsyncGenerator["Upstream", None]:
        """Listens on a free loopback port."""
        app = web.Application(client_max_size=16 * 1024 * 1024)
        app.router.add_route("*", "/{route}/{rest:.*}", self._serve)
        runner = web.AppRunner(app, shutdown_timeout=0.1, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        self._began_s = asyncio.get_running_loop().time()
        try:
            yield self
        finally:
            await runner.cleanup()

    async def _serve(self, http: web.Request) -> web.StreamResponse:
        route = self._routes[http.match_info["route"]]
        body = self._wire.chat_body(WireRequest("/" + http.match_info["rest"], json.loads(await http.read())))
        elapsed_s = asyncio.get_running_loop().time() - self._began_s
        messages = cast("list[dict[str, object]]", body["messages"])
        is_prefill = messages[-1].get("role") == "assistant"
        route.seen.append(Seen(elapsed_s, is_prefill))
        behaviour = route.plan(len(route.seen), elapsed_s)
        if route.rejects_prefill and is_prefill:
            return self._refused(Behaviour(status=400), "prefilling an assistant answer is not supported by this model")
        if behaviour.resets_first:
            return await self._reset(http)
        if behaviour.silent:
            await asyncio.sleep(SILENCE_S)
            return web.Response(status=504)
        if behaviour.status != 200 or behaviour.kind != "status":
            return self._refused(behaviour)
        asked = asked_of(body)
        answer = Answer(asked.model, KNOWN_ANSWER, MockUsage(input_tokens=20, output_tokens=TOKENS), id="known-answer")
        if not asked.is_stream:
            return web.Response(body=self._wire.whole(answer, None), content_type="application/json")
        return await self._spoken(http, answer, behaviour)

    def _refused(self, behaviour: Behaviour, said: str | None = None) -> web.Response:
        kind = behaviour.kind
        fault = MockFault.model_validate(
            {"kind": kind, "status": max(behaviour.status, 400), "retry_after_s": behaviour.retry_after_s}
        )
        reply = self._wire.refusal(fault)
        body = reply.body if said is None else json.dumps({"error": {"message": said}, "message": said}).encode()
        return web.Response(status=reply.status, body=body, headers=dict(reply.headers))

    async def _spoken(self, http: web.Request, answer: Answer, behaviour: Behaviour) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": self._wire.stream_type})
        await response.prepare(http)
        if behaviour.first_delay_s:
            await asyncio.sleep(behaviour.first_delay_s)
        fault = MockFault(kind="no_done", times=None) if behaviour.no_end_mark else None
        for position, event in enumerate(self._wire.events(answer, fault)):
            tokens = position - self._wire.preamble
            if behaviour.cut_after == tokens:
                return response if behaviour.ends_cleanly else await self._reset(http, response)
            if behaviour.stall_after == tokens:
                await asyncio.sleep(behaviour.stall_s)
                return await self._reset(http, response)
            if behaviour.noise_before == position + 1:
                event = (b"<!-- keep-alive -->\n" if "json" in self._wire.stream_type else NOISE) + event  # noqa: PLW2901
            try:
                await response.write(self._wire.broken_event if behaviour.broken_event == position + 1 else event)
            except ConnectionError:  # the caller has left
                return response
            await asyncio.sleep(BETWEEN_EVENTS_S)
        return response

    async def _reset(self, http: web.Request, response: web.StreamResponse | None = None) -> web.StreamResponse:
        """Kill the connection; what was written is given time to leave."""
        await asyncio.sleep(0.05)
        if http.transport is not None:
            http.transport.abort()
        return response or web.Response()
