"""A streamed call as the caller iterates it: failover before the first content, rescue or a typed error after it."""

import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import replace

from bridge.attempt_stream import AttemptStream
from bridge.call_log import CallLog
from bridge.call_record import CallRecord, CallStatus
from bridge.chat import ChatResponse, StreamChunk
from bridge.dispatcher import Dispatcher, Opened, Ready, parsed_answer
from bridge.errors import BridgeError, ProviderError
from bridge.rescue import Rescue
from bridge.result import ChatResult, StreamProgress
from bridge.streaming import chunks_of

Close = Callable[[CallLog, Ready | None, CallStatus, BaseException | None], Awaitable[CallRecord]]


class RelayedStream:
    """Implements ChatStream. Nothing is sent before the first chunk is asked for.

    Raises while iterated:
        BridgeError: With `.call` set. StreamInterruptedError once content was relayed.
    """

    def __init__(self, dispatcher: Dispatcher, log: CallLog, close: Close) -> None:
        self._dispatcher = dispatcher
        self._log = log
        self._close = close
        self._chunks = self._run()
        self._source: AttemptStream | None = None
        self._result: ChatResult | None = None
        self._answer = ChatResponse(text="", finish_reason=None, usage=None)
        self._progress = StreamProgress(log.call_id, log.started_at)
        self.record: CallRecord | None = None
        """The call's record, whatever its end; None until then."""

    def __aiter__(self) -> AsyncIterator[StreamChunk]:
        return self._chunks

    async def aclose(self) -> None:
        await self._chunks.aclose()

    @property
    def has_ready(self) -> bool:
        """Has the next chunk come with this one? Then both may be sent together."""
        return self._source is not None and self._source.has_ready

    @property
    def progress(self) -> StreamProgress:
        """Who answers; complete once the first chunk is there."""
        return self._progress

    @property
    def result(self) -> ChatResult:
        if self._result is None:
            raise RuntimeError("the result of a stream can be read only after its iteration has ended")
        return self._result

    async def _run(self) -> AsyncGenerator[StreamChunk, None]:
        ready: Ready | None = None
        try:
            ready = await self._dispatcher.prepare(self._log)
            response = ready.cached
            self._progress = replace(self._progress, cache=self._log.cache)
            if response is None:
                response = await self._judged(ready)
            if response is not None:
                for chunk in chunks_of(response):
                    yield chunk
            else:
                began = time.perf_counter()
                opened = await self._dispatcher.open_stream(ready, self._log)
                self._progress = replace(
                    self._progress,
                    model=opened.target.entry.name,
                    provider=opened.target.provider,
                    n_attempts=len(self._log.attempts) + 1,
                    waited_ms=(time.perf_counter() - began) * 1000,
                )
                rescue = Rescue(self._dispatcher, ready, self._log)
                async with aclosing(self._relayed(opened, rescue)) as chunks:
                    async for chunk in chunks:
                        yield chunk
                response = self._answer
            await self._finish(ready, response)
        except BridgeError as error:
            error.call = self.record = await self._close(self._log, ready, "failed", error)
            raise
        except Exception as error:
            self.record = await self._close(self._log, ready, "failed", error)
            raise
        except BaseException as error:
            self.record = await self._close(self._log, ready, "cancelled", error)
            raise

    async def _relayed(self, opened: Opened, rescue: Rescue) -> AsyncGenerator[StreamChunk, None]:
        """The chunks of a stream; of another one from where it breaks off."""
        while True:
            broken: ProviderError | None = None
            self._source = opened.rest
            try:
                if opened.first.has_content or opened.first.finish_reason is not None:
                    yield opened.first
                async for chunk in opened.rest:
                    yield chunk if chunk.usage is None else replace(chunk, usage=rescue.usage(chunk.usage))
            except ProviderError as error:
                broken = error
            finally:
                await self._dispatcher.close_stream(opened)
            if broken is None:
                self._answer = rescue.answer(opened.rest)
                return
            opened = await rescue.taken_up(opened, broken)

    async def _judged(self, ready: Ready) -> ChatResponse | None:
        """A cascade's answer, whole: its first word is shown when it is known to stand."""
        began = time.perf_counter()
        response = await self._dispatcher.judged(ready, self._log)
        if response is not None:
            last = self._log.attempts[-1]
            self._progress = replace(
                self._progress,
                model=last.model,
                provider=last.provider,
                n_attempts=len(self._log.attempts),
                waited_ms=(time.perf_counter() - began) * 1000,
            )
        return response

    async def _finish(self, ready: Ready, response: ChatResponse) -> None:
        parsed = parsed_answer(self._log.request, response)
        await self._dispatcher.keep(ready, self._log, response)
        self.record = record = await self._close(self._log, ready, "succeeded", None)
        self._result = ChatResult(response, parsed, record)
