"""The cases of `tests/conformance/cases`: flow documents beside how they must end, on whichever lane.

A file holds a list of cases: `case` (its name, and the flow's), `flow` (the document without its head), `inputs`,
`answers` (of people, by step), and `expect`. What `expect` may name is what `Case.seen` answers; a case with
`diagnostics` and no `status` never runs.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, cast

from ruamel.yaml import YAML

from bridge.call_record import CallContext
from bridge.chat import ChatRequest
from bridge.clock import Clock
from bridge.errors import BudgetExceededError
from bridge.json_types import JsonObject, JsonValue
from flows.diagnostics import Checked
from flows.inputs import check_inputs
from flows.plan import Block, Plan
from flows.runs import Run, RunEvent, StepError, StepRun
from flows.validate import check
from nodes.context import ChatResult
from nodes.node import ModelUse
from nodes.waiting import Answer
from tests.support.engine import ScriptedModels

FOLDER = Path(__file__).parents[1] / "conformance"


class EveryModel:
    """A catalogue that knows every name; what it costs is nobody's business here."""

    def knows(self, name: str) -> bool:
        return bool(name)

    def suggest(self, name: str) -> str | None:
        return name

    def worst_case_nano_usd(self, use: ModelUse) -> int | None:
        return use.calls

    def expected_nano_usd(self, use: ModelUse) -> int | None:
        return use.calls


class CaseModels(ScriptedModels):
    """Echoes at 1,000 nano-USD a call. `dear` prompts fit no budget but at the cheapest model, `broke` ones nowhere."""

    async def chat(self, request: ChatRequest, context: CallContext) -> ChatResult:
        prompt = request.messages[-1].text
        if prompt.startswith("broke") or (prompt.startswith("dear") and request.model != "cheapest"):
            raise BudgetExceededError("it does not fit", scope="run", limit_nano_usd=1, left_nano_usd=0)
        return await super().chat(request, context)


class CaseAnswers:
    """What a case says that people answer; they do so once the run waits for the first time."""

    def __init__(self, clock: Clock, said: Mapping[str, Mapping[str, Sequence[Mapping[str, Any]]]]) -> None:
        """`said`: run id -> path of the step -> answers."""
        self._clock = clock
        self._said = said
        self._given: dict[str, datetime] = {}

    def give(self, run_id: str) -> bool:
        """Let the people of this run answer now; False when they have, or nobody does."""
        if run_id in self._given or not self._said.get(run_id):
            return False
        self._given[run_id] = self._clock.now()
        return True

    async def of(self, run_id: str, path: str) -> Sequence[Answer]:
        at = self._given.get(run_id)
        said = self._said[run_id].get(path, ()) if at is not None else ()
        return [
            Answer(one["by"], one["by"], one["decision"], at, one.get("values") or {}, one.get("comment"))
            for one in said
            if at is not None
        ]


@dataclass(frozen=True, slots=True)
class Case:
    """One document, its inputs, and its expected end."""

    name: str
    text: str
    given: JsonObject
    expected: Mapping[str, Any]
    answers: Mapping[str, Sequence[Mapping[str, Any]]]

    @property
    def is_run(self) -> bool:
        """Whether it runs at all."""
        return "status" in self.expected

    @property
    def checked(self) -> Checked:
        """The diagnostics and the plan."""
        return _checked(self.name, self.text)

    @property
    def plan(self) -> Plan:
        """The plan. AssertionError when the document has an error."""
        plan = self.checked.plan
        assert plan is not None, (self.name, self.checked.diagnostics)
        return plan

    @property
    def inputs(self) -> JsonObject:
        """The inputs with their defaults."""
        return check_inputs(self.plan.inputs_schema, self.given)

    def found(self) -> list[str]:
        """Its diagnostics as `code line:column`, warnings marked."""
        return [
            f"{'warning ' if d.severity == 'warning' else ''}{d.code} {d.line}:{d.column}"
            for d in self.checked.diagnostics
        ]

    def seen(self, run: Run, steps: Sequence[StepRun], events: Sequence[RunEvent]) -> dict[str, Any]:
        """The end of a run in the words of `expect`."""
        by_path = {step.path: step for step in steps}
        starts = list(dict.fromkeys(path for path, _ in step_events(events)))
        named = {name: self.expected.get(name, ()) for name in ("order", "out", "attempts", "says")}
        facts: dict[str, Any] = {
            "status": run.status,
            "outputs": run.outputs,
            "steps": {path: ending(step) for path, step in by_path.items()},
            "errors": [error_line(error) for error in run.errors],
            "order": [path for path in starts if path in named["order"]],
            "out": {path: by_path[path].output for path in named["out"]},
            "attempts": {path: by_path[path].attempts for path in named["attempts"]},
            "cached": sorted(step.path for step in steps if step.is_cached),
            "cost": run.cost_nano_usd,
            "says": [text for text in named["says"] if any(text in error.message for error in run.errors)],
            "lost": {step.path: [error_line(e) for e in step.item_errors] for step in steps if step.item_errors},
        }
        return {name: facts[name] for name in self.expected if name != "diagnostics"}

    @property
    def wanted(self) -> dict[str, Any]:
        """What `seen` must answer."""
        steps = {path: end.replace("ok", "succeeded") for path, end in self.expected["steps"].items()}
        return {**{name: value for name, value in self.expected.items() if name != "diagnostics"}, "steps": steps}

    def began_too_early(self, events: Sequence[RunEvent]) -> list[str]:
        """Steps of the main block that began before a step which they wait for had ended; always none."""
        seen = step_events(events)
        unstarted = {"skipped", "cancelled"}
        first = {path: place for place, (path, status) in reversed(list(enumerate(seen))) if status not in unstarted}
        last = {path: place for place, (path, _) in enumerate(seen)}
        return [
            f"{step.id} before {dependency.step}"
            for step in self.plan.block.steps
            for dependency in step.depends_on
            if step.join not in {"first"} and dependency.step in last and step.id in first
            if first[step.id] < last[dependency.step]
        ]


def step_events(events: Sequence[RunEvent]) -> list[tuple[str, str]]:
    """Path and status of every step event, in order."""
    return [(str(e.body["path"]), str(e.body["status"])) for e in events if e.kind == "step"]


def ending(step: StepRun) -> str:
    """`status`, or `status:reason`."""
    return f"{step.status}:{step.reason}" if step.reason else step.status


def error_line(error: StepError) -> str:
    """`class path`, and where they say something: the item, the attempt, the place in the document."""
    assert error.node == re.split(r"[.\[]", error.path)[0] or not error.node, error
    place = re.search(r"\(line (\d+), column (\d+)\)", error.message)
    return " ".join(
        [
            error.error_class,
            error.path or "run",
            *([f"item {error.item_index}"] if error.item_index is not None else []),
            *([f"attempt {error.attempt}"] if error.attempt != 1 else []),
            *([f"at {place[1]}:{place[2]}"] if place else []),
        ]
    )


def steps_of(block: Block) -> int:
    """How many steps a block has, those of bodies included."""
    return sum(1 + (steps_of(step.body) if step.body is not None else 0) for step in block.steps)


@cache
def cases() -> tuple[Case, ...]:
    """Every case, by file and place."""
    found = [case for path in sorted((FOLDER / "cases").glob("*.yaml")) for case in _read(path)]
    names = [case.name for case in found]
    assert len(set(names)) == len(names), sorted(name for name in set(names) if names.count(name) > 1)
    return tuple(found)


def running_cases() -> tuple[Case, ...]:
    """The cases that run."""
    return tuple(case for case in cases() if case.is_run)


def _read(path: Path) -> list[Case]:
    listed = cast("list[dict[str, Any]]", YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8")))
    return [_case(path, raw) for raw in listed]


def _case(path: Path, raw: Mapping[str, Any]) -> Case:
    assert raw.keys() <= {"case", "flow", "inputs", "answers", "expect"}, (path.name, raw)
    name, expected = str(raw["case"]), cast("dict[str, JsonValue]", raw["expect"])
    known = {"status", "outputs", "steps", "errors", "order", "out", "attempts", "cached", "cost", "says", "lost"}
    assert expected.keys() <= known | {"diagnostics"}, (name, expected.keys() - known)
    assert "steps" in expected or "diagnostics" in expected, name
    text = f"{raw['flow'].rstrip()}\nflow: {name.replace('_', '-')}\nspec: 1\n"
    return Case(name, text, raw.get("inputs") or {}, expected, raw.get("answers") or {})


@cache
def _checked(name: str, text: str) -> Checked:
    return check(text, file=f"{name}.yaml", catalog=EveryModel(), read_ref=_child)


def _child(ref: str) -> str:
    path = FOLDER / "children" / Path(ref).name
    if not path.exists():
        raise LookupError(ref)
    return path.read_text(encoding="utf-8")
