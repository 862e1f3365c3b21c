"""Small real implementations of the ports that nodes ask for."""

import math
import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import UTC, datetime

from bridge.call_record import AttemptRecord, CallContext, CallRecord
from bridge.chat import ChatRequest, ChatResponse, StreamChunk, Usage
from bridge.clock import FrozenClock
from bridge.embedding import EmbeddingRequest, EmbeddingResponse
from bridge.errors import BridgeError
from bridge.json_types import JsonValue
from bridge.side_calls import EmbeddingResult
from nodes.context import ChatResult, HttpRules, NodeContext
from nodes.errors import ExpressionError
from nodes.outside import Outside
from nodes.waiting import Answer

START = datetime(2025, 1, 1, tzinfo=UTC)


def call_record(context: CallContext, model: str = "mock/echo", cost_nano_usd: int | None = 1_500_000) -> CallRecord:
    """A call that succeeded at the first try."""
    attempt = AttemptRecord(
        attempt_id="attempt-1",
        deployment=model,
        provider=model.split("/", maxsplit=1)[0],
        model=model,
        started_at=START,
        duration_ms=5.0,
        ttft_ms=None,
        outcome="succeeded",
        error_class=None,
        error_message=None,
        status=200,
        usage=Usage(10, 5),
        cost_nano_usd=cost_nano_usd,
        provider_cost_nano_usd=None,
        price=None,
        is_estimated=False,
        finish_reason="stop",
    )
    return CallRecord(
        call_id="call-1",
        context=context,
        requested=model,
        alias=None,
        decision=None,
        attempts=(attempt,),
        status="succeeded",
        cache="off",
        is_stream=False,
        started_at=START,
        finished_at=START,
    )


class FakeStream:
    """A streamed answer, a character at a time."""

    def __init__(self, result: ChatResult) -> None:
        self._result = result
        self.is_closed = False

    async def __aiter__(self) -> AsyncIterator[StreamChunk]:
        for character in self._result.response.text:
            yield StreamChunk(text=character)
        yield StreamChunk(text="not for the reader", choice=1)

    async def aclose(self) -> None:
        self.is_closed = True

    @property
    def result(self) -> ChatResult:
        return self._result


class FakeModels:
    """Answers calls from a script, in order, and keeps the requests."""

    def __init__(self, *answers: ChatResponse | tuple[ChatResponse, JsonValue] | BridgeError) -> None:
        self.requests: list[ChatRequest] = []
        self.embedded: list[EmbeddingRequest] = []
        self.streams: list[FakeStream] = []
        self._answers = list(answers)

    async def chat(self, request: ChatRequest, context: CallContext) -> ChatResult:
        self.requests.append(request)
        answer = self._answers.pop(0)
        if isinstance(answer, BridgeError):
            raise answer
        response, parsed = answer if isinstance(answer, tuple) else (answer, None)
        return ChatResult(response=response, parsed=parsed, record=call_record(context))

    def stream(self, request: ChatRequest, context: CallContext) -> FakeStream:
        self.requests.append(request)
        answer = self._answers.pop(0)
        if isinstance(answer, BridgeError):
            raise answer
        response, parsed = answer if isinstance(answer, tuple) else (answer, None)
        self.streams.append(FakeStream(ChatResult(response=response, parsed=parsed, record=call_record(context))))
        return self.streams[-1]

    async def embed(self, request: EmbeddingRequest, context: CallContext) -> EmbeddingResult:
        self.embedded.append(request)
        failure = self._answers.pop(0) if self._answers and isinstance(self._answers[0], BridgeError) else None
        if isinstance(failure, BridgeError):
            raise failure
        vectors = tuple(word_vector(text) for text in request.texts)
        response = EmbeddingResponse(vectors, Usage(len(request.texts), 0), request.model)
        return EmbeddingResult(response, call_record(context, request.model))


def word_vector(text: str, dimensions: int = 32) -> tuple[float, ...]:
    """A vector of unit length in which texts that share words are alike; all zeros without a word."""
    counts = [0.0] * dimensions
    for word in re.findall(r"\w+", text.lower()):
        counts[sum(word.encode()) * 31 % dimensions] += 1.0
    length = math.hypot(*counts)
    return tuple(count / length for count in counts) if length else tuple(counts)


class PlainExpressions:
    """Expressions as Python functions of the scope, by their text."""

    def __init__(self, meanings: Mapping[str, Callable[[Mapping[str, JsonValue]], JsonValue]]) -> None:
        self._meanings = meanings

    def evaluate(self, expression: str, scope: Mapping[str, JsonValue]) -> JsonValue:
        if expression not in self._meanings:
            raise ExpressionError(f"unknown expression {expression}", expression=expression)
        return self._meanings[expression](scope)


def said(text: str, parsed: JsonValue = None) -> tuple[ChatResponse, JsonValue]:
    """An answer of the fake models, with its parsed JSON."""
    return ChatResponse(text=text, finish_reason="stop", usage=Usage(10, 5)), parsed


def node_context(
    models: FakeModels | None = None,
    *,
    expressions: Mapping[str, Callable[[Mapping[str, JsonValue]], JsonValue]] | None = None,
    scope: Mapping[str, JsonValue] | None = None,
    http: HttpRules | None = None,
    outside: Outside | None = None,
    on_token: Callable[[str], None] | None = None,
    re_ask: str | None = None,
    waiting_since: datetime | None = None,
    answers: Sequence[Answer] = (),
) -> NodeContext:
    """The world of one attempt, made of fakes."""
    return NodeContext(
        models=models or FakeModels(),
        call=CallContext(org_id="org"),
        clock=FrozenClock(START),
        run_started_at=START,
        expressions=PlainExpressions(expressions or {}),
        scope=scope or {},
        http=http or HttpRules(),
        outside=outside or Outside(),
        on_token=on_token,
        re_ask=re_ask,
        waiting_since=waiting_since,
        answers=answers,
    )


class TableResolver:
    """Addresses from a table, changing from call to call where several answers are given; counts its calls."""

    def __init__(self, table: Mapping[str, Sequence[Sequence[str]]]) -> None:
        self._table = {host: list(answers) for host, answers in table.items()}
        self.calls: list[str] = []

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        del port
        self.calls.append(host)
        answers = self._table.get(host)
        if not answers:
            raise OSError(f"no address for {host}")
        return answers.pop(0) if len(answers) > 1 else answers[0]


def inside(value: JsonValue, *path: str) -> JsonValue:
    """What stands at the path of keys in a JSON value; fails where there is nothing."""
    for key in path:
        assert isinstance(value, Mapping), value
        value = value[key]
    return value
