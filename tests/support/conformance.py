"""Flow documents beside how a run of each must end: `tests/conformance/NAME.yaml` and `NAME.json`, for both lanes."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bridge.json_types import JsonObject
from flows.inputs import check_inputs
from flows.plan import Plan
from flows.runs import Run, StepRun
from flows.validate import check
from nodes.node import ModelUse

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


@dataclass(frozen=True, slots=True)
class Case:
    """One document, its inputs, and its expected end."""

    name: str
    plan: Plan
    inputs: JsonObject
    expected: dict[str, Any]
    """status, outputs, steps (path -> `status` or `status:reason`), and where it matters errors, step_outputs, cost."""

    def seen(self, run: Run, steps: Sequence[StepRun]) -> dict[str, Any]:
        """The end of a run in the words of `expected`."""
        by_path = {step.path: step for step in steps}
        facts: dict[str, Any] = {
            "status": run.status,
            "outputs": run.outputs,
            "steps": {
                path: f"{step.status}:{step.reason}" if step.reason else step.status for path, step in by_path.items()
            },
            "errors": [{k: v for k, v in error.to_json().items() if k != "message"} for error in run.errors],
            "step_outputs": {path: by_path[path].output for path in self.expected.get("step_outputs", ())},
            "cost_nano_usd": run.cost_nano_usd,
        }
        return {name: facts[name] for name in self.expected if name != "inputs"}

    @property
    def wanted(self) -> dict[str, Any]:
        """What `seen` must answer."""
        return {name: value for name, value in self.expected.items() if name != "inputs"}


def cases() -> list[Case]:
    """Every case, compiled. AssertionError when a document has an error."""
    return [_case(path) for path in sorted(FOLDER.glob("*.yaml"))]


def _case(path: Path) -> Case:
    checked = check(path.read_text(encoding="utf-8"), file=str(path), catalog=EveryModel(), read_ref=_child)
    assert checked.plan is not None, (path.name, checked.diagnostics)
    expected = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    inputs = check_inputs(checked.plan.inputs_schema, expected.get("inputs", {}))
    return Case(name=path.stem, plan=checked.plan, inputs=inputs, expected=expected)


def _child(ref: str) -> str:
    return (FOLDER / "children" / Path(ref).name).read_text(encoding="utf-8")
