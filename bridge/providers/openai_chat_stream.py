"""The events of a streamed chat completion as stream chunks."""

from typing import NoReturn

import msgspec

from bridge.catalog.deployments import Deployment
from bridge.chat import StreamChunk, ToolCallDelta
from bridge.errors import MalformedReplyError
from bridge.providers.openai_chat_reply import (
    WireChoice,
    WireCompletion,
    WireMessage,
    WireToolCall,
    arguments_of,
    calls_of,
    content_of,
    finish_reason_of,
    invented_id,
    usage_of,
)
from bridge.providers.rejections import in_band_error
from bridge.streaming import ServerSentEvent

DONE = "[DONE]"
_DECODER = msgspec.json.Decoder(WireCompletion)
_NOTHING = WireMessage()


class OpenAiEventReader:
    """Reads one stream. Remembers which tool call a piece belongs to: not every vendor says."""

    def __init__(self, target: Deployment) -> None:
        self._target = target
        self._calls: dict[int, _OpenCalls] = {}
        self._is_done = False

    @property
    def is_done(self) -> bool:
        return self._is_done

    def read(self, event: ServerSentEvent) -> tuple[StreamChunk, ...]:
        if event.data.strip() == DONE:
            self._is_done = True
            return ()
        try:
            completion = _DECODER.decode(event.data)
        except (msgspec.DecodeError, msgspec.ValidationError, RecursionError) as problem:
            self._refuse(event, problem)
        if completion.error:
            raise in_band_error(completion.error, self._target)
        if event.name == "error":
            raise in_band_error(msgspec.json.decode(event.data), self._target)
        counted = completion.counted
        usage, cost_usd = usage_of(counted) if counted else (None, None)
        chunks = [self._chunk(choice, completion) for choice in completion.choices or ()]
        if usage is not None or cost_usd is not None:
            chunks.append(StreamChunk(usage=usage, provider_cost_usd=cost_usd, model=completion.model or ""))
        return tuple(chunks)

    def _refuse(self, event: ServerSentEvent, problem: Exception) -> NoReturn:
        if event.name == "error":
            raise in_band_error(event.data, self._target) from problem
        raise MalformedReplyError(
            f"{self._target.name}: an event of the stream cannot be read", deployment=self._target.name
        ) from problem

    def _chunk(self, choice: WireChoice, completion: WireCompletion) -> StreamChunk:
        message = choice.delta or choice.message or _NOTHING
        text, thought = content_of(message)
        open_calls, deltas = self._calls.get(choice.index), ()
        if message.tool_calls or message.function_call:
            if open_calls is None:
                open_calls = self._calls[choice.index] = _OpenCalls()
            deltas = tuple(open_calls.delta(call, completion.id or "") for call in calls_of(message))
        reason = choice.finish_reason
        return StreamChunk(
            text=text,
            reasoning=thought,
            refusal=message.refusal or "",
            tool_calls=deltas,
            finish_reason=finish_reason_of(reason, self._target, has_calls=open_calls is not None) if reason else None,
            model=completion.model or "",
            choice=choice.index,
            logprobs=choice.logprobs,  # pyright: ignore[reportArgumentType]  # decoded JSON is a JsonObject
        )


class _OpenCalls:
    """The tool calls of one choice so far. `slots` are our own indices, 0 upwards."""

    def __init__(self) -> None:
        self._ids: list[str] = []
        self._slot_of_index: dict[int, int] = {}

    def delta(self, call: WireToolCall, reply_id: str) -> ToolCallDelta:
        """The piece with our index; id and name only with a call's first piece."""
        name = call.function.name if call.function else None
        arguments = arguments_of(call.function)
        slot = self._slot(call, name)
        if slot is not None:
            return ToolCallDelta(index=slot, arguments=arguments)
        slot = len(self._ids)
        self._ids.append(call.id or invented_id(reply_id, slot))
        if call.index is not None:
            self._slot_of_index[call.index] = slot
        return ToolCallDelta(index=slot, id=self._ids[slot], name=name, arguments=arguments)

    def _slot(self, call: WireToolCall, name: str | None) -> int | None:
        """The open call that a piece continues; None when it starts one.

        An id decides first: known or new. Then an index. Else a name starts a call, and a nameless piece goes on.
        """
        if call.id and call.id in self._ids:
            return self._ids.index(call.id)
        if call.id and name:
            return None
        if call.index is not None and call.index in self._slot_of_index:
            slot = self._slot_of_index[call.index]
            return None if name and call.id == "" and arguments_of(call.function) else slot
        if name or not self._ids:
            return None
        return len(self._ids) - 1
