"""foreach and matrix: order, limits, item errors, parallelism, resuming item by item."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from bridge.json_types import JsonValue
from flows.held_walk import HeldWalk
from flows.plan import Block, ErrorRule, ForeachRule
from flows.runs import StepRun
from flows.walk import Work
from tests.support.engine import Engine, ScriptedModels, a_plan, a_run, a_step, paid, probe


async def outputs(rule: ForeachRule, value: JsonValue = "${{ item }}", **inputs: JsonValue) -> JsonValue:
    engine = Engine()
    plan = a_plan(probe("x", with_={"value": value}, foreach=rule), outputs={"all": "${{ nodes.x.output }}"})
    run = await engine.start(plan, inputs)
    return run.outputs["all"]


async def test_results_come_in_input_order_whatever_ends_first() -> None:
    engine = Engine()
    rule = ForeachRule([0.004, 0.002, 0])
    plan = a_plan(probe("x", with_={"value": "${{ index }}", "sleep_s": "${{ item }}"}, foreach=rule))

    await engine.start(plan)

    assert (await engine.steps())["x"].output == [{"value": 0}, {"value": 1}, {"value": 2}]


async def test_no_items_succeed_with_an_empty_list() -> None:
    assert await outputs(ForeachRule("${{ inputs.xs }}"), xs=[]) == []


async def test_a_map_is_refused() -> None:
    engine = Engine()

    run = await engine.start(a_plan(probe("x", foreach=ForeachRule("${{ inputs.xs }}"))), {"xs": {"a": 1}})

    assert [(error.error_class, error.message) for error in run.errors] == [
        ("validation", "items must be a list, it is a map")
    ]


async def test_too_many_items_are_refused_before_any_runs() -> None:
    engine = Engine()

    run = await engine.start(a_plan(paid("x", foreach=ForeachRule([1, 2, 3], max_items=2))))

    assert (run.status, engine.models.prompts) == ("failed", [])


async def test_an_own_name_for_the_item() -> None:
    assert await outputs(ForeachRule(["a"], name="word"), "${{ word + text(index) }}") == [{"value": "a0"}]


async def test_a_matrix_is_the_product_with_the_first_name_varying_slowest() -> None:
    rule = ForeachRule({"m": ["a", "b"], "n": "${{ inputs.ns }}"}, is_matrix=True)

    assert await outputs(rule, "${{ item.m + text(item.n) }}", ns=[1, 2]) == [
        {"value": "a1"},
        {"value": "a2"},
        {"value": "b1"},
        {"value": "b2"},
    ]


@pytest.mark.parametrize(
    ("on_item_error", "status", "output"),
    [
        ("fail", "failed", None),
        ("continue", "partial", [{"value": 1}, None, {"value": 3}]),
        ("drop", "partial", [{"value": 1}, {"value": 3}]),
    ],
)
async def test_what_a_failed_item_does(on_item_error: str, status: str, output: JsonValue) -> None:
    engine = Engine()
    rule = ForeachRule([1, 2, 3], on_item_error=on_item_error)  # pyright: ignore[reportArgumentType]  # one of the three
    step = probe("x", with_={"value": "${{ item }}", "fails": "${{ item == 2 ? -1 : 0 }}"}, foreach=rule)

    run = await engine.start(a_plan(step))

    stored = (await engine.steps())["x"]
    assert (run.status, stored.output) == (status, output)
    assert [error.item_index for error in stored.item_errors] == ([] if on_item_error == "fail" else [1])
    assert [(error.path, error.item_index) for error in run.errors] == (
        [("x[1]", 1)] if on_item_error == "fail" else []
    )


async def test_item_errors_can_be_read_by_later_steps() -> None:
    engine = Engine()
    rule = ForeachRule([-1], on_item_error="continue")
    plan = a_plan(
        probe("x", with_={"fails": "${{ item }}"}, foreach=rule),
        outputs={"lost": "${{ nodes.x.errors.map(e, e['class']) }}"},
    )

    run = await engine.start(plan)

    assert dict(run.outputs) == {"lost": ["unavailable"]}


async def test_at_most_max_parallel_items_run_at_once() -> None:
    live, most = 0, 0

    class Watching(ScriptedModels):
        async def chat(self, request, context):  # type: ignore[no-untyped-def]  # pyright: ignore
            nonlocal live, most
            live += 1
            most = max(most, live)
            await asyncio.sleep(0.001)
            live -= 1
            return await super().chat(request, context)

    engine = Engine(models=Watching())

    await engine.start(a_plan(paid("x", foreach=ForeachRule(list(range(10)), max_parallel=3))))

    assert (most, len(engine.models.prompts)) == (3, 10)


async def test_after_a_failed_item_no_other_starts() -> None:
    engine = Engine()
    step = probe("x", with_={"fails": "${{ item }}"}, foreach=ForeachRule([-1, 0, 0, 0], max_parallel=1))

    await engine.start(a_plan(step))

    assert set(await engine.steps()) == {"x", "x[0]"}


async def test_a_failed_fan_out_is_handled_like_any_step() -> None:
    engine = Engine()
    rules = (ErrorRule("default", default=[]),)
    plan = a_plan(
        probe("x", with_={"fails": -1}, foreach=ForeachRule([1]), on_error=rules),
        outputs={"n": "${{ size(nodes.x.output) }}"},
    )

    run = await engine.start(plan)

    assert (run.status, run.outputs["n"]) == ("partial", 0)


async def test_cost_is_summed_and_attempts_are_the_highest() -> None:
    engine = Engine()

    run = await engine.start(a_plan(paid("x", foreach=ForeachRule([1, 2]))))

    stored = (await engine.steps())["x"]
    assert (run.cost_nano_usd, stored.cost_nano_usd, stored.attempts, len(stored.call_ids)) == (2000, 2000, 1, 2)


async def test_a_nested_foreach_sees_the_outer_item_and_writes_nested_paths() -> None:
    engine = Engine()
    inner = a_step(
        "inner",
        "foreach",
        foreach=ForeachRule("${{ row }}", name="cell"),
        body=Block((probe("leaf", with_={"value": "${{ size(row) * 10 + cell }}"}),), final="leaf"),
    )
    plan = a_plan(
        a_step("outer", "foreach", foreach=ForeachRule([[1], [2, 3]], name="row"), body=Block((inner,), final="inner"))
    )

    await engine.start(plan)

    steps = await engine.steps()
    assert steps["outer[1].inner[1].leaf"].output == {"value": 23}
    assert set(steps) >= {"outer", "outer[0].inner", "outer[0].inner[0].leaf", "outer[1].inner"}


async def test_the_deadline_of_a_fan_out_is_over_all_items() -> None:
    engine = Engine()
    step = probe("x", with_={"sleep_s": 0.01}, foreach=ForeachRule([1, 2, 3], max_parallel=1), deadline_s=0.015)

    run = await engine.start(a_plan(step))

    assert [(error.error_class, error.node) for error in run.errors] == [("timeout", "x")]


@dataclass
class CountingCaller:
    """Shows at most four calls of a fan-out, and remembers their names."""

    fan_out_limit: int | None = 4
    names: list[str] = field(default_factory=list[str])

    async def call(self, path: str, after: Sequence[str], work: Work) -> StepRun:
        del after
        self.names.append(path)
        return await work()


async def test_a_wide_fan_out_is_called_in_chunks_with_the_same_results() -> None:
    engine = Engine()
    caller = CountingCaller()
    plan = a_plan(
        probe("x", with_={"value": "${{ item }}"}, foreach=ForeachRule(list(range(10)), max_parallel=2)),
        outputs={"all": "${{ nodes.x.output.map(one, one.value) }}"},
    )
    await engine.store.create(a_run(plan))
    owner = await engine.store.acquire("r1", "me")
    assert owner is not None

    run = await HeldWalk(engine.services, plan, a_run(plan), owner, caller).walk()

    assert dict(run.outputs) == {"all": list(range(10))}
    assert caller.names == ["x", "x[0..2]", "x[3..5]", "x[6..8]", "x[9..9]"]
    assert len(await engine.steps()) == 11
