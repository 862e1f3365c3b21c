"""A compiled flow as data: everything the walker needs, nothing it has to look up in the document.

Made by `flows.compile`, walked by `flows.walker`, drawn by the studio, priced by `flows.cost_bound`.
"""

from dataclasses import dataclass, field
from typing import Literal

from bridge.errors import ErrorClass
from bridge.json_types import JsonObject, JsonValue

Join = Literal["all_succeeded", "none_failed", "all_done", "any_succeeded", "first"]
Engine = Literal["auto", "inline", "prefect"]
OnFull = Literal["queue", "reject", "cancel_oldest"]

TRANSIENT: tuple[ErrorClass, ...] = ("rate_limit", "timeout", "unavailable")


@dataclass(frozen=True, slots=True)
class Position:
    """Where something stands in a document; line and column count from 1."""

    line: int
    column: int
    file: str = ""


@dataclass(frozen=True, slots=True)
class Dependency:
    """A step this step waits for, and what for."""

    step: str
    reads: Literal["needs", "output", "state", "switch"]
    """output: its output is read. state: only .status or .error, any end will do. switch: it may choose this step."""
    is_coalesced: bool = False
    """Every read of its output stands inside coalesce(...): a skipped upstream does not skip this step."""
    why: str = ""
    """Plain words with the place: `reads nodes.a.output in with.prompt (12:15)`."""


@dataclass(frozen=True, slots=True)
class RetryRule:
    """How often and when a step is tried again. Times in seconds."""

    attempts: int = 1
    backoff: Literal["constant", "exponential"] = "exponential"
    base_s: float = 1.0
    cap_s: float = 30.0
    jitter: Literal["none", "full"] = "full"
    on: tuple[ErrorClass, ...] = TRANSIENT
    when: str | None = None
    mode: Literal["again", "re_ask"] = "again"


@dataclass(frozen=True, slots=True)
class ErrorRule:
    """One entry of on_error; `on` empty means every class."""

    action: Literal["fail", "continue", "default", "goto"]
    default: JsonValue = None
    goto: str | None = None
    on: tuple[ErrorClass, ...] = ()


@dataclass(frozen=True, slots=True)
class ForeachRule:
    """A step, or a body, run once per item."""

    items: JsonValue
    """An expression text or a literal list; with `matrix` a map of name -> expression or list."""
    is_matrix: bool = False
    name: str = "item"
    max_parallel: int = 10
    on_item_error: Literal["fail", "continue", "drop"] = "fail"
    max_items: int = 1000


@dataclass(frozen=True, slots=True)
class CacheRule:
    """Reuse of a step's earlier outcome."""

    ttl_s: float
    key: str | None = None
    scope: Literal["org", "flow", "run"] = "flow"


@dataclass(frozen=True, slots=True)
class Arm:
    """An arm of an experiment. `step` is what is executed in its stead; None: the step's own block."""

    name: str
    weight: float
    step: "PlanStep | None" = None


@dataclass(frozen=True, slots=True)
class ExperimentRule:
    """An A/B test of a step: which units get which arm."""

    id: str
    arms: tuple[Arm, ...]
    unit: JsonValue = None
    """May hold expressions; None: every run is a unit of its own."""

    def step_of(self, arm: str, step: "PlanStep") -> "PlanStep":
        """What is executed for that arm of `step`."""
        return next((one.step for one in self.arms if one.name == arm and one.step is not None), step)


@dataclass(frozen=True, slots=True)
class PlanStep:
    """One step, ready to be walked."""

    id: str
    type: str
    config: JsonObject
    """The `with:` block, expressions still in it; control keys (foreach.do) removed."""
    depends_on: tuple[Dependency, ...] = ()
    join: Join = "all_succeeded"
    when: str | None = None
    foreach: ForeachRule | None = None
    retry: RetryRule = field(default_factory=RetryRule)
    timeout_s: float | None = None
    deadline_s: float | None = None
    cache: CacheRule | None = None
    on_error: tuple[ErrorRule, ...] = ()
    body: "Block | None" = None
    """The `do` block of foreach and loop."""
    goto_only: bool = False
    """Named by a goto: skipped unless gone to."""
    task: str | None = None
    experiment: ExperimentRule | None = None
    is_replayable: bool = True
    position: Position = field(default_factory=lambda: Position(0, 0))
    fingerprint: str = ""
    """Hash of everything that decides what the step does: equal fingerprints may reuse an outcome."""
    places: dict[str, Position] = field(default_factory=dict[str, Position])
    """Where each expression text of the step stands, for the errors of `CelExpressions.render`."""

    output_schema: JsonObject = field(default_factory=dict[str, JsonValue])
    """What one attempt gives. Numbers in outputs become what it says: `number` a float, `integer` an int."""


@dataclass(frozen=True, slots=True)
class Block:
    """Steps that belong together, in a topological order. `final` is the last step of a body."""

    steps: tuple[PlanStep, ...]
    final: str | None = None

    def step(self, step_id: str) -> PlanStep:
        """The step of that id. KeyError when the block has none."""
        for step in self.steps:
            if step.id == step_id:
                return step
        raise KeyError(step_id)


@dataclass(frozen=True, slots=True)
class BudgetRule:
    """A run's cost ceiling."""

    usd: float
    on_exceed: Literal["stop", "degrade", "ask"] = "stop"


@dataclass(frozen=True, slots=True)
class ConcurrencyRule:
    """How many runs with the same key may go on at once. Runs wait in the order they were entered."""

    limit: int
    key: JsonValue = None
    """May hold expressions over `inputs` and `tenant`; without one all runs of the flow count together."""
    on_full: OnFull = "queue"


@dataclass(frozen=True, slots=True)
class ScheduleRule:
    """A cron trigger of the flow; five fields, in the named time zone."""

    id: str
    cron: str
    timezone: str = "UTC"
    inputs: JsonObject = field(default_factory=dict[str, JsonValue])
    overlap: Literal["skip", "queue", "allow"] = "skip"
    misfire: Literal["last", "all", "none"] = "last"


@dataclass(frozen=True, slots=True)
class TriggerRule:
    """A webhook, or the end of another flow's runs, that starts this flow. Expressions read `body` and `headers`."""

    id: str
    kind: Literal["webhook", "run_completed"]
    source: str = ""
    """run_completed: the flow whose runs end."""
    when: str | None = None
    dedupe_key: str | None = None
    """Deliveries with an equal value are one; without it, those with an equal `webhook-id`."""
    inputs: JsonObject = field(default_factory=dict[str, JsonValue])


@dataclass(frozen=True, slots=True)
class Plan:
    """A whole flow."""

    flow: str
    content_hash: str
    block: Block
    outputs: JsonObject
    inputs_schema: JsonObject
    """JSON Schema (object) of the inputs, defaults included."""
    output_places: dict[str, Position] = field(default_factory=dict[str, Position])
    """Where each expression text of the outputs stands."""
    description: str = ""
    on_failure: tuple[PlanStep, ...] = ()
    finally_steps: tuple[PlanStep, ...] = ()
    budget: BudgetRule | None = None
    concurrency: ConcurrencyRule | None = None
    timeout_s: float | None = None
    fail_fast: bool = False
    engine: Engine = "auto"
    schedules: tuple[ScheduleRule, ...] = ()
    triggers: tuple[TriggerRule, ...] = ()
    children: dict[str, "Plan"] = field(default_factory=dict[str, "Plan"])
    """Plans of child flows by the `ref` text used in `flow` steps."""
