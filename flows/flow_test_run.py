"""Runs the tests of a flow: offline, in no time, with mocks for what would cost or act."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, cast

from bridge.clock import Clock, FrozenClock
from bridge.json_types import JsonObject, JsonValue
from flows.engine_services import EngineServices, FlowExpressions, LoadPlan
from flows.errors import InvalidInputsError
from flows.flow_test import FlowTest
from flows.flow_tests import mock_key
from flows.inline_lane import InlineLane
from flows.inputs import check_inputs
from flows.plan import Block, Plan, PlanStep
from flows.recordings import Given, canonical
from flows.replay import SealedModels, resolve_nothing
from flows.run_memory import MemoryEventBus, MemoryRunStore
from flows.runs import Run, StepError, StepRun
from flows.scopes import step_view
from nodes.context import HttpRules
from nodes.node import Node, node_types

START = datetime(2025, 1, 1, tzinfo=UTC)
"""When every test begins: `now()` is the same in all of them."""
ABSENT = object()
NETWORK_TYPES = frozenset({"http", "mcp"})
_TOKEN = re.compile(r"\.([^.\[\]]+)|\[(\d+)\]")


@dataclass(frozen=True, slots=True)
class TestOutcome:
    """How a test ended. Without problems it passed."""

    __test__ = False

    test: FlowTest
    problems: tuple[str, ...]
    run: Run | None = None
    steps: Mapping[str, StepRun] = field(default_factory=dict[str, StepRun])

    @property
    def has_passed(self) -> bool:
        return not self.problems


async def run_test(plan: Plan, test: FlowTest, expressions: FlowExpressions, load_plan: LoadPlan) -> TestOutcome:
    """Run the flow with the test's inputs and mocks, and compare what it expects."""
    try:
        inputs = check_inputs(plan.inputs_schema, test.inputs)
    except InvalidInputsError as error:
        return TestOutcome(test, (f"the inputs do not fit: {error}",))
    clock = FrozenClock(START)
    store, source = MemoryRunStore(clock), MockSource(plan, test.mocks, clock)
    services = EngineServices(
        models=SealedModels(),
        expressions=expressions,
        store=store,
        bus=MemoryEventBus(),
        load_plan=load_plan,
        clock=clock,
        http=HttpRules(resolve=resolve_nothing),
        source=source,
        keeps_recordings=False,
    )
    run = _run_of(plan, inputs)
    await store.create(run)
    owner = await store.acquire(run.id, "test")
    assert owner is not None
    ended = await InlineLane(services).execute(plan, run, owner)
    steps = {step.path: step for step in await store.steps(run.id)}
    problems = (*source.problems, *_differences(test.expect, ended, steps), *_surprises(test.expect, ended))
    return TestOutcome(test, problems, ended, steps)


class MockSource:
    """StepSource of a test: mocked steps give their mocks; what acts gives its type's fake, or is missed."""

    def __init__(self, plan: Plan, mocks: Mapping[str, JsonValue], clock: Clock) -> None:
        self._mocks = mocks
        self._names = dict(_names(plan.block, ""))
        self._clock = clock
        self._types = node_types()
        self.problems: list[str] = []

    async def whole(self, step: PlanStep, path: str) -> StepRun | None:
        """The mock of a step that is not asked for by its input: what only computes, or walks other steps."""
        is_fanned_out = step.foreach is not None and step.type != "foreach" and not path.endswith("]")
        if is_fanned_out or self._name(path) not in self._mocks or self._acts(step):
            return None
        return self._mocked(step, path)

    def answer(self, step: PlanStep, path: str, given: Given) -> StepRun | None:
        """The mock; else the fake, and the test fails where a model or the network was needed."""
        del given
        if self._name(path) in self._mocks:
            return self._mocked(step, path)
        cls = self._types[step.type]
        if step.type in NETWORK_TYPES or _asks_models(cls, step):
            message = f"step `{path}` ({step.type}) has no mock, and a test is offline: add it under `mock`"
            self.problems.append(message)
            error = StepError("unavailable", message, node=step.id, path=path)
            return replace(self._ended(step, path), status="failed", error=error)
        return replace(self._ended(step, path), output=cls.fake(step.config))

    async def settled(self, outcome: StepRun) -> StepRun:
        """As it is."""
        return outcome

    def ended(self, outcome: StepRun) -> None:
        """Nobody waits for an order."""

    def _acts(self, step: PlanStep) -> bool:
        """Will `answer` be asked, after the step's expressions were evaluated?"""
        cls = self._types.get(step.type)
        return cls is not None and not cls.is_control and (not step.is_replayable or cls.can_wait)

    def _name(self, path: str) -> str:
        """What the step is called in `mock`: a step of this document by its id, one of a child flow by its path."""
        key = mock_key(path)
        return self._names.get(key, key)

    def _mocked(self, step: PlanStep, path: str) -> StepRun:
        mock = self._mocks[self._name(path)]
        if not isinstance(mock, Sequence) or isinstance(mock, str):
            return self._with(step, path, mock)
        numbers = re.findall(r"\[(\d+)\]", path)
        index = int(numbers[-1]) if numbers else 0
        if index >= len(mock):
            message = f"step `{path}`: the mock lists {len(mock)} outputs, and number {index + 1} is needed"
            self.problems.append(message)
            error = StepError("unavailable", message, node=step.id, path=path)
            return replace(self._ended(step, path), status="failed", error=error)
        return self._with(step, path, mock[index])

    def _with(self, step: PlanStep, path: str, output: JsonValue) -> StepRun:
        taken = None
        if step.type == "switch" and isinstance(output, Mapping):
            shown = output.get("taken")
            names = [shown] if isinstance(shown, str) else cast("Sequence[str]", shown or ())
            taken = tuple(names)
        return replace(self._ended(step, path), output=output, taken=taken)

    def _ended(self, step: PlanStep, path: str) -> StepRun:
        now = self._clock.now()
        return StepRun(
            path=path,
            step=step.id,
            type=step.type,
            status="succeeded",
            attempts=1,
            started_at=now,
            finished_at=now,
            fingerprint=step.fingerprint,
        )


def _names(block: Block, prefix: str) -> Iterator[tuple[str, str]]:
    """Place of a step of the document -> its id."""
    for step in block.steps:
        yield f"{prefix}{step.id}", step.id
        if step.body is not None:
            yield from _names(step.body, f"{prefix}{step.id}.")


def _asks_models(cls: type[Node[Any]], step: PlanStep) -> bool:
    return cls.asks_models_only or bool(cls.model_fields_of_use) or bool(cls.model_uses(step.config))


def _run_of(plan: Plan, inputs: JsonObject) -> Run:
    return Run(
        id="00000000-0000-7000-8000-000000000000",
        org_id="00000000-0000-7000-8000-000000000001",
        flow=plan.flow,
        version=1,
        status="queued",
        inputs=inputs,
        trigger="test",
        lane="inline",
        created_at=START,
        org_slug="test",
    )


def _differences(expect: JsonObject, run: Run, steps: Mapping[str, StepRun]) -> Iterator[str]:
    for path, wanted in expect.items():
        found = _found(path, run, steps)
        if found is ABSENT and wanted is None:
            continue
        if found is ABSENT or canonical(cast("JsonValue", found)) != canonical(wanted):
            shown = "absent" if found is ABSENT else canonical(cast("JsonValue", found))
            yield f"{path} is {shown}, expected {canonical(wanted)}"


def _surprises(expect: JsonObject, run: Run) -> Iterator[str]:
    """A run that fails fails the test, unless a failure is what it looks at."""
    looks_at_it = any(path in {"run.status", "run.errors"} or path.startswith("run.errors[") for path in expect)
    if run.status in {"succeeded", "partial"} or looks_at_it:
        return
    told = "; ".join(f"{error.path or 'flow'}: {error.message}" for error in run.errors)
    yield f"the run is {run.status}{': ' + told if told else ''}; expect `run.status: {run.status}` if that is right"


def _found(path: str, run: Run, steps: Mapping[str, StepRun]) -> object:
    """What stands at a path of the ended run; ABSENT when nothing does."""
    root, _, rest = path.partition(".")
    if root == "outputs":
        return _at(run.outputs, f".{rest}")
    if root == "run":
        errors: list[JsonValue] = [error.to_json() for error in run.errors]
        return _at({"status": run.status, "errors": errors, "outputs": run.outputs}, f".{rest}")
    fitting = [known for known in steps if rest.startswith(f"{known}.")]
    if not fitting:
        return ABSENT
    step = steps[max(fitting, key=len)]
    view = {**step_view(step), "reason": step.reason}
    return _at(view, rest[len(step.path) :])


def _at(value: object, path: str) -> object:
    for token in _TOKEN.finditer(path):
        name, index = token[1], token[2]
        if name is not None and isinstance(value, Mapping):
            value = cast("Mapping[str, object]", value).get(name, ABSENT)
        elif index is not None and isinstance(value, list | tuple):
            items = cast("Sequence[object]", value)
            value = items[int(index)] if int(index) < len(items) else ABSENT
        else:
            return ABSENT
    return value
