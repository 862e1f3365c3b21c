"""The stream events of a response as OpenAI's clients read them.

Source: OpenAI API reference, "Streaming events" of responses. An item is open until another kind of content comes;
calls stay open until the end, since their arguments may come by turns.
"""

from dataclasses import dataclass

import msgspec

from bridge.chat import ReasoningPart, StreamChunk, ToolCallDelta
from bridge.result import ChatResult
from platform_api.llm.client_dialect import AnswerFacts
from platform_api.llm.openai_responses_reply import (
    Items,
    JsonDict,
    call_item,
    finished,
    message_item,
    reasoning_item,
    response_object,
    text_part,
)
from platform_api.llm.openai_responses_request import ResponsesBody

NO_LOGPROBS: JsonDict = {"logprobs": []}


@dataclass(slots=True)
class _Open:
    """An item that is being written."""

    kind: str
    place: int
    id: str
    text: str = ""
    call_id: str = ""
    name: str = ""


class ResponseEncoder:
    """Turns chunks into the events of one response."""

    def __init__(self, facts: AnswerFacts, asked: ResponsesBody) -> None:
        self._facts = facts
        self._asked = asked
        self._sent = 0
        self._items: Items = []
        self._open: _Open | None = None
        """Being written, unless it is a call."""
        self._calls: dict[int, _Open] = {}
        self._encode = msgspec.json.Encoder().encode

    def chunk(self, chunk: StreamChunk) -> bytes:
        """The events for one chunk."""
        events = self._begin()
        if chunk.reasoning:
            events += self._add("reasoning", chunk.reasoning)
        for part in chunk.reasoning_parts:
            events += self._signed(part)
        if chunk.text:
            events += self._add("text", chunk.text)
        if chunk.refusal:
            events += self._add("refusal", chunk.refusal)
        for call in chunk.tool_calls:
            events += self._called(call)
        return b"".join(events)

    def end(self, result: ChatResult) -> bytes:
        """The open items' ends, and the whole response."""
        events = [*self._begin(), *self._close()]
        for call in self._calls.values():
            events += self._called_whole(call)
        body = finished(result.response, self._facts, self._asked, self._items)
        events.append(self._event(f"response.{body['status']}", {"response": body}))
        return b"".join(events)

    def _begin(self) -> list[bytes]:
        if self._sent:
            return []
        body = response_object(self._facts, self._asked, status="in_progress")
        return [self._event(f"response.{name}", {"response": body}) for name in ("created", "in_progress")]

    def _add(self, kind: str, piece: str) -> list[bytes]:
        events: list[bytes] = []
        if self._open is None or self._open.kind != kind:
            events += [*self._close(), *self._start(kind)]
        item = self._open
        assert item is not None
        item.text += piece
        match kind:
            case "reasoning":
                events.append(self._at("response.reasoning_summary_text.delta", item, summary_index=0, delta=piece))
            case "text":
                events.append(self._at("response.output_text.delta", item, content_index=0, delta=piece, **NO_LOGPROBS))
            case _:
                events.append(self._at("response.refusal.delta", item, content_index=0, delta=piece))
        return events

    def _start(self, kind: str) -> list[bytes]:
        prefix = "rs" if kind == "reasoning" else "msg"
        item = self._open = self._next(kind, prefix)
        if kind == "reasoning":
            blank: JsonDict = {"type": "reasoning", "id": item.id, "summary": [], "status": "in_progress"}
            part = {"type": "summary_text", "text": ""}
            return [
                self._added(item, blank),
                self._at("response.reasoning_summary_part.added", item, summary_index=0, part=part),
            ]
        return [
            self._added(item, message_item(item.id, [], status="in_progress")),
            self._at("response.content_part.added", item, content_index=0, part=_said(kind, "")),
        ]

    def _close(self, signature: str = "") -> list[bytes]:
        item, self._open = self._open, None
        if item is None:
            return []
        if item.kind == "reasoning":
            part = {"type": "summary_text", "text": item.text}
            return [
                self._at("response.reasoning_summary_text.done", item, summary_index=0, text=item.text),
                self._at("response.reasoning_summary_part.done", item, summary_index=0, part=part),
                self._done(item, reasoning_item(item.id, ReasoningPart(item.text, signature))),
            ]
        whole = _said(item.kind, item.text)
        name, field = ("output_text", "text") if item.kind == "text" else ("refusal", "refusal")
        logprobs = NO_LOGPROBS if item.kind == "text" else {}
        return [
            self._at(f"response.{name}.done", item, content_index=0, **{field: item.text}, **logprobs),
            self._at("response.content_part.done", item, content_index=0, part=whole),
            self._done(item, message_item(item.id, [whole])),
        ]

    def _signed(self, part: ReasoningPart) -> list[bytes]:
        """The end of a thought that its provider signed; its text came before."""
        if not part.is_redacted and self._open is not None and self._open.kind == "reasoning":
            return self._close(part.signature)
        events = self._close()
        item = self._next("reasoning", "rs")
        whole = reasoning_item(item.id, part)
        return [*events, self._added(item, {**whole, "status": "in_progress"}), self._done(item, whole)]

    def _called(self, call: ToolCallDelta) -> list[bytes]:
        events: list[bytes] = []
        item = self._calls.get(call.index)
        if item is None:
            events += self._close()
            item = self._calls[call.index] = self._next("call", "fc")
            item.call_id, item.name = call.id or "", call.name or ""
            events.append(self._added(item, call_item(item.id, item.call_id, item.name, "", status="in_progress")))
        if call.arguments:
            item.text += call.arguments
            events.append(self._at("response.function_call_arguments.delta", item, delta=call.arguments))
        return events

    def _called_whole(self, item: _Open) -> list[bytes]:
        whole = call_item(item.id, item.call_id, item.name, item.text)
        done = {"arguments": item.text, "name": item.name}
        return [self._at("response.function_call_arguments.done", item, **done), self._done(item, whole)]

    def _next(self, kind: str, prefix: str) -> _Open:
        place = len(self._items)
        self._items.append({})
        return _Open(kind, place, f"{prefix}_{self._facts.call_id}_{place}")

    def _added(self, item: _Open, blank: JsonDict) -> bytes:
        return self._event("response.output_item.added", {"output_index": item.place, "item": blank})

    def _done(self, item: _Open, whole: JsonDict) -> bytes:
        self._items[item.place] = whole
        return self._event("response.output_item.done", {"output_index": item.place, "item": whole})

    def _at(self, event: str, item: _Open, /, **fields: object) -> bytes:
        return self._event(event, {"item_id": item.id, "output_index": item.place, **fields})

    def _event(self, name: str, fields: JsonDict) -> bytes:
        event = {"type": name, "sequence_number": self._sent, **fields}
        self._sent += 1
        return b"event: " + name.encode() + b"\ndata: " + self._encode(event) + b"\n\n"


def _said(kind: str, text: str) -> JsonDict:
    return text_part(text) if kind == "text" else {"type": "refusal", "refusal": text}
