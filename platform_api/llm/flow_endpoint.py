"""Answers by a flow, in any dialect: whole, or with its steps as comments of the stream before the answer."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

from bridge.call_record import CallRecord
from bridge.chat import StreamChunk
from platform_api.auth.principals import Caller
from platform_api.flow_api.keep_alive import with_keep_alive
from platform_api.limits.service import Admitted
from platform_api.llm.call_headers import facts_of
from platform_api.llm.client_dialect import AnswerFacts, ChatDialect, ClientCall
from platform_api.llm.client_request import EVENTS, JSON, ClientRequest, Headers
from platform_api.llm.flow_inputs import INPUTS_HEADER
from platform_api.llm.flow_model import FlowModels, FlowRun

RUN_ID = b"x-modelbridge-run-id"


@dataclass(frozen=True, slots=True)
class FlowCall:
    """A call whose model is a flow."""

    dialect: ChatDialect
    request: ClientRequest
    flows: FlowModels
    call: ClientCall
    caller: Caller

    async def answer(self, admitted: Admitted) -> None:
        """Run the flow. A client that leaves cancels the run; what a run without an end has used is not known."""
        admitted.used = 0
        run = await self.flows.start(self.call.request, self.caller, self.request.header(INPUTS_HEADER.encode()))
        admitted.used = None
        admitted.count(await self.request.unless_gone(self._answered(run)))

    async def _answered(self, run: FlowRun) -> CallRecord:
        try:
            return await (self._stream(run) if self.call.is_stream else self._complete(run))
        except asyncio.CancelledError:
            await self.flows.cancel(run, self.caller)
            raise

    async def _complete(self, run: FlowRun) -> CallRecord:
        result = await self.flows.result(run, self.caller)
        headers = [JSON, *self._headers(run), *facts_of(result.record, self.request.elapsed_ms())]
        await self.request.answer(self.call.reply(result.response, _facts(run)), headers)
        return result.record

    async def _stream(self, run: FlowRun) -> CallRecord:
        """Every dialect's clients pass over comments, so that progress is no part of the answer."""
        await self.request.start(200, [*EVENTS, *self._headers(run)])
        async with aclosing(self._progress(run)) as progress:
            async for comment in with_keep_alive(progress):
                await self.request.more(comment)
        result = await self.flows.result(run, self.caller)
        encoder = self.call.encoder(_facts(run))
        await self.request.more(encoder.chunk(StreamChunk(text=result.response.text)))
        await self.request.send({"type": "http.response.body", "body": encoder.end(result)})
        return result.record

    async def _progress(self, run: FlowRun) -> AsyncGenerator[bytes]:
        """A comment for every turn of a step, until the run ends or waits for a person."""
        async with aclosing(self.flows.events(run)) as events:
            async for event in events:
                if event.kind == "step":
                    yield f": step {event.body.get('path')} {event.body.get('status')}\n\n".encode()
                elif event.kind == "run" and event.body.get("status") == "waiting":
                    return

    def _headers(self, run: FlowRun) -> Headers:
        return [*self.dialect.headers(), (RUN_ID, run.id.encode())]


def _facts(run: FlowRun) -> AnswerFacts:
    return AnswerFacts(run.id, run.model, int(run.started_at.timestamp()))
