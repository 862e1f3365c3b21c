"""What flows, runs and schedules look like over HTTP."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from platform_api.flow_api.plans import MAX_YAML_BYTES

MAX_VERSION = 2**31 - 1
"""What the column of version numbers holds."""


class Input(BaseModel):
    """Base of request bodies: an unknown key is an error."""

    model_config = ConfigDict(extra="forbid")


class NewFlow(Input):
    """A flow document to store."""

    yaml: str = Field(min_length=1, max_length=MAX_YAML_BYTES)


class StoredFlow(BaseModel):
    """The version a document became, or already was."""

    name: str
    version: int
    status: str
    diagnostics: list[dict[str, Any]]


class PublishedFlow(StoredFlow):
    """The version that runs now, and how it differs from the one before; null when there was none."""

    difference: dict[str, Any] | None


class FlowDiff(BaseModel):
    """The difference of two versions: of the flow, of its steps, of what a run costs."""

    before: int
    after: int
    is_empty: bool
    difference: dict[str, Any]


class Canary(Input):
    """A version on trial: the share of new runs that take it."""

    version: int = Field(ge=1, le=MAX_VERSION)
    percent: int = Field(ge=1, le=99)


class Publish(Input):
    """Which version to publish; the latest when absent."""

    version: int | None = Field(default=None, ge=1, le=MAX_VERSION)


class VersionItem(BaseModel):
    """A version in a list."""

    version: int
    status: str
    created_at: datetime


class RecentRun(BaseModel):
    """A run as a bar of a flow's history."""

    run_id: str
    status: str
    duration_ms: int | None
    created_at: datetime


class FlowItem(BaseModel):
    """A flow in the list, with how it has been doing."""

    name: str
    description: str
    latest_version: int
    published_version: int | None
    canary_version: int | None
    canary_percent: int | None
    updated_at: datetime
    last_runs: list[RecentRun]
    runs_24h: int
    success_share: float | None
    p50_duration_ms: int | None
    cost_per_run_usd: float | None
    next_run_at: datetime | None


class FlowDetail(BaseModel):
    """One version of a flow, whole."""

    name: str
    description: str
    version: int
    status: str
    yaml: str
    content_hash: str
    diagnostics: list[dict[str, Any]]
    inputs_schema: dict[str, Any]
    graph: dict[str, Any]
    versions: list[VersionItem]


class NewRun(Input):
    """What to run a flow with."""

    inputs: dict[str, Any] = Field(default_factory=dict[str, Any])
    version: int | None = Field(default=None, ge=1, le=MAX_VERSION)
    engine: Literal["auto", "inline", "prefect"] | None = None


class RunResult(BaseModel):
    """The answer to a trigger: final when it was done in time."""

    run_id: str
    status: str
    outputs: dict[str, Any] | None
    cost_usd: float | None
    errors: list[dict[str, Any]]


class RunItem(BaseModel):
    """A run in a list."""

    run_id: str
    flow: str
    version: int
    status: str
    trigger: str
    engine: str
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    duration_ms: int | None
    cost_usd: float | None
    input_tokens: int
    output_tokens: int


class RunDetail(RunItem):
    """One run with its steps. `steps` is keyed by path."""

    inputs: dict[str, Any]
    outputs: dict[str, Any]
    errors: list[dict[str, Any]]
    graph: dict[str, Any]
    steps: dict[str, dict[str, Any]]
    is_cancel_requested: bool
    parent_run_id: str | None
    prefect_run_id: str | None


class CancelAnswer(BaseModel):
    """The cancel was noted; the run ends as soon as its steps have stopped."""

    run_id: str
    status: str


class NewAnswer(Input):
    """What a person says to a step that asks for approval."""

    decision: Literal["approve", "reject"]
    values: dict[str, Any] = Field(default_factory=dict, description="The form; fields left out take their defaults.")
    comment: str | None = Field(default=None, max_length=4000)


class AnswerTaken(BaseModel):
    """The answer is stored; the run goes on when enough people have answered."""

    run_id: str
    path: str
    decision: str


class OpenApproval(BaseModel):
    """A step that waits for an answer."""

    run_id: str
    flow: str
    path: str
    form: dict[str, Any]
    assignees: list[str]
    quorum: int
    four_eyes: bool
    approved_by: list[str]
    since: datetime | None
    expires_at: datetime | None


class NewSchedule(Input):
    """When to start a flow by itself. Five-field cron in the named time zone."""

    flow: str = Field(min_length=1, max_length=63)
    cron: str = Field(min_length=9, max_length=200)
    timezone: str = Field(default="UTC", max_length=64)
    version: int | None = Field(default=None, ge=1, le=MAX_VERSION)
    inputs: dict[str, Any] = Field(default_factory=dict[str, Any])
    paused: bool = False
    overlap: Literal["skip", "queue", "allow"] = "skip"
    misfire: Literal["last", "all", "none"] = "last"


class ScheduleChange(Input):
    """What to change about a schedule; absent keys stay."""

    cron: str | None = Field(default=None, min_length=9, max_length=200)
    timezone: str | None = Field(default=None, max_length=64)
    inputs: dict[str, Any] | None = None
    paused: bool | None = None
    overlap: Literal["skip", "queue", "allow"] | None = None
    misfire: Literal["last", "all", "none"] | None = None


class Backfill(Input):
    """Slots of a schedule that got no run, to be run now. Without `max_usd` nothing runs: the answer is the preview."""

    since: datetime
    until: datetime
    max_usd: float | None = Field(default=None, ge=0, description="What all of them may cost at worst.")
    accepts_unknown_cost: bool = False


class BackfillPlan(BaseModel):
    """What a backfill runs, and what that may cost. A cost is null where a price is unknown."""

    slots: list[datetime]
    expected_usd: float | None
    worst_usd: float | None
    run_ids: list[str]
    """Empty in a preview."""


class ScheduleItem(BaseModel):
    """A schedule with its next five times."""

    id: str
    flow: str
    version: int | None
    cron: str
    timezone: str
    inputs: dict[str, Any]
    paused: bool
    overlap: str
    misfire: str
    next_runs: list[datetime]
    last_run: RecentRun | None
