"""What the engine needs from the process it runs in: ports and settings, joined by whoever builds the process."""

import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from bridge.clock import Clock, SystemClock
from bridge.identifiers import NewId, new_id
from bridge.json_types import JsonValue
from flows.experiments import Exposures, MemoryExposures
from flows.plan import Plan, Position
from flows.runs import EventBus, Run, RunStore, StepRun
from flows.step_source import StepSource
from nodes.context import HttpRules, ModelCaller
from nodes.node import Node, node_types
from nodes.outside import Outside
from nodes.waiting import Answer

LoadPlan = Callable[[str, str], Awaitable[Plan]]
"""Organisation id and reference (`name@version`) -> the compiled flow. Raises NodeError when there is none."""


class FlowExpressions(Protocol):
    """Expressions as the engine uses them. Both methods raise nodes.errors.ExpressionError."""

    def evaluate(self, expression: str, scope: Mapping[str, JsonValue]) -> JsonValue:
        """The value of one expression, bare or in `${{ }}`."""
        ...

    def render(
        self, value: JsonValue, scope: Mapping[str, JsonValue], places: Mapping[str, Position] | None = None
    ) -> JsonValue:
        """`value` with every `${{ }}` inside replaced; a text that is one expression keeps its type.

        `places` tells where each expression text stands in the document, for errors.
        """
        ...


class OutcomeCache(Protocol):
    """Earlier outcomes of steps with a cache rule. Losing an entry is harmless."""

    async def get(self, key: str) -> tuple[JsonValue] | None:
        """The stored output in a tuple of one; None on a miss."""
        ...

    async def put(self, key: str, output: JsonValue, *, ttl_s: float) -> None: ...


class Answers(Protocol):
    """What people have said to waiting steps."""

    async def of(self, run_id: str, path: str) -> Sequence[Answer]:
        """To this step, the first in time first."""
        ...


class NoAnswers:
    """Where nobody can answer: a step that asks waits until it expires."""

    async def of(self, run_id: str, path: str) -> Sequence[Answer]:
        del run_id, path
        return ()


class WalkObserver(Protocol):
    """Is told what happens in walks, on the event loop: must neither block nor raise."""

    def walk_began(self, run: Run) -> None:
        """A run is about to be walked, for the first time or further, in the context of the calling task."""
        ...

    def step_ended(self, run: Run, step: StepRun) -> None:
        """A step came to its final state in this walk; once a path, or once more when its state was corrected."""
        ...

    def walk_ended(self, run: Run, *, began_at: datetime, ended_at: datetime) -> None:
        """The run as it stands after a walk: final, waiting, or given back as `queued`."""
        ...


@dataclass(frozen=True, slots=True)
class EngineLimits:
    """Times of the engine, in seconds. Tests make them short."""

    lease_s: float = 30.0
    renew_every_s: float = 10.0
    cancel_poll_s: float = 1.0
    """How often the stored cancel request is read while a run is going on."""
    flush_after_s: float = 0.05
    """A state younger than this may be replaced by the next one without ever being stored."""
    cleanup_s: float = 300.0
    """Limit of `on_failure` and of `finally`, each: what a stopped run may still do."""


@dataclass(frozen=True, slots=True)
class EngineServices:
    """Everything a lane is handed. One object serves many runs."""

    models: ModelCaller
    expressions: FlowExpressions
    store: RunStore
    bus: EventBus
    load_plan: LoadPlan
    clock: Clock = field(default_factory=SystemClock)
    http: HttpRules = field(default_factory=HttpRules)
    outside: Outside = field(default_factory=Outside)
    new_id: NewId = new_id
    cache: OutcomeCache | None = None
    """Without one, a step's cache rule stores nothing and every step runs."""
    answers: Answers = field(default_factory=NoAnswers)
    observers: Sequence[WalkObserver] = ()
    sync_usage: Callable[[], Awaitable[None]] | None = None
    """Awaited before an outcome that names calls is stored: what they cost is safe when it returns."""
    source: StepSource | None = None
    """Who answers steps instead of the world; None: they are executed."""
    exposures: Exposures = field(default_factory=MemoryExposures)
    """Who met which arm of an A/B test first."""
    keeps_recordings: bool = True
    """Whether what steps did is stored for replays."""
    limits: EngineLimits = field(default_factory=EngineLimits)
    rng: random.Random = field(default_factory=random.Random)
    node_types: Mapping[str, type[Node[Any]]] = field(default_factory=node_types)
    """What steps may be, by the name flows use; all registered types, looked up once."""
