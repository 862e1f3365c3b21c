"""A recorded run once more: every step that cost or had effects is answered from the recording, the rest is computed.

The walk has the identity of the recorded run (id, start, attempt, trigger), so expressions see what they saw. It
happens in memory, nothing of it is stored, and nothing is asked of the world: models, network and node types that act
are out of reach. With calls allowed, what the recording lacks is asked for and paid.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from bridge.call_record import CallContext
from bridge.chat import ChatRequest
from bridge.clock import Clock, FrozenClock, SystemClock
from bridge.embedding import EmbeddingRequest
from bridge.result import ChatResult, ChatStream
from bridge.side_calls import EmbeddingResult
from flows.engine_services import EngineServices
from flows.experiments import Exposure, Exposures
from flows.inline_lane import InlineLane
from flows.plan import Plan
from flows.recordings import Recording
from flows.replay_source import RecordedRun, ReplaySource, Seen
from flows.run_memory import MemoryEventBus, MemoryRunStore
from flows.runs import FINAL_RUN, Run, RunStore, StepRun
from nodes.context import HttpRules, ModelCaller
from nodes.errors import NodeError

OWNER = "replay"


class NotReplayableError(Exception):
    """The run cannot be replayed; the text says why."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """How a replay went."""

    recorded: RecordedRun
    run: Run
    steps: Mapping[str, StepRun]
    seen: Seen
    is_same_flow: bool


async def load_recorded(store: RunStore, run_id: str) -> RecordedRun:
    """The run with what is stored of it. Raises NotReplayableError when it is unknown or still going on."""
    run = await store.load(run_id)
    if run is None:
        raise NotReplayableError(f"there is no run {run_id}")
    if run.status not in FINAL_RUN:
        raise NotReplayableError(f"run {run_id} is {run.status}; a run can be replayed when it has ended")
    return RecordedRun.of(run, await store.steps(run_id), await store.recordings(run_id))


async def replay(
    recorded: RecordedRun,
    plan: Plan,
    services: EngineServices,
    *,
    is_same_flow: bool,
    models: ModelCaller | None = None,
) -> Replayed:
    """Walk `plan` over the recording. `is_same_flow`: it is the version that the run pinned.

    With `models`, steps that the recording cannot answer are executed with these models and with everything else of
    `services`; without, they are out of reach.
    """
    started_at = recorded.run.started_at or recorded.run.created_at
    clock = FrozenClock(started_at) if models is None else ShiftedClock(started_at)
    source = ReplaySource(recorded, plan, clock, is_same_flow=is_same_flow, otherwise=models)
    store = MemoryRunStore(clock)
    arms = RecordedArms(recorded.recordings)
    if models is None:
        apart = _sealed(services, store, clock, arms)
    else:
        apart = _open(services, store, clock, arms, models=models)
    await store.create(_once_more(recorded.run))
    owner = await store.acquire(recorded.run.id, OWNER)
    run = await store.load(recorded.run.id)
    assert owner is not None
    assert run is not None
    ended = await InlineLane(replace(apart, source=source)).execute(plan, run, owner)
    steps = {step.path: step for step in await store.steps(run.id)}
    return Replayed(recorded, ended, steps, source.seen, is_same_flow)


def _once_more(run: Run) -> Run:
    """The run as it was when its last walk began."""
    return replace(
        run,
        status="queued",
        lane="inline",
        outputs={},
        errors=(),
        cost_nano_usd=0,
        epoch=max(0, run.epoch - 1),
        owner=None,
        lease_until=None,
        finished_at=None,
        is_cancel_requested=False,
        prefect_run_id=None,
        wake_at=None,
        waiting_since=None,
        waited_s=0.0,
    )


def _sealed(services: EngineServices, store: MemoryRunStore, clock: Clock, exposures: Exposures) -> EngineServices:
    """Services that reach nothing: what is not named here is at its default, which is nothing."""
    return EngineServices(
        models=SealedModels(),
        expressions=services.expressions,
        store=store,
        bus=MemoryEventBus(),
        load_plan=services.load_plan,
        clock=clock,
        http=HttpRules(resolve=resolve_nothing),
        node_types=services.node_types,
        exposures=exposures,
        keeps_recordings=False,
    )


def _open(
    services: EngineServices, store: MemoryRunStore, clock: Clock, exposures: Exposures, *, models: ModelCaller
) -> EngineServices:
    return replace(
        services,
        models=models,
        store=store,
        bus=MemoryEventBus(),
        clock=clock,
        exposures=exposures,
        cache=None,
        observers=(),
        keeps_recordings=False,
    )


class RecordedArms:
    """Exposures of a replay: every step takes the arm that it took; nothing is kept."""

    def __init__(self, recordings: Mapping[str, Recording]) -> None:
        self._recordings = recordings

    async def expose(self, exposure: Exposure) -> str:
        """The recorded arm, else the one that is drawn."""
        recording = self._recordings.get(exposure.step_path)
        return exposure.arm if recording is None or recording.arm is None else recording.arm


async def resolve_nothing(host: str, port: int) -> Sequence[str]:
    """`HttpRules.resolve` that knows no host. Raises OSError."""
    raise OSError(f"a replay reaches nothing, {host}:{port} neither")


class SealedModels:
    """ModelCaller that refuses."""

    async def chat(self, request: ChatRequest, context: CallContext) -> ChatResult:
        """Raises NodeError."""
        raise self._refusal(request.model, context)

    def stream(self, request: ChatRequest, context: CallContext) -> ChatStream:
        """Raises NodeError."""
        raise self._refusal(request.model, context)

    async def embed(self, request: EmbeddingRequest, context: CallContext) -> EmbeddingResult:
        """Raises NodeError."""
        raise self._refusal(request.model, context)

    def _refusal(self, model: str, context: CallContext) -> NodeError:
        where = f" for {context.step_path}" if context.step_path else ""
        return NodeError(f"a replay asks no model; {model} was to be asked{where}", error_class="unavailable")


class ShiftedClock:
    """The machine's clock, set to a moment of the past when it was made."""

    def __init__(self, start: datetime) -> None:
        self._clock = SystemClock()
        self._start, self._began_s = start, self._clock.monotonic()

    def now(self) -> datetime:
        """The start, and what has gone by since."""
        return self._start + timedelta(seconds=self._clock.monotonic() - self._began_s)

    def monotonic(self) -> float:
        """As the machine's."""
        return self._clock.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait for real."""
        await self._clock.sleep(seconds)
