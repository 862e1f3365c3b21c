"""What the platform's API answers, as far as the studio reads it: unknown keys ignored, unknown numbers None."""

from datetime import datetime
from decimal import Decimal
from typing import Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field, JsonValue

Item = TypeVar("Item")


class Shape(BaseModel):
    """Base of all replies: read-only, tolerant of keys added later."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Page(Shape, Generic[Item]):
    """One page of a list."""

    items: list[Item]
    next_cursor: str | None = None


class LastRun(Shape):
    """A run as a bar in the flows list."""

    run_id: str
    status: str
    duration_ms: float | None = None
    created_at: datetime | None = None


class FlowSummary(Shape):
    """One row of the flows list. `success_share` in [0, 1]; money and times per run."""

    name: str
    description: str | None = None
    latest_version: int | None = None
    published_version: int | None = None
    updated_at: datetime | None = None
    last_runs: list[LastRun] = Field(default_factory=list[LastRun])
    """Newest first, at most 20."""
    runs_24h: int | None = None
    success_share: float | None = None
    p50_duration_ms: float | None = None
    cost_per_run_usd: Decimal | None = None
    next_run_at: datetime | None = None


class GraphNode(Shape):
    """A step as drawn."""

    id: str
    type: str
    label: str | None = None
    when: bool = False
    foreach: bool = False
    model: str | None = None
    body: list[str] = Field(default_factory=list[str])
    """Ids of the steps inside a foreach or loop."""
    section: str = "main"
    """main, on_failure or finally."""


class GraphEdge(Shape):
    """`target` waits for `source`."""

    source: str
    target: str
    why: str = ""


class Graph(Shape):
    """The whole drawing."""

    nodes: list[GraphNode] = Field(default_factory=list[GraphNode])
    edges: list[GraphEdge] = Field(default_factory=list[GraphEdge])


class FlowVersion(Shape):
    """One stored version."""

    version: int
    status: str
    created_at: datetime | None = None


class FlowDiagnostic(Shape):
    """A finding about the document; line and column count from 1."""

    severity: str = "error"
    message: str = ""
    code: str | None = None
    line: int | None = None
    column: int | None = None
    suggestion: str | None = None


class FlowDetail(Shape):
    """A flow at one version."""

    name: str
    description: str | None = None
    version: int
    status: str = "draft"
    yaml: str = ""
    content_hash: str = ""
    diagnostics: list[FlowDiagnostic] = Field(default_factory=list[FlowDiagnostic])
    inputs_schema: dict[str, JsonValue] = Field(default_factory=dict[str, JsonValue])
    graph: Graph = Field(default_factory=Graph)
    versions: list[FlowVersion] = Field(default_factory=list[FlowVersion])

    @property
    def published_version(self) -> int | None:
        """The newest published version; None when nothing is published."""
        return max((entry.version for entry in self.versions if entry.status == "published"), default=None)


class RunSummary(Shape):
    """One row of the runs list."""

    run_id: str
    flow: str
    version: int | None = None
    status: str
    trigger: str | None = None
    engine: str | None = None
    created_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    duration_ms: float | None = None
    cost_usd: Decimal | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None

    @property
    def total_tokens(self) -> int | None:
        """Tokens in and out together; None when neither is known."""
        if self.input_tokens is None and self.output_tokens is None:
            return None
        return (self.input_tokens or 0) + (self.output_tokens or 0)


class ErrorView(Shape):
    """Why a step failed."""

    message: str = ""
    error_class: str | None = Field(default=None, alias="class")
    node: str | None = None
    path: str | None = None
    item_index: int | None = None
    attempt: int | None = None


class StepView(Shape):
    """One step of a run, keyed by its path."""

    status: str
    type: str | None = None
    path: str | None = None
    reason: str | None = None
    attempts: int | None = None
    input: JsonValue = None
    output: JsonValue = None
    error: ErrorView | None = None
    errors: list[ErrorView] = Field(default_factory=list[ErrorView])
    """Items that a foreach lost and went on without."""
    started_at: datetime | None = None
    finished_at: datetime | None = None
    duration_ms: float | None = None
    cost_usd: Decimal | None = None
    model: str | None = None
    provider: str | None = None
    call_ids: list[str] = Field(default_factory=list[str])
    cached: bool = False


class RunDetail(RunSummary):
    """One run with everything in it."""

    inputs: dict[str, JsonValue] = Field(default_factory=dict[str, JsonValue])
    outputs: dict[str, JsonValue] | None = None
    errors: list[ErrorView] = Field(default_factory=list[ErrorView])
    graph: Graph = Field(default_factory=Graph)
    steps: dict[str, StepView] = Field(default_factory=dict[str, StepView])
    is_cancel_requested: bool = False


class StartedRun(Shape):
    """The answer to a trigger."""

    run_id: str
    status: str | None = None


class Usage(Shape):
    """Tokens of one attempt."""

    input_tokens: int | None = None
    output_tokens: int | None = None


class AttemptView(Shape):
    """One try at one deployment."""

    deployment: str
    provider: str | None = None
    model: str | None = None
    outcome: str | None = None
    status: int | None = None
    error_class: str | None = None
    error_message: str | None = None
    duration_ms: float | None = None
    ttft_ms: float | None = None
    cost_usd: Decimal | None = None
    usage: Usage | None = None


class CandidateView(Shape):
    """A deployment the router looked at. `cost_usd` is the expected cost there."""

    deployment: str
    model: str | None = None
    provider: str | None = None
    is_eligible: bool = True
    is_fallback: bool = False
    reason: str = ""
    score: float | None = None
    propensity: float | None = None
    cost_usd: Decimal | None = None
    latency_s: float | None = None


class DecisionView(Shape):
    """Why a call went where it went. Candidates stand in the router's order."""

    id: str | None = None
    alias: str | None = None
    policy: str | None = None
    task: str | None = None
    attempts: list[str] = Field(default_factory=list[str])
    candidates: list[CandidateView] = Field(default_factory=list[CandidateView])


class CallView(Shape):
    """One call through the bridge."""

    call_id: str
    requested: str | None = None
    alias: str | None = None
    model: str | None = None
    provider: str | None = None
    status: str | None = None
    cache: str | None = None
    started_at: datetime | None = None
    duration_ms: float | None = None
    cost_usd: Decimal | None = None
    attempts: list[AttemptView] = Field(default_factory=list[AttemptView])
    decision: DecisionView | None = None


class SessionCode(Shape):
    """Good for one exchange within 30 s."""

    code: str
