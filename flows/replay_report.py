"""What a replay tells: for every step whether it came out the same, and what it would have cost."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from bridge.json_types import JsonObject, JsonValue
from bridge.money import usd_number
from flows.cost_bound import uses_of_step
from flows.plan import Block, Plan, PlanStep
from flows.recordings import canonical
from flows.replay import Replayed
from flows.replay_source import MissingCall
from flows.runs import RunStatus, StepRun
from flows.validate_nodes import ModelNames
from nodes.node import node_types

Verdict = Literal["same", "changed_input", "changed_output", "new", "removed", "not_recorded", "unknown"]
"""not_recorded: a call was needed that the recording lacks. unknown: it follows from such a step."""

_PART = re.compile(r"([a-z_][a-z0-9_]*)((?:\[\d+\])*)")


@dataclass(frozen=True, slots=True)
class FieldChange:
    """A field of a step's `with:` block, or an output of the flow, before and after."""

    name: str
    was: JsonValue
    now: JsonValue

    def to_json(self) -> dict[str, JsonValue]:
        """As a map."""
        return {"name": self.name, "was": self.was, "now": self.now}


@dataclass(frozen=True, slots=True)
class StepDifference:
    """One step in the recording and in the replay."""

    path: str
    type: str
    verdict: Verdict
    was: StepRun | None
    now: StepRun | None
    is_output_same: bool | None = None
    """None where one of the two is missing or unknown."""
    input_changes: tuple[FieldChange, ...] = ()
    answered_from: str | None = None
    """The recorded step that answered it, when that has another path."""
    was_called: bool = False
    """It was executed, and cost, because calls were allowed."""

    def to_json(self) -> dict[str, JsonValue]:
        """As a map; outputs only where they differ."""
        shows_outputs = self.is_output_same is False or self.was is None
        return {
            "path": self.path,
            "type": self.type,
            "verdict": self.verdict,
            "status": {"was": self.was.status if self.was else None, "now": self.now.status if self.now else None},
            "is_output_same": self.is_output_same,
            "input": [change.to_json() for change in self.input_changes],
            "output": {"was": _output(self.was), "now": _output(self.now)} if shows_outputs else None,
            "cost_usd": {"was": _usd(self.was), "now": _usd(self.now)},
            "answered_from": self.answered_from,
            "called": self.was_called,
            "error": self.now.error.message if self.now is not None and self.now.error is not None else None,
        }


@dataclass(frozen=True, slots=True)
class OutputDifference:
    """One output of the flow."""

    change: FieldChange
    verdict: Literal["same", "changed", "unknown"]


@dataclass(frozen=True, slots=True)
class ReplayReport:
    """What a replay found. Money is in nano-dollars; None where a price is unknown."""

    run_id: str
    flow: str
    version: int
    was: RunStatus
    now: RunStatus
    outputs: tuple[OutputDifference, ...]
    steps: tuple[StepDifference, ...]
    missing: tuple[MissingCall, ...]
    recorded_cost: int | None
    cost_now: int | None
    """What the calls cost that the replayed flow makes and the recording holds, and those that were made now."""
    missing_cost: int | None
    """What the missing calls would likely cost."""
    spent: int | None
    """What this replay has cost: nothing unless calls were allowed."""
    values: JsonObject = field(default_factory=dict[str, JsonValue])
    """The outputs of the replayed run."""

    @property
    def is_same(self) -> bool:
        """Did everything come out as it was?"""
        steps = all(step.verdict == "same" for step in self.steps)
        return steps and self.was == self.now and all(output.verdict == "same" for output in self.outputs)

    def to_json(self) -> dict[str, JsonValue]:
        """The report as one object."""
        counts: dict[str, JsonValue] = {}
        for step in self.steps:
            counts[step.verdict] = int(str(counts.get(step.verdict, 0))) + 1
        return {
            "run_id": self.run_id,
            "flow": self.flow,
            "version": self.version,
            "is_same": self.is_same,
            "status": {"was": self.was, "now": self.now},
            "outputs": {one.change.name: {**one.change.to_json(), "verdict": one.verdict} for one in self.outputs},
            "counts": counts,
            "steps": [step.to_json() for step in self.steps],
            "missing": [
                {"path": one.path, "type": one.type, "why": one.why, "asked": one.asked} for one in self.missing
            ],
            "cost_usd": {
                "recorded": usd_number(self.recorded_cost),
                "now": usd_number(self.cost_now),
                "missing_expected": usd_number(self.missing_cost),
                "spent": usd_number(self.spent),
            },
        }


def report_of(replayed: Replayed, plan: Plan, names: ModelNames | None = None) -> ReplayReport:
    """The report of a replay over `plan`. With `names`, what missing calls would cost is told by their prices."""
    seen, recorded = replayed.seen, replayed.recorded
    missing = tuple(call for calls in seen.missing.values() for call in calls)
    compare = _Comparison(replayed, plan)
    paths = compare.paths()
    steps = tuple(compare.difference(path) for path in paths)
    called = [replayed.steps[path].cost_nano_usd for path in seen.called if path in replayed.steps]
    return ReplayReport(
        run_id=recorded.run.id,
        flow=plan.flow,
        version=recorded.run.version,
        was=recorded.run.status,
        now=replayed.run.status,
        outputs=tuple(_outputs(replayed)),
        steps=steps,
        missing=missing,
        recorded_cost=recorded.run.cost_nano_usd,
        cost_now=replayed.run.cost_nano_usd,
        missing_cost=_expected(plan, [call.path for call in missing], names) if names is not None else None,
        spent=None if None in called else sum(cost or 0 for cost in called),
        values=replayed.run.outputs,
    )


class _Comparison:
    def __init__(self, replayed: Replayed, plan: Plan) -> None:
        self._was, self._now = replayed.recorded.steps, replayed.steps
        self._recordings = replayed.recorded.recordings
        self._seen = replayed.seen
        self._missing = tuple(replayed.seen.missing)
        self._order = {step.id: index for index, step in enumerate(_top_level(plan))}
        closing = {step.id for step in (*plan.on_failure, *plan.finally_steps)}
        self._tainted = set(_tainted(plan, self._missing)) | (closing if self._missing else set())

    def paths(self) -> list[str]:
        """All steps in the order of the document; not what is inside a step that was taken over as a whole."""
        inside = tuple(f"{path}{mark}" for path in self._seen.whole for mark in ("[", "."))
        found = [path for path in {**self._was, **self._now} if not path.startswith(inside)]
        return sorted(found, key=lambda path: (self._order.get(_parts(path)[0], len(self._order)), _natural(path)))

    def difference(self, path: str) -> StepDifference:
        was, now = self._was.get(path), self._now.get(path)
        known = now or was
        assert known is not None
        changes = self._input_changes(path)
        verdict = self._verdict(path, was, now, has_new_input=changes is not None)
        is_comparable = was is not None and now is not None and verdict not in {"not_recorded", "unknown"}
        source = self._seen.taken_from.get(path)
        return StepDifference(
            path=path,
            type=known.type,
            verdict=verdict,
            was=was,
            now=now,
            is_output_same=_is_same(was, now) if is_comparable else None,
            input_changes=changes or (),
            answered_from=source if source != path else None,
            was_called=path in self._seen.called,
        )

    def _verdict(self, path: str, was: StepRun | None, now: StepRun | None, *, has_new_input: bool) -> Verdict:
        if path in self._seen.missing:
            return "not_recorded"
        if now is None:
            return "removed"
        if self._is_unknown(path):
            return "unknown"
        if was is None:
            return "new"
        if has_new_input:
            return "changed_input"
        return "same" if _is_same(was, now) else "changed_output"

    def _is_unknown(self, path: str) -> bool:
        holds_missing = any(one.startswith((f"{path}[", f"{path}.")) for one in self._missing)
        return holds_missing or any(place in self._tainted for place in _places(path))

    def _input_changes(self, path: str) -> tuple[FieldChange, ...] | None:
        """The fields that differ; None when the input is the same, or not known on one side."""
        recording, given = self._recordings.get(path), self._seen.given.get(path)
        if recording is None or given is None or recording.digest == given.digest:
            return None
        return tuple(_changes(recording.given, given.shown))


def _outputs(replayed: Replayed) -> Iterator[OutputDifference]:
    was, now = replayed.recorded.run.outputs, replayed.run.outputs
    for name in {**was, **now}:
        change = FieldChange(name, was.get(name), now.get(name))
        is_same = (name in was) == (name in now) and canonical(change.was) == canonical(change.now)
        verdict = "same" if is_same else "unknown" if replayed.seen.missing else "changed"
        yield OutputDifference(change, verdict)


def _is_same(was: StepRun | None, now: StepRun | None) -> bool:
    return was is not None and now is not None and _told(was) == _told(now)


def _told(step: StepRun) -> tuple[object, ...]:
    """What others can see of how the step came out."""
    error = None if step.error is None else (step.error.error_class, step.error.message)
    items = [(one.item_index, one.error_class, one.message) for one in step.item_errors]
    return (step.status, canonical(step.output), error, items, step.taken)


def _changes(was: JsonObject, now: JsonObject, prefix: str = "") -> Iterator[FieldChange]:
    """Fields that differ, maps looked into."""
    for name in {**was, **now}:
        before, after = was.get(name), now.get(name)
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            yield from _changes(before, after, f"{prefix}{name}.")
        elif (name in was) != (name in now) or canonical(before) != canonical(after):
            yield FieldChange(f"{prefix}{name}", before, after)


def _expected(plan: Plan, paths: Sequence[str], names: ModelNames) -> int | None:
    """What one execution of each would likely cost; None when a price is unknown."""
    steps = {step.id: step for step in _all_steps(plan)}
    total = 0
    for path in paths:
        step = steps.get(_parts(path)[-1])
        uses = () if step is None else uses_of_step(node_types().get(step.type), step.config)
        for use in uses:
            cost = names.expected_nano_usd(use) if names.knows(use.model) else None
            if cost is None:
                return None
            total += cost
    return total


def _tainted(plan: Plan, missing: Sequence[str]) -> Iterator[str]:
    """Places of steps that depend, in the block of a missing step or of one around it, on something missing."""
    blocks = list(_blocks(plan))
    for path in missing:
        for place in _places(path):
            step_id = _parts(place)[-1]
            prefix = place[: len(place) - len(step_id)]
            for block in blocks:
                if any(step.id == step_id for step in block.steps):
                    yield from (f"{prefix}{one}" for one in _dependents(block, step_id))


def _dependents(block: Block, step_id: str) -> set[str]:
    found, pending = set[str](), [step_id]
    while pending:
        upstream = pending.pop()
        for step in block.steps:
            if step.id not in found and any(one.step == upstream for one in step.depends_on):
                found.add(step.id)
                pending.append(step.id)
    return found


def _blocks(plan: Plan) -> Iterator[Block]:
    pending = [plan.block]
    while pending:
        block = pending.pop()
        yield block
        pending += [step.body for step in block.steps if step.body is not None]


def _top_level(plan: Plan) -> tuple[PlanStep, ...]:
    return (*plan.block.steps, *plan.on_failure, *plan.finally_steps)


def _all_steps(plan: Plan) -> Iterator[PlanStep]:
    for block in (*_blocks(plan), Block(plan.on_failure), Block(plan.finally_steps)):
        yield from block.steps


def _parts(path: str) -> list[str]:
    """The step ids of a path, the outermost first."""
    return [found[1] for found in _PART.finditer(path)]


def _places(path: str) -> list[str]:
    """The step and the steps around it: of `outer[2].inner` they are `outer` and `outer[2].inner`."""
    return [path[: found.end(1)] for found in _PART.finditer(path)]


def _natural(path: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", path)]


def _output(step: StepRun | None) -> JsonValue:
    return None if step is None else step.output


def _usd(step: StepRun | None) -> float | None:
    return None if step is None else usd_number(step.cost_nano_usd)
