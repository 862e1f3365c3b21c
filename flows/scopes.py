"""What expressions see: the roots `inputs`, `nodes`, `run`, `tenant`, and how a step's outcome looks among `nodes`."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from bridge.json_types import JsonObject, JsonValue
from bridge.money import usd_number
from flows.plan import PlanStep
from flows.runs import Run, StepError, StepRun


@dataclass(frozen=True, slots=True)
class Scope:
    """The names around a block. `outer` holds the views of steps of enclosing blocks."""

    roots: Mapping[str, JsonValue]
    """Every root but `nodes`."""
    outer: Mapping[str, JsonValue] = field(default_factory=dict[str, JsonValue])

    def of_step(self, step: PlanStep, views: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
        """The roots at `step`: among `nodes` only what the step depends on, and outer steps."""
        return {**self.roots, "nodes": self.nodes_for(step, views)}

    def nodes_for(self, step: PlanStep, views: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
        """The `nodes` root at `step`."""
        nodes = dict(self.outer)
        for dependency in step.depends_on:
            if dependency.step in views:
                nodes[dependency.step] = views[dependency.step]
        return nodes

    def inside(self, step: PlanStep, views: Mapping[str, JsonValue], names: Mapping[str, JsonValue]) -> "Scope":
        """The names around the body of `step`, with `names` (item, index, state) added."""
        return Scope(roots={**self.roots, **names}, outer=self.nodes_for(step, views))

    def with_all(self, views: Mapping[str, JsonValue], names: Mapping[str, JsonValue]) -> "Scope":
        """The names after a block has ended: all its steps are visible."""
        return Scope(roots={**self.roots, **names}, outer={**self.outer, **views})

    def everything(self) -> dict[str, JsonValue]:
        """Roots and outer steps as one mapping, for expressions outside of steps."""
        return {**self.roots, "nodes": self.outer}


def run_scope(run: Run, attempt: int) -> Scope:
    """The outermost scope of a run. Its `run` root holds what never changes while it goes on."""
    return Scope(
        roots={
            "inputs": run.inputs,
            "run": run_root(run, attempt),
            "tenant": {"id": run.org_id, "slug": run.org_slug or run.org_id},
        }
    )


def run_root(run: Run, attempt: int) -> dict[str, JsonValue]:
    """The `run` root before anything has ended."""
    return {
        "id": run.id,
        "flow": run.flow,
        "version": run.version,
        "attempt": attempt,
        "trigger": run.trigger,
        "started_at": (run.started_at or run.created_at).isoformat(),
    }


def closing_root(root: Mapping[str, JsonValue], run: Run, steps: Iterable[StepRun]) -> dict[str, JsonValue]:
    """The `run` root in on_failure and finally: status, errors and a summary are known there."""
    errors: list[JsonValue] = [error_view(error) for error in run.errors]
    summary: JsonObject = {
        "run_id": run.id,
        "flow": run.flow,
        "version": run.version,
        "status": run.status,
        "inputs": run.inputs,
        "outputs": run.outputs,
        "errors": errors,
        "cost_usd": usd_number(run.cost_nano_usd),
        "steps": {step.path: step_view(step) for step in steps},
    }
    return {**root, "status": run.status, "errors": errors, "summary": summary}


def step_view(step: StepRun) -> dict[str, JsonValue]:
    """A step as `nodes.<id>`. `output` is missing where there is none, so that coalesce and has() see it absent."""
    view: dict[str, JsonValue] = {
        "status": step.status,
        "error": error_view(step.error) if step.error else None,
        "errors": [
            {"index": error.item_index, "class": error.error_class, "message": error.message}
            for error in step.item_errors
        ],
        "attempts": step.attempts,
        "cost_usd": usd_number(step.cost_nano_usd),
        "duration_ms": duration_ms(step),
    }
    if has_output(step):
        view["output"] = step.output
    return view


def has_output(step: StepRun) -> bool:
    """Is there something to read: a success, or a failure that was given a default?"""
    return step.status == "succeeded" or (step.status == "failed" and step.output is not None)


def error_view(error: StepError) -> JsonObject:
    """An error as the root `error`."""
    return error.to_json()


def errors_view(errors: Sequence[StepError]) -> list[JsonValue]:
    """All errors of a run, the first in time first."""
    return [error_view(error) for error in errors]


def duration_ms(step: StepRun) -> float | None:
    """Wall time of the step, None while it has not both started and ended."""
    if step.started_at is None or step.finished_at is None:
        return None
    return round((step.finished_at - step.started_at).total_seconds() * 1000, 3)
