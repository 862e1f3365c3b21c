"""Takes up a stream that broke off after its first content, at another target, so that the caller reads on.

Where a target accepts the beginning of an answer it continues it. Elsewhere the request is asked again, and what
follows the text already sent is relayed, when the new answer begins with exactly that text. Only plain text is taken
up: a tool call, reasoning or JSON in flight cannot be joined.
"""

from dataclasses import dataclass, replace

from bridge.attempt import AttemptStream, record_of
from bridge.call_log import CallLog
from bridge.catalog.deployments import Deployment
from bridge.chat import ChatRequest, ChatResponse, Message, StreamChunk, Usage
from bridge.dispatcher import Dispatcher, Opened, Ready
from bridge.errors import BridgeError, ProviderError, StreamInterruptedError
from bridge.tokens import BYTES_PER_TOKEN, text_bytes

LEAST_OUTPUT_TOKENS = 16


@dataclass(slots=True)
class _Joint:
    """How the text of the newest attempt joins what was sent before it."""

    before: str = ""
    """Text that the newest attempt does not repeat."""
    skipped: int = 0
    """Characters at its beginning that were sent already."""


class Rescue:
    """One streamed call's way on after a break."""

    def __init__(self, dispatcher: Dispatcher, ready: Ready, log: CallLog) -> None:
        self._dispatcher = dispatcher
        self._ready = ready
        self._log = log
        self._joint = _Joint()
        self._broken: list[str] = []
        """Deployments whose stream broke."""
        self._spent: list[Usage] = []

    def answer(self, stream: AttemptStream) -> ChatResponse:
        """The whole answer so far, of all attempts together; its usage is theirs together."""
        response = stream.response()
        if not self._broken:
            return response
        text = self._joint.before + response.text[self._joint.skipped :]
        return replace(response, text=text, usage=self.usage(response.usage), provider_cost_usd=None)

    def usage(self, newest: Usage | None) -> Usage | None:
        """Usage with that of the broken attempts."""
        if newest is None or not self._spent:
            return newest
        counted = (newest, *self._spent)
        return Usage(
            input_tokens=sum(one.input_tokens for one in counted),
            output_tokens=sum(one.output_tokens for one in counted),
            cached_tokens=sum(one.cached_tokens for one in counted),
            cache_write_tokens=sum(one.cache_write_tokens for one in counted),
            reasoning_tokens=sum(one.reasoning_tokens for one in counted),
            is_estimated=any(one.is_estimated for one in counted),
        )

    async def taken_up(self, broken: Opened, error: ProviderError) -> Opened:
        """The stream that goes on where `broken` ended.

        Raises:
            StreamInterruptedError: Nobody can take it up.
        """
        interrupted = StreamInterruptedError(f"the answer broke off after its first token: {error}")
        so_far = self.answer(broken.rest)
        self._broken.append(broken.target.name)
        record = record_of(error)
        if record is not None and record.usage is not None:
            self._spent.append(record.usage)
        others = tuple(one for one in self._ready.targets if one.name not in self._broken)
        if not (error.try_next and others and self._dispatcher.rescues(self._ready) and is_plain(self._ready, so_far)):
            raise interrupted from error
        ready = self._dispatcher.prolonged(replace(self._ready, targets=others))
        try:
            opened = await self._continued(ready, so_far.text) or await self._repeated(ready, so_far.text)
        except BridgeError as failure:
            interrupted.add_note(f"it could not be taken up elsewhere: {failure}")
            raise interrupted from error
        self._log.is_rescued = True
        return opened

    async def _continued(self, ready: Ready, sent: str) -> Opened | None:
        """By a target that accepts the beginning of an answer; None when none does, or none answers."""
        able = tuple(one for one in ready.targets if _accepts_beginning(one))
        if not able:
            return None
        beginning = sent.rstrip()
        joint = _Joint(before=sent)

        async def past_the_gap(stream: AttemptStream) -> StreamChunk:
            """Some models repeat the white space that the beginning was sent without."""
            return await _past(sent[len(beginning) :], stream, joint, is_strict=False)

        begun = replace(ready, request=begun_by(ready.request, beginning), targets=able)
        try:
            opened = await self._dispatcher.open_stream(begun, self._log, until=past_the_gap)
        except ProviderError:
            return None
        self._joint = joint
        return opened

    async def _repeated(self, ready: Ready, sent: str) -> Opened:
        """By asking again. Raises StreamInterruptedError when the new answer is another one."""
        joint = _Joint()

        async def past_what_was_sent(stream: AttemptStream) -> StreamChunk:
            return await _past(sent, stream, joint, is_strict=True)

        opened = await self._dispatcher.open_stream(ready, self._log, until=past_what_was_sent)
        self._joint = _Joint()
        return opened


def is_plain(ready: Ready, so_far: ChatResponse) -> bool:
    """Is it an answer of nothing but text, to a request for nothing else?"""
    request = ready.request
    asks_for_text = not request.tools and request.response_format is None and request.n == 1 and not request.logprobs
    has_more = so_far.reasoning or so_far.refusal or so_far.tool_calls or so_far.other_choices
    return asks_for_text and bool(so_far.text) and not has_more


def begun_by(request: ChatRequest, beginning: str) -> ChatRequest:
    """The request with an answer that has begun; the output limit is cut by what there is already."""
    limit = request.max_output_tokens
    if limit is not None:
        limit = max(limit - round(text_bytes(beginning) / BYTES_PER_TOKEN), LEAST_OUTPUT_TOKENS)
    messages = (*request.messages, Message.of("assistant", beginning)) if beginning else request.messages
    return replace(request, messages=messages, max_output_tokens=limit)


def _accepts_beginning(target: Deployment) -> bool:
    return "prefill" in target.entry.capabilities


async def _past(sent: str, stream: AttemptStream, joint: _Joint, *, is_strict: bool) -> StreamChunk:
    """Read on until the text goes beyond `sent`: the chunk with what is new.

    Raises:
        StreamInterruptedError: With `is_strict`: the text is not what was sent, or ends before it.
    """
    text = ""
    async for chunk in stream:
        text += chunk.text
        common = _common_length(sent, text)
        is_over = len(text) > common
        differs = is_over and common < len(sent)
        if is_strict and (differs or chunk.tool_calls or chunk.refusal or _ends_early(chunk, common, sent)):
            break
        if is_over or chunk.finish_reason is not None:
            joint.skipped = common
            return replace(chunk, text=text[common:], reasoning="", reasoning_parts=())
    raise StreamInterruptedError("the answer broke off, and another model answers in other words")


def _ends_early(chunk: StreamChunk, common: int, sent: str) -> bool:
    return chunk.finish_reason is not None and common < len(sent)


def _common_length(one: str, other: str) -> int:
    """How many characters both begin with."""
    shortest = min(len(one), len(other))
    if one[:shortest] == other[:shortest]:
        return shortest
    return next(n for n in range(shortest) if one[n] != other[n])
