"""Small nodes, a scripted model and short ways to build plans and walk them, for tests of the engine."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from random import Random
from typing import Any, cast

from pydantic import JsonValue as PydanticJson

from bridge.call_record import AttemptRecord, CallContext, CallRecord
from bridge.chat import ChatRequest, ChatResponse, Message, StreamChunk
from bridge.clock import Clock, FrozenClock
from bridge.embedding import EmbeddingRequest, EmbeddingResponse
from bridge.errors import BridgeError, BudgetExceededError, ErrorClass
from bridge.json_types import JsonValue
from bridge.side_calls import EmbeddingResult
from flows.engine_services import EngineLimits, EngineServices
from flows.expressions import CelExpressions
from flows.inline_lane import InlineLane
from flows.plan import Block, Dependency, Plan, PlanStep
from flows.run_memory import MemoryEventBus, MemoryOutcomeCache, MemoryRunStore
from flows.runs import Run, StepRun
from nodes.context import ChatResult, ChatStream, NodeContext
from nodes.errors import NodeError
from nodes.node import Node, NodeOutput, node_type

START = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)


class ProbeOutput(NodeOutput):
    value: PydanticJson = None


@node_type("test_probe")
class Probe(Node[ProbeOutput]):
    """Answers `value`; may wait first, and fail on the first `fails` attempts (-1: always)."""

    output_type = ProbeOutput

    value: PydanticJson = None
    sleep_s: float = 0.0
    fails: int = 0
    error_class: ErrorClass = "unavailable"
    retry_after_s: float | None = None
    crash: str | None = None

    async def run(self, context: NodeContext) -> ProbeOutput:
        if self.sleep_s:
            await asyncio.sleep(self.sleep_s)
        if self.crash:
            raise RuntimeError(self.crash)
        if self.fails < 0 or context.attempt <= self.fails:
            raise NodeError("probe failed", error_class=self.error_class, retry_after_s=self.retry_after_s)
        value = context.re_ask if self.value == "re_ask" else self.value
        return ProbeOutput(value=value)


class PaidOutput(NodeOutput):
    text: str = ""


@node_type("test_paid")
class Paid(Node[PaidOutput]):
    """Asks the model for `prompt`: costs money, so its outcome is committed."""

    output_type = PaidOutput
    is_replayable = False
    asks_models_only = True

    prompt: str = ""

    async def run(self, context: NodeContext) -> PaidOutput:
        result = await context.chat(ChatRequest(model="m", messages=(Message.of("user", self.prompt),)))
        return PaidOutput(text=result.response.text)


def call_record(context: CallContext, call_id: str, *, cost_nano_usd: int | None = 1000) -> CallRecord:
    """A call of one attempt that succeeded."""
    attempt = AttemptRecord(
        attempt_id=f"a-{call_id}",
        deployment="mock/m",
        provider="mock",
        model="mock/m",
        started_at=START,
        duration_ms=1.0,
        ttft_ms=None,
        outcome="succeeded",
        error_class=None,
        error_message=None,
        status=200,
        usage=None,
        cost_nano_usd=cost_nano_usd,
        provider_cost_nano_usd=None,
        price=None,
        is_estimated=False,
    )
    return CallRecord(
        call_id=call_id,
        context=context,
        requested="m",
        alias=None,
        decision=None,
        attempts=(attempt,),
        status="succeeded",
        cache="off",
        is_stream=False,
        started_at=START,
        finished_at=START,
    )


@dataclass
class ScriptedModels:
    """A ModelCaller that echoes the prompt, counts, waits, and fails where told to."""

    delay_s: float = 0.0
    cost_nano_usd: int | None = 1000
    refuse_after: int | None = None
    """From this call on, the budget is used up."""
    failures: dict[str, BridgeError] = field(default_factory=dict[str, BridgeError])
    prompts: list[str] = field(default_factory=list[str])
    contexts: list[CallContext] = field(default_factory=list[CallContext])

    async def chat(self, request: ChatRequest, context: CallContext) -> ChatResult:
        prompt = request.messages[-1].text
        if self.refuse_after is not None and len(self.prompts) >= self.refuse_after:
            raise BudgetExceededError("the run's budget is used up", scope="run", limit_nano_usd=1, left_nano_usd=0)
        self.prompts.append(prompt)
        self.contexts.append(context)
        if self.delay_s:
            await asyncio.sleep(self.delay_s)
        if prompt in self.failures:
            raise self.failures[prompt]
        record = call_record(context, f"c{len(self.prompts)}", cost_nano_usd=self.cost_nano_usd)
        response = ChatResponse(text=f"re: {prompt}", finish_reason="stop", usage=None)
        return ChatResult(response=response, parsed=None, record=record)

    async def embed(self, request: EmbeddingRequest, context: CallContext) -> EmbeddingResult:
        self.contexts.append(context)
        record = call_record(context, f"e{len(self.contexts)}", cost_nano_usd=self.cost_nano_usd)
        vectors = tuple((float(len(text)), 1.0) for text in request.texts)
        return EmbeddingResult(EmbeddingResponse(vectors, None, request.model), record)

    def stream(self, request: ChatRequest, context: CallContext) -> ChatStream:
        return cast("ChatStream", ScriptedStream(self, request, context))


@dataclass
class ScriptedStream:
    """The same answer, word by word."""

    models: ScriptedModels
    request: ChatRequest
    context: CallContext
    result: Any = None

    def __aiter__(self) -> AsyncIterator[StreamChunk]:
        return self._chunks()

    async def _chunks(self) -> AsyncIterator[StreamChunk]:
        self.result = await self.models.chat(self.request, self.context)
        for word in self.result.response.text.split(" "):
            yield StreamChunk(text=word)


@dataclass
class Engine:
    """An in-memory engine and what a test wants to look at afterwards."""

    models: ScriptedModels = field(default_factory=ScriptedModels)
    clock: Clock = field(default_factory=lambda: FrozenClock(START))
    plans: dict[str, Plan] = field(default_factory=dict[str, Plan])
    limits: EngineLimits = field(default_factory=EngineLimits)
    of: "Engine | None" = None
    """Another engine whose store this one shares."""

    def __post_init__(self) -> None:
        self.store: MemoryRunStore = self.of.store if self.of is not None else MemoryRunStore(self.clock)
        self.bus = MemoryEventBus()
        self.services = EngineServices(
            models=self.models,
            expressions=CelExpressions(),
            store=self.store,
            bus=self.bus,
            load_plan=self._load_plan,
            clock=self.clock,
            cache=MemoryOutcomeCache(self.clock),
            limits=self.limits,
            node_types={cls.type_name: cls for cls in (Probe, Paid)},
            rng=Random(7),
        )
        self.lane = InlineLane(self.services)

    async def start(self, plan: Plan, inputs: Mapping[str, JsonValue] | None = None, *, run_id: str = "r1") -> Run:
        """Create a run of `plan` and walk it to its end."""
        await self.store.create(a_run(plan, inputs, run_id=run_id))
        return await self.walk(plan, run_id)

    async def walk(self, plan: Plan, run_id: str = "r1", *, owner: str = "me") -> Run:
        """Take the run and walk it."""
        held = await self.store.acquire(run_id, owner)
        run = await self.store.load(run_id)
        assert held is not None
        assert run is not None
        return await self.lane.execute(plan, run, held)

    async def steps(self, run_id: str = "r1") -> dict[str, StepRun]:
        """The stored steps by path."""
        return {step.path: step for step in await self.store.steps(run_id)}

    async def statuses(self, run_id: str = "r1") -> dict[str, str]:
        """The stored statuses by path; a skipped or cancelled step with its reason."""
        return {
            path: f"{step.status}:{step.reason}" if step.reason else step.status
            for path, step in (await self.steps(run_id)).items()
        }

    async def _load_plan(self, org_id: str, ref: str) -> Plan:
        if ref not in self.plans:
            raise NodeError(f"no flow {ref} in {org_id}", error_class="invalid_request")
        return self.plans[ref]


def a_run(plan: Plan, inputs: Mapping[str, JsonValue] | None = None, *, run_id: str = "r1") -> Run:
    """A queued run."""
    return Run(
        id=run_id,
        org_id="acme",
        flow=plan.flow,
        version=1,
        status="queued",
        inputs=dict(inputs or {}),
        trigger="manual",
        lane="inline",
        created_at=START,
    )


def probe(step_id: str, *needs: str, **fields: Any) -> PlanStep:
    """A probe step; `with_` is its block, other names are fields of PlanStep; `needs` become dependencies."""
    return a_step(step_id, "test_probe", *needs, **fields)


def failing(step_id: str, *needs: str, **fields: Any) -> PlanStep:
    """A probe step that always fails."""
    return probe(step_id, *needs, with_={"fails": -1}, **fields)


def paid(step_id: str, *needs: str, **fields: Any) -> PlanStep:
    """A step that costs money."""
    return a_step(step_id, "test_paid", *needs, is_replayable=False, **fields)


def a_step(step_id: str, type_: str, *needs: str, **fields: Any) -> PlanStep:
    """A step of any type."""
    extra = tuple(fields.pop("depends_on", ()))
    return PlanStep(
        id=step_id,
        type=type_,
        config=fields.pop("with_", {}),
        depends_on=(*(Dependency(need, "needs") for need in needs), *extra),
        fingerprint=fields.pop("fingerprint", f"f-{step_id}"),
        **fields,
    )


def a_plan(*steps: PlanStep, **fields: Any) -> Plan:
    """A plan of these steps."""
    base = Plan(flow="demo", content_hash="h", block=Block(steps=steps), outputs={}, inputs_schema={"type": "object"})
    return replace(base, **fields)


def reads(step: str, *, coalesced: bool = False) -> Dependency:
    """A read of a step's output."""
    return Dependency(step, "output", is_coalesced=coalesced)
