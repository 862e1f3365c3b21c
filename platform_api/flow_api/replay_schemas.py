"""What replays and reruns look like over HTTP."""

from typing import Any, Literal

from pydantic import BaseModel, Field, model_validator

from flows.plan import Engine
from platform_api.flow_api.plans import MAX_YAML_BYTES
from platform_api.flow_api.schemas import MAX_VERSION, Input, RunResult


class NewReplay(Input):
    """What a run is replayed over: the version it pinned, another one, or an edited document."""

    yaml: str | None = Field(default=None, min_length=1, max_length=MAX_YAML_BYTES)
    version: int | None = Field(default=None, ge=1, le=MAX_VERSION)
    allow_calls: bool = Field(default=False, description="Make the calls that are not recorded. They cost money.")

    @model_validator(mode="after")
    def _one_of_them(self) -> "NewReplay":
        if self.yaml is not None and self.version is not None:
            raise ValueError("give yaml or version, not both")
        return self


class WasNow(BaseModel):
    """The same thing in the recording and in the replay."""

    was: Any
    now: Any


class ChangedField(WasNow):
    """A field of a step's block that differs."""

    name: str


class OutputVerdict(ChangedField):
    """An output of the flow."""

    verdict: Literal["same", "changed", "unknown"]


class StepVerdict(BaseModel):
    """One step in the recording and in the replay."""

    path: str
    type: str
    verdict: Literal["same", "changed_input", "changed_output", "new", "removed", "not_recorded", "unknown"]
    status: WasNow
    is_output_same: bool | None = Field(description="Null where it cannot be known.")
    input: list[ChangedField]
    output: WasNow | None = Field(description="Where they differ.")
    cost_usd: WasNow
    answered_from: str | None = Field(description="The recorded step that answered it, when that has another path.")
    called: bool = Field(description="It was executed, because calls were allowed.")
    error: str | None


class MissingCallItem(BaseModel):
    """A call that the recording lacks and that was not made."""

    path: str
    type: str
    why: str
    asked: dict[str, Any]


class ReplayCost(BaseModel):
    """Null where a price is unknown."""

    recorded: float | None
    now: float | None = Field(description="What the calls of the replayed flow cost, missing ones aside.")
    missing_expected: float | None = Field(description="What the missing calls would likely cost.")
    spent: float | None = Field(description="What this replay has cost.")


class ReplayAnswer(BaseModel):
    """What would have changed, and what it would have cost."""

    run_id: str
    flow: str
    version: int
    is_same: bool
    status: WasNow
    outputs: dict[str, OutputVerdict]
    counts: dict[str, int] = Field(description="Steps by verdict.")
    steps: list[StepVerdict]
    missing: list[MissingCallItem]
    cost_usd: ReplayCost


class NewRerun(Input):
    """From which step on a run is run anew, and on which version. Without a step: from what did not succeed."""

    start: str | None = Field(default=None, alias="from", min_length=1, max_length=512, description="A step's path.")
    version: int | None = Field(default=None, ge=1, le=MAX_VERSION, description="That of the run when left out.")
    engine: Engine | None = None


class RerunResult(RunResult):
    """The new run, and what it did not have to do again."""

    parent_run_id: str
    kept: list[str] = Field(description="Paths of the steps whose outcomes were kept.")
    saved_usd: float | None
