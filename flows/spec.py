"""A flow document as typed values that remember where they stand. Nothing is resolved or checked across steps yet."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from bridge.json_types import JsonObject, JsonValue
from flows.plan import (
    BudgetRule,
    CacheRule,
    ConcurrencyRule,
    Engine,
    ErrorRule,
    ForeachRule,
    Join,
    RetryRule,
    ScheduleRule,
    TriggerRule,
)
from flows.yaml_nodes import MapNode, ScalarNode, YamlNode
from nodes.node import Node

Section = Literal["main", "on_failure", "finally"]


@dataclass(frozen=True, slots=True)
class NameUse:
    """A step named somewhere: in needs, a goto or a switch."""

    name: str
    at: YamlNode


@dataclass(frozen=True, slots=True)
class ArmSpec:
    """An arm of an experiment. `step` is the step with the arm's block; None: the step's own."""

    name: str
    weight: float
    step: "StepSpec | None"


@dataclass(frozen=True, slots=True)
class ExperimentSpec:
    """An A/B test of a step. Without a `unit` every run is a unit of its own."""

    id: str
    unit: JsonValue
    arms: tuple[ArmSpec, ...]


@dataclass(slots=True)
class StepSpec:
    """One step as written. `node` is its map, `key` what its problems are reported at."""

    id: str
    key: ScalarNode
    node: MapNode
    section: Section = "main"
    kind: str = ""
    """The node type as written."""
    node_class: type[Node[Any]] | None = None
    """None when the type is unknown or not supported yet."""
    config: JsonObject = field(default_factory=dict[str, JsonValue])
    config_node: MapNode | None = None
    """The `with:` block without `do`."""
    needs: tuple[NameUse, ...] = ()
    join: Join = "all_succeeded"
    when: str | None = None
    foreach: ForeachRule | None = None
    foreach_node: MapNode | None = None
    """Where `items`, or the lists of a matrix, stand."""
    retry: RetryRule = field(default_factory=RetryRule)
    timeout_s: float | None = None
    deadline_s: float | None = None
    cache: CacheRule | None = None
    on_error: tuple[ErrorRule, ...] = ()
    gotos: tuple[NameUse, ...] = ()
    chooses: tuple[NameUse, ...] = ()
    """For switch: the steps it may take."""
    task: str | None = None
    experiment: ExperimentSpec | None = None
    body: "BlockSpec | None" = None

    @property
    def is_control(self) -> bool:
        return self.node_class is not None and self.node_class.is_control


@dataclass(slots=True)
class BlockSpec:
    """Steps of one scope: the flow itself, a body, on_failure or finally."""

    steps: dict[str, StepSpec] = field(default_factory=dict[str, StepSpec])
    key: YamlNode | None = None
    """The `do` of a body."""
    finals: frozenset[str] = frozenset()
    """Steps on which no other step of the block depends; filled by the graph."""
    order: tuple[str, ...] = ()
    """Ids in topological order; filled by the graph."""

    def walk(self) -> Iterator[StepSpec]:
        """All steps, those of bodies included, in document order."""
        for step in self.steps.values():
            yield step
            if step.body is not None:
                yield from step.body.walk()


@dataclass(slots=True)
class FlowSpec:
    """A whole document. Sections that belong to other commands are kept as JSON."""

    file: str
    text: str
    root: MapNode
    name: str = ""
    description: str = ""
    inputs_schema: JsonObject = field(default_factory=dict[str, JsonValue])
    inputs: dict[str, ScalarNode] = field(default_factory=dict[str, ScalarNode])
    """Input names and their keys."""
    budget: BudgetRule | None = None
    concurrency: ConcurrencyRule | None = None
    timeout_s: float | None = None
    engine: Engine = "auto"
    fail_fast: bool = False
    schedules: tuple[ScheduleRule, ...] = ()
    triggers: tuple[TriggerRule, ...] = ()
    block: BlockSpec = field(default_factory=BlockSpec)
    on_failure: BlockSpec = field(default_factory=BlockSpec)
    finally_steps: BlockSpec = field(default_factory=BlockSpec)
    outputs: JsonObject = field(default_factory=dict[str, JsonValue])
    outputs_node: MapNode | None = None
    evaluations: JsonValue = None
    tests: JsonValue = None

    def walk(self) -> Iterator[StepSpec]:
        """Every step of the document."""
        for block in (self.block, self.on_failure, self.finally_steps):
            yield from block.walk()
