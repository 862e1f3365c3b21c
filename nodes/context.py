"""What a node is given when it runs, and the ports it may ask for."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from bridge.call_record import CallContext, CallRecord
from bridge.chat import ChatRequest
from bridge.clock import Clock
from bridge.embedding import EmbeddingRequest
from bridge.errors import BridgeError, BudgetExceededError, NoRouteError
from bridge.json_types import JsonObject, JsonValue
from bridge.result import ChatResult, ChatStream
from bridge.side_calls import EmbeddingResult
from nodes.errors import NodeError
from nodes.outside import Outside
from nodes.waiting import Answer


class ModelCaller(Protocol):
    """The part of `bridge.gateway.Bridge` that nodes use."""

    async def chat(self, request: ChatRequest, context: CallContext) -> ChatResult: ...

    def stream(self, request: ChatRequest, context: CallContext) -> ChatStream: ...

    async def embed(self, request: EmbeddingRequest, context: CallContext) -> EmbeddingResult: ...


class Expressions(Protocol):
    """Evaluates CEL; implemented by flows/expressions.py. Raises ExpressionError."""

    def evaluate(self, expression: str, scope: Mapping[str, JsonValue]) -> JsonValue:
        """The value of `expression`, which may stand bare or in `${{ }}`."""
        ...


Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""All addresses of a host name and port, as text. Raises OSError when there are none."""


@dataclass(frozen=True, slots=True)
class HttpRules:
    """What the http node may reach beyond public addresses, and how much it may read."""

    allow_hosts: frozenset[str] = frozenset()
    """Host names or addresses, optionally with `:port`, that the operator opened."""
    max_body_bytes: int = 10 * 1024 * 1024
    timeout_s: float = 30.0
    max_redirects: int = 5
    ca_file: str | None = None
    """PEM file of certificate authorities to trust besides the public ones: for hosts that the operator opened."""
    resolve: Resolve | None = None
    """Who turns names into addresses; None: the system."""


@dataclass(frozen=True, slots=True)
class ModelExchange:
    """One chat call of a step: what was asked, and the result or the error that came."""

    request: ChatRequest
    result: ChatResult | None = None
    error: BridgeError | None = None


@dataclass(frozen=True, slots=True)
class FlowFacts:
    """What there is to know of a flow before it is run."""

    description: str
    inputs_schema: JsonObject


@dataclass(frozen=True, slots=True)
class FlowEnd:
    """How a flow inside a step ended. The cost is in nano-USD, None when a price is unknown."""

    outputs: JsonObject
    cost_nano_usd: int | None
    error: NodeError | None = None


class FlowCaller(Protocol):
    """Runs published flows of the organisation inside this step. Raises NodeError."""

    async def known(self, ref: str) -> FlowFacts:
        """The flow `name` or `name@version`, if it can be run inside a step: one that may wait cannot."""
        ...

    async def run(self, ref: str, inputs: JsonObject, *, name: str) -> FlowEnd:
        """Run it. `name` says what the call is for."""
        ...


@dataclass(slots=True)
class StepFacts:
    """What a step did while it ran: filled by the context, read by `run_step`."""

    calls: list[CallRecord] = field(default_factory=list[CallRecord])
    exchanges: list[ModelExchange] = field(default_factory=list[ModelExchange])
    inner_cost_nano_usd: int | None = 0
    """Of flows that ran inside; None when a price is unknown."""


@dataclass(frozen=True, slots=True)
class NodeContext:
    """The world of one attempt of one step."""

    models: ModelCaller
    call: CallContext
    clock: Clock
    run_started_at: datetime
    expressions: Expressions
    scope: Mapping[str, JsonValue]
    """The expression roots at this step: inputs, nodes, run, tenant, and item, index, state where they exist."""
    http: HttpRules = field(default_factory=HttpRules)
    outside: Outside = field(default_factory=Outside)
    flows: FlowCaller | None = None
    attempt: int = 1
    re_ask: str | None = None
    """The validation error of the previous attempt, when the retry mode is `re_ask`."""
    facts: StepFacts = field(default_factory=StepFacts)
    on_token: Callable[[str], None] | None = None
    """Told each piece of text while a model answers."""
    waiting_since: datetime | None = None
    """When this step began to wait, in a walk before this one."""
    answers: Sequence[Answer] = ()
    """What people have said to it since, the first in time first."""
    when_refused: Callable[[ChatRequest, BudgetExceededError], ChatRequest | None] | None = None
    """Asked what to send instead of a call that a budget refused; None, or no answer: the refusal stands."""

    async def chat(self, request: ChatRequest, *, is_shown: bool = True) -> ChatResult:
        """One bridge call on behalf of this step; its record is kept in `facts`, also when it fails.

        With `on_token` the answer is streamed from the provider and passed on as it comes, unless `is_shown` is
        false: then nobody wants to read it while it is written.
        """
        try:
            result = await self._answer(request, is_shown=is_shown)
        except BridgeError as error:
            self.facts.exchanges.append(ModelExchange(request, error=error))
            call = getattr(error, "call", None)
            if isinstance(call, CallRecord):
                self.facts.calls.append(call)
            instead = self._instead(request, error)
            if instead is None:
                raise
            try:
                return await self.chat(instead, is_shown=is_shown)
            except NoRouteError:  # nothing else can do it: what counts is the refusal
                raise error from None
        self.facts.calls.append(result.record)
        self.facts.exchanges.append(ModelExchange(request, result))
        return result

    async def embed(self, request: EmbeddingRequest) -> EmbeddingResult:
        """Vectors through the bridge on behalf of this step; the record is kept in `facts`, also when it fails."""
        try:
            result = await self.models.embed(request, self.call)
        except BridgeError as error:
            if isinstance(error.call, CallRecord):
                self.facts.calls.append(error.call)
            raise
        self.facts.calls.append(result.record)
        return result

    def evaluate(self, expression: str, names: Mapping[str, JsonValue] | None = None) -> JsonValue:
        """Evaluate CEL in this step's scope, with `names` added. Raises ExpressionError."""
        return self.expressions.evaluate(expression, {**self.scope, **(names or {})})

    def _instead(self, request: ChatRequest, error: BridgeError) -> ChatRequest | None:
        if self.when_refused is None or not isinstance(error, BudgetExceededError):
            return None
        return self.when_refused(request, error)

    async def _answer(self, request: ChatRequest, *, is_shown: bool) -> ChatResult:
        if self.on_token is None or not is_shown:
            return await self.models.chat(request, self.call)
        stream = self.models.stream(request, self.call)
        try:
            async for chunk in stream:
                if chunk.text and chunk.choice == 0:
                    self.on_token(chunk.text)
        except BaseException:
            await stream.aclose()  # whoever stops us does not want the rest, nor pay for it
            raise
        return stream.result


def as_object(value: JsonValue) -> JsonObject:
    """The value as a map; TypeError when it is none."""
    if not isinstance(value, Mapping):
        raise TypeError(f"expected a map, got {type(value).__name__}")
    return value
