"""The events of a streamed generateContent as stream chunks."""

import re
from dataclasses import dataclass, field
from itertools import pairwise
from typing import cast

import msgspec

from bridge.catalog.deployments import Deployment
from bridge.chat import StreamChunk, ToolCallDelta
from bridge.errors import MalformedReplyError
from bridge.providers.google_gemini_reply import (
    WireCandidate,
    WireFunctionCall,
    WirePart,
    WireReply,
    finish_reason_of,
    invented_id,
    is_blocked,
    logprobs_of,
    signed_parts,
    tool_call_of,
    usage_of,
)
from bridge.providers.rejections import in_band_error
from bridge.streaming import ServerSentEvent

_DECODER = msgspec.json.Decoder(WireReply)
_STEP = re.compile(r"\.([A-Za-z_$][\w$-]*)|\[(\d+)\]|\['([^']*)'\]")


@dataclass(slots=True)
class _OpenCall:
    """A call whose arguments come in pieces."""

    slot: int
    arguments: dict[str, object] = field(default_factory=dict[str, object])


@dataclass(slots=True)
class _Candidate:
    """What has come of one candidate."""

    calls: int = 0
    open: _OpenCall | None = None


class GeminiEventReader:
    """Reads one stream. There is no end mark: the stream ends with its last event."""

    def __init__(self, target: Deployment) -> None:
        self._target = target
        self._candidates: dict[int, _Candidate] = {}

    @property
    def is_done(self) -> bool:
        return False

    def read(self, event: ServerSentEvent) -> tuple[StreamChunk, ...]:
        try:
            reply = _DECODER.decode(event.data)
        except (msgspec.DecodeError, msgspec.ValidationError, RecursionError) as problem:
            raise MalformedReplyError(
                f"{self._target.name}: an event of the stream cannot be read", deployment=self._target.name
            ) from problem
        if reply.error:
            raise in_band_error(reply.error, self._target)
        model, usage = reply.model_version or "", usage_of(reply.usage_metadata)
        chunks = [self._chunk(candidate, reply.response_id or "", model) for candidate in reply.candidates or ()]
        if not chunks and is_blocked(reply):
            chunks.append(StreamChunk(finish_reason="content_filter", model=model))
        if usage is not None:
            chunks.append(StreamChunk(usage=usage, model=model))
        return tuple(chunks)

    def _chunk(self, candidate: WireCandidate, reply_id: str, model: str) -> StreamChunk:
        known = self._candidates.setdefault(candidate.index, _Candidate())
        parts = candidate.parts
        deltas = [
            delta
            for part in parts
            if part.function_call is not None
            for delta in self._deltas(known, part, part.function_call, reply_id)
        ]
        return StreamChunk(
            text="".join(part.text or "" for part in parts if not part.thought),
            reasoning="".join(part.text or "" for part in parts if part.thought),
            reasoning_parts=signed_parts(parts),
            tool_calls=tuple(deltas),
            finish_reason=finish_reason_of(candidate, self._target, has_calls=known.calls > 0),
            model=model,
            choice=candidate.index,
            logprobs=logprobs_of(candidate.logprobs_result),
        )

    def _deltas(
        self, known: _Candidate, part: WirePart, call: WireFunctionCall, reply_id: str
    ) -> tuple[ToolCallDelta, ...]:
        """A whole call at once; one that comes in pieces opens with its name and closes with all its arguments."""
        if known.open is not None and not call.name:
            for piece in call.partial_args or ():
                put_argument(known.open.arguments, piece)
            if call.will_continue:
                return ()
            done, known.open = known.open, None
            return (ToolCallDelta(done.slot, arguments=msgspec.json.encode(done.arguments).decode()),)
        slot, known.calls = known.calls, known.calls + 1
        if call.will_continue:
            known.open = _OpenCall(slot)
            name, call_id = call.name or "", call.id or invented_id(reply_id, slot)
            return (ToolCallDelta(slot, call_id, name, signature=part.thought_signature or ""),)
        whole = tool_call_of(part, reply_id, slot)
        return (ToolCallDelta(slot, whole.id, whole.name, whole.arguments, whole.signature),)


def put_argument(arguments: dict[str, object], piece: dict[str, object]) -> None:
    """Put one piece of a streamed argument in its place. Strings grow, everything else is set.

    `jsonPath` is like `$.location` or `$.stops[0].name`.
    """
    path = piece.get("jsonPath")
    steps = [_step(found) for found in _STEP.finditer(path)] if isinstance(path, str) else []
    kinds = ("stringValue", "numberValue", "boolValue", "nullValue")
    kind = next((name for name in kinds if name in piece), None)
    if not steps or kind is None:
        return
    value = None if kind == "nullValue" else piece[kind]
    holder: object = arguments
    for here, following in pairwise(steps):
        child = _at(holder, here)
        if child is None:
            child = list[object]() if isinstance(following, int) else dict[str, object]()
            _put(holder, here, child)
        holder = child
    before = _at(holder, steps[-1])
    _put(holder, steps[-1], before + value if isinstance(before, str) and isinstance(value, str) else value)


def _step(found: re.Match[str]) -> str | int:
    name, index, quoted = found.groups()
    return int(index) if index is not None else name if name is not None else quoted


def _at(holder: object, step: str | int) -> object:
    if isinstance(holder, dict):
        return cast("dict[str | int, object]", holder).get(step)
    if isinstance(holder, list) and isinstance(step, int):
        items = cast("list[object]", holder)
        return items[step] if step < len(items) else None
    return None


def _put(holder: object, step: str | int, value: object) -> None:
    if isinstance(holder, dict):
        cast("dict[str | int, object]", holder)[step] = value
    elif isinstance(holder, list) and isinstance(step, int):
        items = cast("list[object]", holder)
        items.extend([None] * (min(step, 10_000) + 1 - len(items)))
        if step < len(items):
            items[step] = value
